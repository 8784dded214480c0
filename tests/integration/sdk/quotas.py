"""Quota of the small control plane: limits, and what its instances count for."""

from typing import Any

from codestudio.instance.v1 import instance_pb2
from codestudio.quota.v1 import quota_service_pb2, quota_service_pb2_grpc

from tests.integration.sdk.faulty import Faulty


class Quotas(Faulty, quota_service_pb2_grpc.QuotaServiceServicer):
    """Keeps one set of limits for all namespaces."""

    def __init__(self) -> None:
        super().__init__()
        self.instances: dict[str, instance_pb2.Instance] = {}
        self.quota = quota_service_pb2.Amounts(instances=10, cpu="20", memory="40Gi", storage="1Ti")
        self.default_quota = quota_service_pb2.Amounts()
        self.default_quota.CopyFrom(self.quota)

    async def GetQuota(self, request: Any, context: Any) -> quota_service_pb2.Quota:
        async with self._call("GetQuota", request, context):
            return self._quota(request.namespace)

    async def UpdateQuota(self, request: Any, context: Any) -> quota_service_pb2.Quota:
        async with self._call("UpdateQuota", request, context):
            for path in request.update_mask.paths:
                field = path.removeprefix("limits.")
                setattr(self.quota, field, getattr(request.quota.limits, field))
            for field in request.reset:
                setattr(self.quota, field, getattr(self.default_quota, field))
            return self._quota(request.quota.namespace)

    async def ListQuotas(self, request: Any, context: Any) -> Any:
        async with self._call("ListQuotas", request, context):
            return quota_service_pb2.ListQuotasResponse(quotas=[self._quota("default")])

    async def CheckQuota(self, request: Any, context: Any) -> Any:
        async with self._call("CheckQuota", request, context):
            allowed = request.amounts.instances <= self.quota.instances
            response = quota_service_pb2.CheckQuotaResponse(allowed=allowed)
            if not allowed:
                response.shortages.add(
                    resource="instances",
                    limit=str(self.quota.instances),
                    used="0",
                    requested=str(request.amounts.instances),
                    exceeded_by=str(request.amounts.instances - self.quota.instances),
                    held="2" if request.instance_id else "",
                )
            return response

    async def ReserveQuota(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def ReleaseQuota(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    def _quota(self, namespace: str) -> quota_service_pb2.Quota:
        return quota_service_pb2.Quota(
            namespace=namespace,
            limits=self.quota,
            usage=quota_service_pb2.Amounts(
                instances=len(self.instances), cpu="0", memory="0", storage="0"
            ),
            is_default=True,
        )
