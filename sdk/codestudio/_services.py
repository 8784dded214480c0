"""The middle tier: the services' calls with their own messages, made with care.

One method a call, named after it. Every one takes the request message and a `timeout` in
seconds (default: the client's), and raises CodeStudioError. Reads, calls that change nothing
when done again, and creations with a request_id are repeated while unavailable.
"""

from collections.abc import AsyncGenerator

from codestudio._transport import Transport
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from codestudio.instance.v1.instance_service_pb2_grpc import InstanceServiceStub
from codestudio.path.v1 import path_service_pb2
from codestudio.path.v1.path_service_pb2_grpc import PathServiceStub
from codestudio.quota.v1 import quota_service_pb2
from codestudio.quota.v1.quota_service_pb2_grpc import QuotaServiceStub
from codestudio.resource.v1 import resource_service_pb2
from codestudio.resource.v1.resource_service_pb2_grpc import ResourceServiceStub


class InstanceService:
    """codestudio.instance.v1.InstanceService."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create_instance(
        self, request: instance_service_pb2.CreateInstanceRequest, *, timeout: float | None = None
    ) -> instance_pb2.Instance:
        """Create an instance."""
        return await self._transport.unary(
            self._transport.stub(InstanceServiceStub).CreateInstance,
            request,
            timeout=timeout,
            repeatable=bool(request.request_id) or request.validate_only,
        )

    async def get_instance(
        self, request: instance_service_pb2.GetInstanceRequest, *, timeout: float | None = None
    ) -> instance_pb2.Instance:
        """Return one instance."""
        return await self._transport.unary(
            self._transport.stub(InstanceServiceStub).GetInstance,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def list_instances(
        self, request: instance_service_pb2.ListInstancesRequest, *, timeout: float | None = None
    ) -> instance_service_pb2.ListInstancesResponse:
        """Return one page of instances."""
        return await self._transport.unary(
            self._transport.stub(InstanceServiceStub).ListInstances,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def update_instance(
        self, request: instance_service_pb2.UpdateInstanceRequest, *, timeout: float | None = None
    ) -> instance_pb2.Instance:
        """Change an instance."""
        return await self._transport.unary(
            self._transport.stub(InstanceServiceStub).UpdateInstance,
            request,
            timeout=timeout,
            repeatable=not request.instance.etag,
        )

    async def delete_instance(
        self, request: instance_service_pb2.DeleteInstanceRequest, *, timeout: float | None = None
    ) -> None:
        """Delete an instance and its disk."""
        await self._transport.unary(
            self._transport.stub(InstanceServiceStub).DeleteInstance,
            request,
            timeout=timeout,
            repeatable=not request.etag,
        )

    async def start_instance(
        self, request: instance_service_pb2.StartInstanceRequest, *, timeout: float | None = None
    ) -> instance_pb2.Instance:
        """Start an instance."""
        return await self._transport.unary(
            self._transport.stub(InstanceServiceStub).StartInstance,
            request,
            timeout=timeout,
            repeatable=not request.etag,
        )

    async def stop_instance(
        self, request: instance_service_pb2.StopInstanceRequest, *, timeout: float | None = None
    ) -> instance_pb2.Instance:
        """Stop an instance, keep its disk."""
        return await self._transport.unary(
            self._transport.stub(InstanceServiceStub).StopInstance,
            request,
            timeout=timeout,
            repeatable=not request.etag,
        )

    async def keep_instance_alive(
        self,
        request: instance_service_pb2.KeepInstanceAliveRequest,
        *,
        timeout: float | None = None,
    ) -> instance_pb2.Instance:
        """Have an instance count as used for a while."""
        return await self._transport.unary(
            self._transport.stub(InstanceServiceStub).KeepInstanceAlive,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def batch_create_instances(
        self,
        request: instance_service_pb2.BatchCreateInstancesRequest,
        *,
        timeout: float | None = None,
    ) -> instance_service_pb2.BatchCreateInstancesResponse:
        """Create up to 100 instances."""
        return await self._transport.unary(
            self._transport.stub(InstanceServiceStub).BatchCreateInstances,
            request,
            timeout=timeout,
            repeatable=bool(request.request_id),
        )

    async def get_instance_status(
        self,
        request: instance_service_pb2.GetInstanceStatusRequest,
        *,
        timeout: float | None = None,
    ) -> instance_service_pb2.InstanceStatus:
        """Return where an instance is in its life."""
        return await self._transport.unary(
            self._transport.stub(InstanceServiceStub).GetInstanceStatus,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def get_instance_logs(
        self, request: instance_service_pb2.GetInstanceLogsRequest, *, timeout: float | None = None
    ) -> instance_service_pb2.InstanceLogs:
        """Return the last lines the editor of an instance wrote."""
        return await self._transport.unary(
            self._transport.stub(InstanceServiceStub).GetInstanceLogs,
            request,
            timeout=timeout,
            repeatable=True,
        )

    def watch_instances(
        self, request: instance_service_pb2.WatchInstancesRequest
    ) -> AsyncGenerator[instance_service_pb2.WatchInstancesResponse]:
        """Stream instances and their changes, once: it does not resume by itself."""
        return self._transport.stream(
            self._transport.stub(InstanceServiceStub).WatchInstances, request
        )


class PathService:
    """codestudio.path.v1.PathService."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get_path_info(
        self, request: path_service_pb2.GetPathInfoRequest, *, timeout: float | None = None
    ) -> path_service_pb2.PathInfo:
        """Return the directories of an instance."""
        return await self._transport.unary(
            self._transport.stub(PathServiceStub).GetPathInfo,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def validate_paths(
        self, request: path_service_pb2.ValidatePathsRequest, *, timeout: float | None = None
    ) -> path_service_pb2.ValidationResult:
        """Tell of paths whether they can be used."""
        return await self._transport.unary(
            self._transport.stub(PathServiceStub).ValidatePaths,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def get_project_structure(
        self, request: path_service_pb2.GetProjectStructureRequest, *, timeout: float | None = None
    ) -> path_service_pb2.ProjectStructure:
        """Return one page of what is in a workspace."""
        return await self._transport.unary(
            self._transport.stub(PathServiceStub).GetProjectStructure,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def test_paths(
        self, request: path_service_pb2.TestPathsRequest, *, timeout: float | None = None
    ) -> path_service_pb2.TestResult:
        """Test directories; leaves nothing behind, so it may be repeated."""
        return await self._transport.unary(
            self._transport.stub(PathServiceStub).TestPaths,
            request,
            timeout=timeout,
            repeatable=True,
        )


class QuotaService:
    """codestudio.quota.v1.QuotaService."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get_quota(
        self, request: quota_service_pb2.GetQuotaRequest, *, timeout: float | None = None
    ) -> quota_service_pb2.Quota:
        """Return the limits and usage of a namespace."""
        return await self._transport.unary(
            self._transport.stub(QuotaServiceStub).GetQuota,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def update_quota(
        self, request: quota_service_pb2.UpdateQuotaRequest, *, timeout: float | None = None
    ) -> quota_service_pb2.Quota:
        """Change the limits of a namespace."""
        return await self._transport.unary(
            self._transport.stub(QuotaServiceStub).UpdateQuota,
            request,
            timeout=timeout,
            repeatable=not request.quota.etag,
        )

    async def list_quotas(
        self, request: quota_service_pb2.ListQuotasRequest, *, timeout: float | None = None
    ) -> quota_service_pb2.ListQuotasResponse:
        """Return one page of quotas."""
        return await self._transport.unary(
            self._transport.stub(QuotaServiceStub).ListQuotas,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def check_quota(
        self, request: quota_service_pb2.CheckQuotaRequest, *, timeout: float | None = None
    ) -> quota_service_pb2.CheckQuotaResponse:
        """Tell whether a reservation would succeed."""
        return await self._transport.unary(
            self._transport.stub(QuotaServiceStub).CheckQuota,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def reserve_quota(
        self, request: quota_service_pb2.ReserveQuotaRequest, *, timeout: float | None = None
    ) -> quota_service_pb2.Reservation:
        """Reserve for an instance. For services and administrators."""
        return await self._transport.unary(
            self._transport.stub(QuotaServiceStub).ReserveQuota,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def release_quota(
        self, request: quota_service_pb2.ReleaseQuotaRequest, *, timeout: float | None = None
    ) -> None:
        """Give back what an instance holds. For services and administrators."""
        await self._transport.unary(
            self._transport.stub(QuotaServiceStub).ReleaseQuota,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def batch_reserve_quota(
        self, request: quota_service_pb2.BatchReserveQuotaRequest, *, timeout: float | None = None
    ) -> quota_service_pb2.BatchReserveQuotaResponse:
        """Reserve for up to 1000 instances."""
        return await self._transport.unary(
            self._transport.stub(QuotaServiceStub).BatchReserveQuota,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def batch_release_quota(
        self, request: quota_service_pb2.BatchReleaseQuotaRequest, *, timeout: float | None = None
    ) -> quota_service_pb2.BatchReleaseQuotaResponse:
        """Give back what up to 1000 instances hold."""
        return await self._transport.unary(
            self._transport.stub(QuotaServiceStub).BatchReleaseQuota,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def reconcile_quota(
        self, request: quota_service_pb2.ReconcileQuotaRequest, *, timeout: float | None = None
    ) -> quota_service_pb2.ReconcileQuotaResponse:
        """Compare reservations with instances and repair what differs. For administrators."""
        return await self._transport.unary(
            self._transport.stub(QuotaServiceStub).ReconcileQuota,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def list_quota_repairs(
        self, request: quota_service_pb2.ListQuotaRepairsRequest, *, timeout: float | None = None
    ) -> quota_service_pb2.ListQuotaRepairsResponse:
        """Return the last repairs. For administrators."""
        return await self._transport.unary(
            self._transport.stub(QuotaServiceStub).ListQuotaRepairs,
            request,
            timeout=timeout,
            repeatable=True,
        )


class ResourceService:
    """codestudio.resource.v1.ResourceService, as far as it is for users."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get_resource_usage(
        self,
        request: resource_service_pb2.GetResourceUsageRequest,
        *,
        timeout: float | None = None,
    ) -> resource_service_pb2.ResourceUsage:
        """Return what instances use."""
        return await self._transport.unary(
            self._transport.stub(ResourceServiceStub).GetResourceUsage,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def optimize_resource_allocation(
        self,
        request: resource_service_pb2.OptimizeResourceAllocationRequest,
        *,
        timeout: float | None = None,
    ) -> resource_service_pb2.OptimizationResult:
        """Recommend sizes, or change to them."""
        return await self._transport.unary(
            self._transport.stub(ResourceServiceStub).OptimizeResourceAllocation,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def allocate_resources(
        self,
        request: resource_service_pb2.AllocateResourcesRequest,
        *,
        timeout: float | None = None,
    ) -> resource_service_pb2.ResourceAllocation:
        """Give an instance a port range."""
        return await self._transport.unary(
            self._transport.stub(ResourceServiceStub).AllocateResources,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def deallocate_resources(
        self,
        request: resource_service_pb2.DeallocateResourcesRequest,
        *,
        timeout: float | None = None,
    ) -> None:
        """Take back an instance's port range."""
        await self._transport.unary(
            self._transport.stub(ResourceServiceStub).DeallocateResources,
            request,
            timeout=timeout,
            repeatable=True,
        )
