"""Tells, for people and programs, by what a local instance is held to each of its limits."""

import math

from services.chassis.quantities import format_cpu, format_memory
from services.resource.limits import Enforcement, Means, Resource
from services.resource.workload import Resources


def cpu(
    limits: Resources, *, by_group: bool, by_affinity: bool, processors: int, confined: bool
) -> Enforcement:
    """Tell about CPU.

    Args:
        limits: What the instance may use.
        by_group: Whether its control group holds it.
        by_affinity: Whether instances are confined to some processors.
        processors: How many the machine has.
        confined: Whether this one is.
    """
    amount = format_cpu(limits.cpu)
    whole = math.ceil(limits.cpu / 1000)
    if by_group:
        message = f"All its processes together get {amount}"
        return Enforcement(Resource.CPU, Means.CGROUP, message, limited=True)
    if not by_affinity:
        message = "It counts against quota only: LOCAL_CPU_AFFINITY is off"
        return Enforcement(Resource.CPU, Means.NONE, message)
    if whole >= processors:
        message = f"This machine has {processors} processors, and {amount} holds nothing back"
        return Enforcement(Resource.CPU, Means.NONE, message)
    message = f"Its processes run on {whole} of {processors} processors"
    if limits.cpu % 1000:
        message += "; the part of a whole one is only measured"
    return Enforcement(Resource.CPU, Means.PROCESS_LIMIT, message, limited=confined)


def memory(limits: Resources, *, by_group: bool, over: bool) -> Enforcement:
    """Tell about memory; `over` is whether it is above its limit now."""
    amount = format_memory(limits.memory)
    if by_group:
        message = f"At {amount} the kernel ends one of its processes"
        return Enforcement(Resource.MEMORY, Means.CGROUP, message)
    message = f"Above {amount} its largest process that is not the editor's own is ended"
    return Enforcement(Resource.MEMORY, Means.MEASURED, message, limited=over)


def storage(limits: Resources, *, full: bool) -> Enforcement:
    """Tell about disk; `full` is whether writes are stopped now."""
    amount = format_memory(limits.storage)
    if full:
        message = f"Its files are above {amount}: terminals cannot write any until some are removed"
    else:
        message = (
            f"No file grows above {amount}; when all together are found above it, terminals"
            " cannot write any until some are removed"
        )
    return Enforcement(Resource.STORAGE, Means.PROCESS_LIMIT, message, limited=full)


def processes(most: int, *, by_group: bool) -> Enforcement:
    """Tell about the number of processes; `most` is 0 for any number."""
    if not most:
        return Enforcement(Resource.PROCESSES, Means.NONE, "There is no limit")
    if by_group:
        return Enforcement(Resource.PROCESSES, Means.CGROUP, f"Above {most} none can start")
    return Enforcement(Resource.PROCESSES, Means.MEASURED, f"Above {most} the newest are ended")
