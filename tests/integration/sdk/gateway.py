"""A small control plane behind a real gRPC server, whose faults a test can choose.

It keeps the instance service's contract (versions, etags, request ids, filters, watches that
resume) and nothing else: no Envoy, no database, no editor. The real one is tested end to end.
"""

from typing import Any

import grpc
import grpc.aio
from codestudio.config.v1 import config_service_pb2, config_service_pb2_grpc
from codestudio.instance.v1 import instance_service_pb2_grpc
from codestudio.quota.v1 import quota_service_pb2_grpc
from codestudio.resource.v1 import resource_service_pb2_grpc

from tests.integration.sdk.instances import Instances
from tests.integration.sdk.resources import Resources


class Gateway(Instances, Resources, config_service_pb2_grpc.ConfigServiceServicer):
    """The control plane."""

    def __init__(self) -> None:
        super().__init__()
        self.revisions = 0

    async def ListRevisions(self, request: Any, context: Any) -> Any:
        async with self._call("ListRevisions", request, context):
            newest = int(request.page_token or self.revisions)
            oldest = max(0, newest - min(request.page_size or 100, 1000))
            return config_service_pb2.ListRevisionsResponse(
                revisions=[
                    config_service_pb2.ConfigurationRevision(revision=number)
                    for number in range(newest, oldest, -1)
                ],
                next_page_token=str(oldest or ""),
            )

    def _register(self, server: grpc.aio.Server) -> None:
        instance_service_pb2_grpc.add_InstanceServiceServicer_to_server(self, server)
        quota_service_pb2_grpc.add_QuotaServiceServicer_to_server(self, server)
        resource_service_pb2_grpc.add_ResourceServiceServicer_to_server(self, server)
        config_service_pb2_grpc.add_ConfigServiceServicer_to_server(self, server)
