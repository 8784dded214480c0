"""ResourceService: proto ↔ domain."""

import datetime
from collections.abc import Iterable

from codestudio.common.v1 import resources_pb2
from codestudio.resource.v1 import resource_service_pb2 as pb
from codestudio.resource.v1 import resource_service_pb2_grpc
from google.protobuf import empty_pb2
from grpc.aio import ServicerContext

from services.chassis import errors
from services.chassis.quantities import format_cpu, format_memory
from services.chassis.validation import Violations
from services.resource import names
from services.resource.allocator import Allocator
from services.resource.ports import PortPlan
from services.resource.store import Allocation
from services.resource.usage import Sample, Usage
from services.resource.visibility import Visibility
from services.resource.workload import Resources

_DEFAULT_NAMESPACE = "default"


class ResourceServicer(resource_service_pb2_grpc.ResourceServiceServicer):
    """Serves ResourceService."""

    def __init__(
        self,
        *,
        allocator: Allocator,
        usage: Usage,
        visibility: Visibility,
        plan: PortPlan,
        default_resources: Resources,
    ) -> None:
        self._allocator = allocator
        self._usage = usage
        self._visibility = visibility
        self._plan = plan
        self._default_resources = default_resources

    async def AllocateResources(
        self,
        request: pb.AllocateResourcesRequest,
        context: ServicerContext[pb.AllocateResourcesRequest, pb.ResourceAllocation],
    ) -> pb.ResourceAllocation:
        """See the contract."""
        wrong = Violations()
        instance_id = names.check(wrong, "instance_id", request.instance_id)
        namespace = names.check(wrong, "namespace", request.namespace or _DEFAULT_NAMESPACE)
        resources = read_resources(wrong, request.resources, self._default_resources)
        if request.web_port and (objection := self._plan.objection(request.web_port)):
            wrong.add("web_port", objection)
        if request.unusable_web_port < 0:
            wrong.add("unusable_web_port", "must not be negative")
        wrong.check()
        allocation = await self._allocator.allocate(
            instance_id,
            namespace,
            resources,
            web_port=request.web_port,
            unusable=request.unusable_web_port,
        )
        return self._allocation(allocation)

    async def DeallocateResources(
        self,
        request: pb.DeallocateResourcesRequest,
        context: ServicerContext[pb.DeallocateResourcesRequest, empty_pb2.Empty],
    ) -> empty_pb2.Empty:
        """See the contract."""
        wrong = Violations()
        instance_id = names.check(wrong, "instance_id", request.instance_id)
        wrong.check()
        await self._allocator.deallocate(instance_id)
        return empty_pb2.Empty()

    async def GetResourceUsage(
        self,
        request: pb.GetResourceUsageRequest,
        context: ServicerContext[pb.GetResourceUsageRequest, pb.ResourceUsage],
    ) -> pb.ResourceUsage:
        """See the contract."""
        wrong = Violations()
        for field, name in (("instance_id", request.instance_id), ("namespace", request.namespace)):
            if name:
                names.check(wrong, field, name)
        wrong.check()
        visible = await self._visibility.of_caller(
            instance_id=request.instance_id, namespace=request.namespace
        )
        allocations = await self._allocator.by_instance()
        samples = await self._usage.current()
        known = allocations.keys() | samples.keys()
        if request.instance_id and request.instance_id not in known and visible is None:
            raise errors.NotFound(
                "INSTANCE_NOT_FOUND",
                f"Instance {request.instance_id} has no resources",
                instance_id=request.instance_id,
            )
        selected = [
            self._instance_usage(name, allocations.get(name), samples.get(name), request)
            for name in sorted(known)
            if (visible is None or name in visible)
            and request.instance_id in ("", name)
            and self._in_namespace(request.namespace, allocations.get(name), visible)
        ]
        usage = pb.ResourceUsage(
            instances=selected,
            total=_total(one.current for one in selected),
            port_ranges_used=len(allocations),
            port_ranges_total=self._plan.capacity,
        )
        usage.resolution.FromTimedelta(datetime.timedelta(seconds=self._usage.every_seconds))
        return usage

    async def OptimizeResourceAllocation(
        self,
        request: pb.OptimizeResourceAllocationRequest,
        context: ServicerContext[pb.OptimizeResourceAllocationRequest, pb.OptimizationResult],
    ) -> pb.OptimizationResult:
        """See the contract; not served yet."""
        raise errors.Unimplemented(
            "NOT_IMPLEMENTED", "Right-sizing is not available in this version"
        )

    @staticmethod
    def _in_namespace(
        namespace: str, allocation: Allocation | None, visible: set[str] | None
    ) -> bool:
        if not namespace or visible is not None:
            return True  # the Instance service has selected already
        return allocation is not None and allocation.namespace == namespace

    def _instance_usage(
        self,
        instance_id: str,
        allocation: Allocation | None,
        sample: Sample | None,
        request: pb.GetResourceUsageRequest,
    ) -> pb.InstanceUsage:
        usage = pb.InstanceUsage(instance_id=instance_id)
        if sample is not None:
            usage.current.CopyFrom(_sample(sample))
            usage.processes = sample.processes
        if allocation is not None:
            limits = allocation.resources
            usage.namespace = allocation.namespace
            usage.limits.CopyFrom(write_resources(limits))
            if sample is not None:
                usage.cpu_ratio = sample.cpu_cores * 1000 / limits.cpu
                usage.memory_ratio = sample.memory / limits.memory
                usage.storage_ratio = sample.storage / limits.storage
        if request.include_history:
            usage.history.extend(_sample(one) for one in self._usage.history(instance_id))
        return usage

    def _allocation(self, allocation: Allocation) -> pb.ResourceAllocation:
        first, last = self._plan.callback_range(allocation.web_port)
        message = pb.ResourceAllocation(
            instance_id=allocation.instance_id,
            namespace=allocation.namespace,
            web_port=allocation.web_port,
            callback_port_range=resources_pb2.PortRange(start=first, end=last),
            resources=write_resources(allocation.resources),
        )
        message.allocated_at.FromDatetime(allocation.allocated_at)
        return message


def read_resources(
    wrong: Violations, message: resources_pb2.Resources, default: Resources
) -> Resources:
    """Read resources, defaults for what is left out, noting violations of ``resources.*``."""
    cpu, memory, storage = default.cpu, default.memory, default.storage
    if message.cpu:
        cpu = wrong.cpu("resources.cpu", message.cpu)
    if message.memory:
        memory = wrong.memory("resources.memory", message.memory)
    if message.storage:
        storage = wrong.memory("resources.storage", message.storage)
    return Resources(cpu, memory, storage)


def write_resources(resources: Resources) -> resources_pb2.Resources:
    """Write resources as quantities."""
    return resources_pb2.Resources(
        cpu=format_cpu(resources.cpu),
        memory=format_memory(resources.memory),
        storage=format_memory(resources.storage),
    )


def _sample(sample: Sample) -> pb.UsageSample:
    message = pb.UsageSample(
        cpu_cores=sample.cpu_cores,
        memory_bytes=sample.memory,
        storage_bytes=sample.storage,
    )
    message.time.FromDatetime(sample.time)
    return message


def _total(samples: Iterable[pb.UsageSample]) -> pb.UsageSample:
    total = pb.UsageSample()
    for sample in samples:
        total.cpu_cores += sample.cpu_cores
        total.memory_bytes += sample.memory_bytes
        total.storage_bytes += sample.storage_bytes
        if sample.HasField("time"):
            total.time.CopyFrom(sample.time)
    return total
