"""ResourceService: proto ↔ domain."""

import datetime
from collections.abc import Callable, Collection, Mapping

from codestudio.instance.v1 import instance_pb2
from codestudio.resource.v1 import resource_service_pb2 as pb
from codestudio.resource.v1 import resource_service_pb2_grpc
from google.protobuf import empty_pb2
from grpc.aio import ServicerContext

from services.chassis import errors, identity
from services.chassis.validation import Violations
from services.resource import names, translation
from services.resource.allocator import Allocator
from services.resource.claims import Claims, Wish, resources_of
from services.resource.instances import Instances
from services.resource.optimizer import Optimizer
from services.resource.ports import PortPlan
from services.resource.runtimes import Runtime
from services.resource.store import Allocation
from services.resource.usage import Usage
from services.resource.workload import Resources, Workload

_DEFAULT_NAMESPACE = "default"


class ResourceServicer(resource_service_pb2_grpc.ResourceServiceServicer):
    """Serves ResourceService."""

    def __init__(
        self,
        *,
        allocator: Allocator,
        claims: Claims,
        usage: Usage,
        optimizer: Optimizer,
        instances: Instances,
        runtime: Runtime,
        plan: Callable[[], PortPlan],
        default_resources: Callable[[], Resources],
        most_resources: Callable[[], Resources],
    ) -> None:
        self._allocator = allocator
        self._claims = claims
        self._usage = usage
        self._optimizer = optimizer
        self._instances = instances
        self._runtime = runtime
        self._plan = plan
        self._default_resources = default_resources
        self._most_resources = most_resources

    async def AllocateResources(
        self,
        request: pb.AllocateResourcesRequest,
        context: ServicerContext[pb.AllocateResourcesRequest, pb.ResourceAllocation],
    ) -> pb.ResourceAllocation:
        """See the contract."""
        wrong = Violations()
        instance_id = names.check(wrong, "instance_id", request.instance_id)
        if request.namespace:
            names.check(wrong, "namespace", request.namespace)
        by_service = identity.current().kind == "service"
        # What a service asks for was admitted before, maybe when the limits were others.
        most = None if by_service else self._most_resources()
        cpu, memory, storage = translation.read_given(wrong, request.resources, most)
        plan, default = self._plan(), self._default_resources()
        objection = plan.objection(request.web_port) if request.web_port else ""
        # What it has it keeps, also where there would be no such range any more.
        if objection and not await self._allocator.holds(instance_id, request.web_port):
            wrong.add("web_port", objection)
        if request.unusable_web_port < 0:
            wrong.add("unusable_web_port", "must not be negative")
        wrong.check()
        if by_service:
            allocation = await self._allocator.allocate(
                instance_id,
                request.namespace or _DEFAULT_NAMESPACE,
                Resources(cpu or default.cpu, memory or default.memory, storage or default.storage),
                web_port=request.web_port,
                unusable=request.unusable_web_port,
            )
        else:
            wish = Wish(instance_id, request.namespace, cpu, memory, storage, request.web_port)
            allocation = await self._claims.allocate(wish, _DEFAULT_NAMESPACE, default)
        return translation.allocation(allocation, plan)

    async def DeallocateResources(
        self,
        request: pb.DeallocateResourcesRequest,
        context: ServicerContext[pb.DeallocateResourcesRequest, empty_pb2.Empty],
    ) -> empty_pb2.Empty:
        """See the contract."""
        wrong = Violations()
        instance_id = names.check(wrong, "instance_id", request.instance_id)
        wrong.check()
        if identity.current().kind == "service":
            await self._allocator.deallocate(instance_id)
        else:
            await self._claims.deallocate(instance_id)
        return empty_pb2.Empty()

    async def GetResourceUsage(
        self,
        request: pb.GetResourceUsageRequest,
        context: ServicerContext[pb.GetResourceUsageRequest, pb.ResourceUsage],
    ) -> pb.ResourceUsage:
        """See the contract."""
        _check_selection(request.instance_id, request.namespace)
        allocations = await self._allocator.by_instance()
        samples = await self._usage.current()
        workloads = {one.instance_id: one for one in self._runtime.list()}
        known = {*allocations, *samples}
        seen = await self._seen(request, known)
        if seen is not None:
            known = {*seen} if request.instance_id else known & seen.keys()
        elif request.instance_id:
            known = {request.instance_id}
        selected = []
        for name in sorted(known):
            about = (allocations.get(name), workloads.get(name), (seen or {}).get(name))
            namespace, limits = _about(*about)
            if request.namespace not in ("", namespace):
                continue
            one = translation.usage(name, namespace, samples.get(name), limits)
            workload = workloads.get(name)
            if workload is not None and workload.phase.is_alive and limits is not None:
                how = self._runtime.enforcement(name, limits)
                one.enforcement.extend(map(translation.enforcement, how))
            events = self._runtime.limit_events(name)
            one.limit_events.extend(map(translation.event, events))
            if request.include_history:
                one.history.extend(map(translation.sample, self._usage.history(name)))
            selected.append(one)
        answer = pb.ResourceUsage(
            instances=selected,
            total=translation.total(one.current for one in selected),
            port_ranges_used=len(allocations),
            port_ranges_total=self._plan().capacity,
        )
        answer.resolution.FromTimedelta(datetime.timedelta(seconds=self._usage.resolution))
        return answer

    async def OptimizeResourceAllocation(
        self,
        request: pb.OptimizeResourceAllocationRequest,
        context: ServicerContext[pb.OptimizeResourceAllocationRequest, pb.OptimizationResult],
    ) -> pb.OptimizationResult:
        """See the contract."""
        _check_selection(request.instance_id, request.namespace)
        found = await self._optimizer.optimize(
            instance_id=request.instance_id, namespace=request.namespace, apply=request.apply
        )
        return translation.result(found)

    async def _seen(
        self, request: pb.GetResourceUsageRequest, known: Collection[str]
    ) -> Mapping[str, instance_pb2.Instance] | None:
        """Give the instances the caller may see of those asked for; None for all we know."""
        asked = request.instance_id
        if not identity.current().sees_all:
            return await self._instances.visible(instance_id=asked, namespace=request.namespace)
        if not asked or asked in known:
            return None
        found = await self._instances.find(asked)
        if found is None:
            raise errors.NotFound(
                "INSTANCE_NOT_FOUND", f"There is no instance {asked}", instance_id=asked
            )
        return {asked: found}


def _about(
    allocation: Allocation | None,
    workload: Workload | None,
    instance: instance_pb2.Instance | None,
) -> tuple[str, Resources | None]:
    """Give namespace and limits of an instance: what is in force, else what it is to have."""
    if allocation is not None:
        return allocation.namespace, allocation.resources
    if instance is not None:
        return instance.namespace, resources_of(instance)
    if workload is not None and workload.spec is not None:
        return workload.spec.namespace, workload.spec.resources
    return "", None


def _check_selection(instance_id: str, namespace: str) -> None:
    wrong = Violations()
    for field, name in (("instance_id", instance_id), ("namespace", namespace)):
        if name:
            names.check(wrong, field, name)
    wrong.check()
