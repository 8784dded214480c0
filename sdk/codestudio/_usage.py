"""What instances use."""

import datetime
from collections.abc import Mapping
from typing import NamedTuple

from codestudio import _limits, _messages
from codestudio._instance_types import Resources
from codestudio._optimization import OptimizationResult, ResourceAllocation
from codestudio._services import ResourceService
from codestudio.resource.v1 import resource_service_pb2


class UsageSample(NamedTuple):
    """What was used over one stretch of time."""

    time: datetime.datetime | None
    """End of the stretch."""
    cpu_cores: float
    """CPU, in cores, mean of the stretch."""
    memory_bytes: float
    """Memory at its end."""
    storage_bytes: float
    """Disk, as found by the last look at the files; so far, until the first has ended."""
    processes: int
    """Processes at its end; 0 while the instance was stopped."""


class InstanceUsage(NamedTuple):
    """What one instance uses."""

    instance_id: str
    """The instance."""
    namespace: str
    """Its namespace."""
    current: UsageSample
    """What it uses now."""
    limits: Resources
    """What it may use."""
    cpu_ratio: float
    """CPU as a share of the limit, 0 to 1 and above."""
    memory_ratio: float
    """Memory as a share of the limit."""
    storage_ratio: float
    """Disk as a share of the limit."""
    processes: int
    """Processes it has."""
    history: tuple[UsageSample, ...]
    """Samples of the last hour, oldest first, if asked for."""
    enforcement: tuple[_limits.Enforcement, ...] = ()
    """How it is held to its limits; empty while it is stopped."""
    limit_events: tuple[_limits.LimitEvent, ...] = ()
    """What was done lately to hold it to them, oldest first."""
    storage_time: datetime.datetime | None = None
    """When the files were looked at whose size `current` gives; None before the first has ended."""


class ResourceUsage(_messages.View[resource_service_pb2.ResourceUsage]):
    """What instances use, one by one and together."""

    @property
    def instances(self) -> tuple[InstanceUsage, ...]:
        """By instance, in order of id."""
        return tuple(_usage(each) for each in self.proto.instances)

    @property
    def total(self) -> UsageSample:
        """Sum over them."""
        return _sample(self.proto.total)

    @property
    def port_ranges_used(self) -> int:
        """Port ranges in use, of all instances."""
        return self.proto.port_ranges_used

    @property
    def port_ranges_total(self) -> int:
        """Port ranges there are."""
        return self.proto.port_ranges_total

    @property
    def resolution(self) -> datetime.timedelta | None:
        """Time between two samples of history."""
        return _messages.duration(self.proto, "resolution")


class AsyncResources:
    """Ports and compute; `client.resources`."""

    def __init__(self, service: ResourceService) -> None:
        self._service = service

    async def usage(
        self,
        *,
        instance_id: str = "",
        namespace: str = "",
        include_history: bool = False,
        timeout: float | None = None,
    ) -> ResourceUsage:
        """Tell what instances use: one, a namespace's, or all one may see.

        `timeout` is in seconds. Raises CodeStudioError.
        """
        request = resource_service_pb2.GetResourceUsageRequest(
            instance_id=instance_id, namespace=namespace, include_history=include_history
        )
        return ResourceUsage(await self._service.get_resource_usage(request, timeout=timeout))

    async def optimize(
        self,
        *,
        instance_id: str = "",
        namespace: str = "",
        apply: bool = False,
        timeout: float | None = None,
    ) -> OptimizationResult:
        """Recommend sizes that fit what running instances use: one, a namespace's, or all.

        With `apply`, instances are changed to them as far as quota allows; done again, nothing
        more happens. `timeout` is in seconds. Raises CodeStudioError.
        """
        request = resource_service_pb2.OptimizeResourceAllocationRequest(
            instance_id=instance_id, namespace=namespace, apply=apply
        )
        answer = await self._service.optimize_resource_allocation(request, timeout=timeout)
        return OptimizationResult(answer)

    async def allocate(
        self,
        instance_id: str,
        *,
        namespace: str = "",
        resources: Resources | Mapping[str, str] | None = None,
        web_port: int = 0,
        timeout: float | None = None,
    ) -> ResourceAllocation:
        """Give an instance its port range, or an id one ahead of its instance; for admins.

        Raises FailedPrecondition where it contradicts the instance. `timeout` is in seconds.
        """
        request = resource_service_pb2.AllocateResourcesRequest(
            instance_id=instance_id, namespace=namespace, web_port=web_port
        )
        if resources is not None:
            asked = resources if isinstance(resources, Resources) else Resources(**resources)
            request.resources.CopyFrom(asked.to_proto())
        return ResourceAllocation(await self._service.allocate_resources(request, timeout=timeout))

    async def deallocate(self, instance_id: str, *, timeout: float | None = None) -> None:
        """Take back a port range that no instance uses; for admins.

        Raises FailedPrecondition while the instance uses it. `timeout` is in seconds.
        """
        request = resource_service_pb2.DeallocateResourcesRequest(instance_id=instance_id)
        await self._service.deallocate_resources(request, timeout=timeout)


def _sample(message: resource_service_pb2.UsageSample) -> UsageSample:
    return UsageSample(
        _messages.time(message, "time"),
        message.cpu_cores,
        message.memory_bytes,
        message.storage_bytes,
        message.processes,
    )


def _usage(message: resource_service_pb2.InstanceUsage) -> InstanceUsage:
    limits = message.limits
    return InstanceUsage(
        instance_id=message.instance_id,
        namespace=message.namespace,
        current=_sample(message.current),
        limits=Resources(limits.cpu, limits.memory, limits.storage),
        cpu_ratio=message.cpu_ratio,
        memory_ratio=message.memory_ratio,
        storage_ratio=message.storage_ratio,
        processes=message.processes,
        history=tuple(_sample(each) for each in message.history),
        enforcement=tuple(map(_limits.enforcement, message.enforcement)),
        limit_events=tuple(map(_limits.event, message.limit_events)),
        storage_time=_messages.time(message, "storage_time"),
    )
