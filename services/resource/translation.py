"""Resources, samples and recommendations as messages of the contract, and back."""

from collections.abc import Callable, Iterable
from typing import Any

from codestudio.common.v1 import resources_pb2
from codestudio.resource.v1 import resource_service_pb2 as pb

from services.chassis.quantities import format_cpu, format_memory
from services.chassis.validation import Violations
from services.resource.limits import Enforcement, Event
from services.resource.optimizer import Optimization, Result, written
from services.resource.ports import PortPlan
from services.resource.samples import Sample
from services.resource.store import Allocation
from services.resource.workload import Resources


def read_resources(
    wrong: Violations, message: resources_pb2.Resources, default: Resources
) -> Resources:
    """Read resources, defaults for what is left out, noting violations of ``resources.*``."""
    cpu, memory, storage = read_given(wrong, message)
    return Resources(cpu or default.cpu, memory or default.memory, storage or default.storage)


def read_given(
    wrong: Violations, message: resources_pb2.Resources, most: Resources | None = None
) -> tuple[int | None, int | None, int | None]:
    """Read CPU, memory and disk, None for what is left out; no more than `most`, if given."""

    def read(name: str, check: Callable[..., int]) -> int | None:
        text, limit = getattr(message, name), getattr(most, name, None)
        return check(f"resources.{name}", text, most=limit) if text else None

    return read("cpu", wrong.cpu), read("memory", wrong.memory), read("storage", wrong.memory)


def write_resources(resources: Resources) -> resources_pb2.Resources:
    """Write resources as quantities."""
    return resources_pb2.Resources(
        cpu=format_cpu(resources.cpu),
        memory=format_memory(resources.memory),
        storage=format_memory(resources.storage),
    )


def allocation(one: Allocation, plan: PortPlan) -> pb.ResourceAllocation:
    """Write an allocation."""
    first, last = plan.callback_range(one.web_port, one.size)
    message = pb.ResourceAllocation(
        instance_id=one.instance_id,
        namespace=one.namespace,
        web_port=one.web_port,
        callback_port_range=resources_pb2.PortRange(start=first, end=last),
        resources=write_resources(one.resources),
    )
    message.allocated_at.FromDatetime(one.allocated_at)
    return message


def sample(one: Sample) -> pb.UsageSample:
    """Write a sample."""
    message = pb.UsageSample(
        cpu_cores=one.cpu_cores,
        memory_bytes=one.memory,
        storage_bytes=one.storage,
        processes=one.processes,
    )
    message.time.FromDatetime(one.time)
    return message


def total(samples: Iterable[pb.UsageSample]) -> pb.UsageSample:
    """Add samples up."""
    sums = pb.UsageSample()
    for one in samples:
        sums.cpu_cores += one.cpu_cores
        sums.memory_bytes += one.memory_bytes
        sums.storage_bytes += one.storage_bytes
        sums.processes += one.processes
        if one.HasField("time"):
            sums.time.CopyFrom(one.time)
    return sums


def usage(
    instance_id: str, namespace: str, now: Sample | None, limits: Resources | None
) -> pb.InstanceUsage:
    """Write what one instance uses, of what."""
    message = pb.InstanceUsage(instance_id=instance_id, namespace=namespace)
    if now is not None:
        message.current.CopyFrom(sample(now))
        message.processes = now.processes
        if now.storage_at is not None:
            message.storage_time.FromDatetime(now.storage_at)
    if limits is not None:
        message.limits.CopyFrom(write_resources(limits))
        if now is not None:
            message.cpu_ratio = now.cpu_cores * 1000 / limits.cpu
            message.memory_ratio = now.memory / limits.memory
            message.storage_ratio = now.storage / limits.storage
    return message


def enforcement(one: Enforcement) -> pb.Enforcement:
    """Write how a limit is enforced."""
    return pb.Enforcement(
        resource=_number(pb.LimitedResource, f"LIMITED_RESOURCE_{one.resource.value}"),
        means=_number(pb.EnforcementMeans, f"ENFORCEMENT_MEANS_{one.means.value}"),
        limited=one.limited,
        message=one.message,
    )


def event(one: Event) -> pb.LimitEvent:
    """Write what was done to hold an instance to a limit."""
    message = pb.LimitEvent(
        resource=_number(pb.LimitedResource, f"LIMITED_RESOURCE_{one.resource.value}"),
        message=one.message,
    )
    message.time.FromDatetime(one.time)
    return message


def result(found: Result) -> pb.OptimizationResult:
    """Write recommendations."""
    gain = found.improvement
    return pb.OptimizationResult(
        optimizations=map(_optimization, found.optimizations),
        estimated_improvement=pb.EstimatedImprovement(
            cpu_cores_freed=gain.cpu_freed / 1000,
            memory_bytes_freed=gain.memory_freed,
            utilization_before=gain.before,
            utilization_after=gain.after,
        ),
    )


def _optimization(one: Optimization) -> pb.Optimization:
    advice, evidence = one.recommendation, one.recommendation.evidence
    resource = advice.kind.resource
    message = pb.Optimization(
        type=_number(pb.OptimizationType, f"OPTIMIZATION_TYPE_{advice.kind.value}"),
        instance_id=one.instance_id,
        current=advice.current,
        current_limit=written(resource, advice.limit),
        recommended_limit=written(resource, advice.recommended),
        outcome=_number(pb.OptimizationOutcome, f"OPTIMIZATION_OUTCOME_{one.outcome}"),
        evidence=pb.Evidence(
            samples=evidence.samples,
            lowest=evidence.lowest,
            mean=evidence.mean,
            highest=evidence.highest,
        ),
        message=one.message,
    )
    message.evidence.window.FromMilliseconds(round(evidence.seconds * 1000))
    return message


def _number(kind: Any, name: str) -> Any:
    """Return the number of an enum's value: the stubs' own type of it is not what Value gives."""
    return kind.Value(name)
