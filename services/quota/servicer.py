"""The contract of the quota service, in terms of its ledger."""

from typing import Any, TypeAlias

import grpc
from codestudio.quota.v1 import quota_service_pb2, quota_service_pb2_grpc
from google.protobuf import empty_pb2

from services.chassis import errors, identity
from services.chassis.validation import Violations
from services.quota import batch, requests, translation
from services.quota.amounts import quantity
from services.quota.ledger import Ledger, exceeded
from services.quota.reconcile import Reconciler
from services.quota.repairs import Journal

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class QuotaServicer(quota_service_pb2_grpc.QuotaServiceServicer):
    """Limits and reservations of namespaces."""

    def __init__(self, *, ledger: Ledger, reconciler: Reconciler, journal: Journal) -> None:
        self._ledger = ledger
        self._reconciler = reconciler
        self._journal = journal

    async def GetQuota(
        self, request: quota_service_pb2.GetQuotaRequest, context: _Context
    ) -> quota_service_pb2.Quota:
        """Return limits and usage of a namespace."""
        wrong = Violations()
        namespace = requests.namespace(wrong, "namespace", request.namespace)
        wrong.check()
        return translation.quota(await self._ledger.standing(namespace))

    async def UpdateQuota(
        self, request: quota_service_pb2.UpdateQuotaRequest, context: _Context
    ) -> quota_service_pb2.Quota:
        """Change limits of a namespace."""
        wrong = Violations()
        namespace = requests.namespace(wrong, "quota.namespace", request.quota.namespace)
        changes = requests.changes(wrong, request)
        wrong.check()
        return translation.quota(
            await self._ledger.update(namespace, changes, etag=request.quota.etag)
        )

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
            quotas=map(translation.quota, standings),
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
                quota_service_pb2.QuotaShortage(
                    resource=shortage.resource,
                    held=quantity(shortage.resource, shortage.held) if shortage.held else "",
                    **shortage.facts(),
                )
                for shortage in shortages
            ],
            refusal=errors.to_detail(exceeded(namespace, instance_id, shortages))
            if shortages
            else None,
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
        return translation.reservation(namespace, instance_id, reservation)

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

    async def BatchReserveQuota(
        self, request: quota_service_pb2.BatchReserveQuotaRequest, context: _Context
    ) -> quota_service_pb2.BatchReserveQuotaResponse:
        """Reserve for many instances."""
        outcomes = await batch.reserve(request.requests, ledger=self._ledger)
        failed = sum(isinstance(one, errors.DomainError) for one in outcomes)
        return quota_service_pb2.BatchReserveQuotaResponse(
            results=[
                quota_service_pb2.BatchReserveResult(error=errors.to_detail(one))
                if isinstance(one, errors.DomainError)
                else quota_service_pb2.BatchReserveResult(
                    reservation=translation.reservation(asked.namespace, asked.instance_id, one)
                )
                for asked, one in zip(request.requests, outcomes, strict=True)
            ],
            reserved=len(outcomes) - failed,
            failed=failed,
        )

    async def BatchReleaseQuota(
        self, request: quota_service_pb2.BatchReleaseQuotaRequest, context: _Context
    ) -> quota_service_pb2.BatchReleaseQuotaResponse:
        """Give back what many instances hold."""
        outcomes = await batch.release(request.requests, ledger=self._ledger)
        failed = sum(one is not None for one in outcomes)
        return quota_service_pb2.BatchReleaseQuotaResponse(
            results=[
                quota_service_pb2.BatchReleaseResult(error=errors.to_detail(one) if one else None)
                for one in outcomes
            ],
            released=len(outcomes) - failed,
            failed=failed,
        )

    async def ReconcileQuota(
        self, request: quota_service_pb2.ReconcileQuotaRequest, context: _Context
    ) -> quota_service_pb2.ReconcileQuotaResponse:
        """Compare reservations with instances and repair what differs."""
        wrong = Violations()
        namespace = requests.namespace(wrong, "namespace", request.namespace, required=False)
        wrong.check()
        report = await self._reconciler.asked(namespace, validate_only=request.validate_only)
        return quota_service_pb2.ReconcileQuotaResponse(
            repairs=report.repairs,
            applied=sum(one.applied for one in report.repairs),
            instances=report.look.instances,
            reservations=report.look.reservations,
        )

    async def ListQuotaRepairs(
        self, request: quota_service_pb2.ListQuotaRepairsRequest, context: _Context
    ) -> quota_service_pb2.ListQuotaRepairsResponse:
        """List the last repairs."""
        wrong = Violations()
        namespace = requests.namespace(wrong, "namespace", request.namespace, required=False)
        size = requests.page_size(wrong, request.page_size)
        wrong.check()
        return quota_service_pb2.ListQuotaRepairsResponse(
            repairs=await self._journal.last(namespace, size)
        )
