"""Resources of the small control plane: always the same ones."""

from typing import Any

from codestudio.resource.v1 import resource_service_pb2, resource_service_pb2_grpc
from google.protobuf import empty_pb2

from tests.integration.sdk.faulty import Faulty


class Resources(Faulty, resource_service_pb2_grpc.ResourceServiceServicer):
    """Answers what a test can look for."""

    async def GetResourceUsage(self, request: Any, context: Any) -> Any:
        async with self._call("GetResourceUsage", request, context):
            answer = resource_service_pb2.ResourceUsage(port_ranges_used=1, port_ranges_total=100)
            one = answer.instances.add(instance_id="fox", namespace="default", processes=3)
            one.current.cpu_cores = 0.25
            one.current.memory_bytes = 3 * 2**29
            one.limits.cpu, one.limits.memory, one.limits.storage = "500m", "2Gi", "10Gi"
            one.enforcement.add(
                resource=resource_service_pb2.LIMITED_RESOURCE_STORAGE,
                means=resource_service_pb2.ENFORCEMENT_MEANS_PROCESS_LIMIT,
                limited=True,
                message="full",
            )
            one.limit_events.add(
                resource=resource_service_pb2.LIMITED_RESOURCE_MEMORY, message="ended python"
            )
            if request.include_history:
                one.history.add(cpu_cores=0.5, processes=2).time.FromSeconds(1_800_000_000)
            return answer

    async def OptimizeResourceAllocation(self, request: Any, context: Any) -> Any:
        async with self._call("OptimizeResourceAllocation", request, context):
            answer = resource_service_pb2.OptimizationResult()
            one = answer.optimizations.add(
                type=resource_service_pb2.OPTIMIZATION_TYPE_SCALE_UP_CPU,
                instance_id="fox",
                current=0.9,
                current_limit="500m",
                recommended_limit="700m",
                outcome=resource_service_pb2.OPTIMIZATION_OUTCOME_APPLIED
                if request.apply
                else resource_service_pb2.OPTIMIZATION_OUTCOME_RECOMMENDED,
            )
            one.evidence.samples = 4
            one.evidence.window.FromSeconds(60)
            answer.estimated_improvement.cpu_cores_freed = -0.2
            return answer

    async def AllocateResources(self, request: Any, context: Any) -> Any:
        async with self._call("AllocateResources", request, context):
            answer = resource_service_pb2.ResourceAllocation(
                instance_id=request.instance_id,
                namespace=request.namespace or "default",
                web_port=request.web_port or 8000,
                resources=request.resources,
            )
            answer.callback_port_range.start = answer.web_port + 50
            answer.callback_port_range.end = answer.web_port + 99
            return answer

    async def DeallocateResources(self, request: Any, context: Any) -> empty_pb2.Empty:
        async with self._call("DeallocateResources", request, context):
            return empty_pb2.Empty()
