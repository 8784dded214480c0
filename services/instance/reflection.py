"""The public contracts, shown by our reflection for the whole gateway.

A tool that asks the gateway for contracts names no service in its path, so one service answers
for all; Envoy sends such questions here (`envoy/rds.public.yaml`).
"""

from codestudio.collaboration.v1 import collaboration_service_pb2
from codestudio.config.v1 import config_service_pb2
from codestudio.instance.v1 import instance_service_pb2
from codestudio.path.v1 import path_service_pb2
from codestudio.quota.v1 import quota_service_pb2
from codestudio.resource.v1 import resource_service_pb2

PUBLIC = tuple(
    service.full_name
    for contract in (
        instance_service_pb2,
        path_service_pb2,
        resource_service_pb2,
        collaboration_service_pb2,
        config_service_pb2,
        quota_service_pb2,
    )
    for service in contract.DESCRIPTOR.services_by_name.values()
)
"""Full names of all public services."""
