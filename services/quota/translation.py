"""The domain's terms in those of the contract."""

import datetime

from codestudio.quota.v1 import quota_service_pb2
from google.protobuf import timestamp_pb2

from services.quota.amounts import Amounts, quantity
from services.quota.ledger import Standing
from services.quota.store import Reservation


def quota(standing: Standing) -> quota_service_pb2.Quota:
    """Write limits and usage of a namespace."""
    return quota_service_pb2.Quota(
        namespace=standing.namespace,
        limits=amounts(standing.limits),
        usage=amounts(standing.usage),
        reservations=standing.reservations,
        is_default=standing.is_default,
        update_time=timestamp(standing.update_time) if standing.update_time else None,
        etag=standing.etag,
    )


def reservation(
    namespace: str, instance_id: str, held: Reservation
) -> quota_service_pb2.Reservation:
    """Write what an instance holds."""
    return quota_service_pb2.Reservation(
        namespace=namespace,
        instance_id=instance_id,
        amounts=amounts(held.amounts),
        create_time=timestamp(held.create_time),
    )


def amounts(given: Amounts) -> quota_service_pb2.Amounts:
    """Write amounts as quantities."""
    return quota_service_pb2.Amounts(
        instances=given.instances,
        cpu=quantity("cpu", given.cpu),
        memory=quantity("memory", given.memory),
        storage=quantity("storage", given.storage),
    )


def timestamp(moment: datetime.datetime) -> timestamp_pb2.Timestamp:
    """Write a time."""
    written = timestamp_pb2.Timestamp()
    written.FromDatetime(moment)
    return written
