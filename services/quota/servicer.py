"""The contract of the quota service, in terms of its ledger."""

import datetime
from typing import Any, TypeAlias

import grpc
from codestudio.quota.v1 import quota_service_pb2, quota_service_pb2_grpc
from google.protobuf import empty_pb2, timestamp_pb2

from services.chassis import identity
from services.chassis.validation import Violations
from services.quota import requests
from services.quota.amounts import Amounts, quantity
from services.quota.ledger import Ledger, Standing

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class QuotaServicer(quota_service_pb2_grpc.QuotaServiceServicer):
    """Limits and reservations of namespaces."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger

    async def GetQuota(
        self, request: quota_service_pb2.GetQuotaRequest, context: _Context
    ) -> quota_service_pb2.Quota:
        """Return limits and usage of a namespace."""
        wrong = Violations()
        namespace = requests.namespace(wrong, "namespace", request.namespace)
        wrong.check()
        return _quota(await self._ledger.standing(namespace))

    async def UpdateQuota(
        self, request: quota_service_pb2.UpdateQuotaRequest, context: _Context
    ) -> quota_service_pb2.Quota:
        """Change limits of a namespace."""
        wrong = Violations()
        namespace = requests.namespace(wrong, "quota.namespace", request.quota.namespace)
        changes = requests.changes(wrong, request)
        wrong.check()
        return _quota(await self._ledger.update(namespace, changes, etag=request.quota.etag))

    async def ListQuotas(
        self, request: quota_service_pb2.ListQuotasRequest, context: _Context
    ) -> quota_service_pb2.ListQuotasResponse:
        """List the namespaces the caller may use."""
        wrong = Violations()
        size, after = requests.page(wrong, request)
        wrong.check()
        standings, more = await self._ledger.standings(
            after=after, count=size, visible=identity.current().may_use_namespace
        )
        return quota_service_pb2.ListQuotasResponse(
            quotas=map(_quota, standings),
            next_page_token=requests.page_token(standings[-1].namespace) if more else "",
        )

    async def CheckQuota(
        self, request: quota_service_pb2.CheckQuotaRequest, context: _Context
    ) -> quota_service_pb2.CheckQuotaResponse:
        """Tell whether a reservation would succeed."""
        wrong = Violations()
        namespace = requests.namespace(wrong, "namespace", request.namespace)
        instance_id = requests.instance_id(
            wrong, "instance_id", request.instance_id, required=False
        )
        asked = requests.check(wrong, request)
        wrong.check()
        shortages = await self._ledger.check(namespace, instance_id, asked)
        return quota_service_pb2.CheckQuotaResponse(
            allowed=not shortages,
            shortages=[
                quota_service_pb2.QuotaShortage(resource=shortage.resource, **shortage.facts())
                for shortage in shortages
            ],
        )

    async def ReserveQuota(
        self, request: quota_service_pb2.ReserveQuotaRequest, context: _Context
    ) -> quota_service_pb2.Reservation:
        """Reserve for an instance."""
        wrong = Violations()
        namespace = requests.namespace(wrong, "namespace", request.namespace)
        instance_id = requests.instance_id(wrong, "instance_id", request.instance_id)
        asked = requests.reservation(wrong, request)
        wrong.check()
        reservation = await self._ledger.reserve(namespace, instance_id, asked)
        return quota_service_pb2.Reservation(
            namespace=namespace,
            instance_id=instance_id,
            amounts=_amounts(reservation.amounts),
            create_time=_timestamp(reservation.create_time),
        )

    async def ReleaseQuota(
        self, request: quota_service_pb2.ReleaseQuotaRequest, context: _Context
    ) -> empty_pb2.Empty:
        """Give back what an instance holds."""
        wrong = Violations()
        namespace = requests.namespace(wrong, "namespace", request.namespace)
        instance_id = requests.instance_id(wrong, "instance_id", request.instance_id)
        wrong.check()
        await self._ledger.release(namespace, instance_id)
        return empty_pb2.Empty()


def _quota(standing: Standing) -> quota_service_pb2.Quota:
    return quota_service_pb2.Quota(
        namespace=standing.namespace,
        limits=_amounts(standing.limits),
        usage=_amounts(standing.usage),
        reservations=standing.reservations,
        is_default=standing.is_default,
        update_time=_timestamp(standing.update_time) if standing.update_time else None,
        etag=standing.etag,
    )


def _amounts(amounts: Amounts) -> quota_service_pb2.Amounts:
    return quota_service_pb2.Amounts(
        instances=amounts.instances,
        cpu=quantity("cpu", amounts.cpu),
        memory=quantity("memory", amounts.memory),
        storage=quantity("storage", amounts.storage),
    )


def _timestamp(moment: datetime.datetime) -> timestamp_pb2.Timestamp:
    timestamp = timestamp_pb2.Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
