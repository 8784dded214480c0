"""Quotas: what each namespace may use at once, and what it does."""

import builtins
import datetime
from collections.abc import Collection
from typing import NamedTuple

from google.protobuf import field_mask_pb2

from codestudio import _amounts, _messages
from codestudio._pager import AsyncPager
from codestudio._reconciliation import QuotaRepair, Reconciliation
from codestudio._reservations import Reservation, Reservations
from codestudio._services import QuotaService
from codestudio.quota.v1 import quota_service_pb2

_RECONCILE_SECONDS = 30.0


class QuotaShortage(NamedTuple):
    """A limit that is in the way."""

    resource: str
    """"instances", "cpu", "memory" or "storage"."""
    limit: str
    """The limit."""
    used: str
    """What the namespace holds."""
    requested: str
    """What was asked for."""
    exceeded_by: str
    """By how much the limit would be passed."""
    held: str = ""
    """What the instance asked about holds of `used`, and would hold no longer; empty for none."""


class Quota(_messages.View[quota_service_pb2.Quota]):
    """Limits and usage of a namespace."""

    @property
    def namespace(self) -> str:
        """Its name."""
        return self.proto.namespace

    @property
    def limits(self) -> _amounts.Amounts:
        """What it may hold at once."""
        return _amounts.read(self.proto.limits)

    @property
    def usage(self) -> _amounts.Amounts:
        """What it holds."""
        return _amounts.read(self.proto.usage)

    @property
    def reservations(self) -> int:
        """Instances that hold something."""
        return self.proto.reservations

    @property
    def is_default(self) -> bool:
        """Whether these are the default limits."""
        return self.proto.is_default

    @property
    def update_time(self) -> datetime.datetime | None:
        """When the limits were last changed; None where they are the default."""
        return _messages.time(self.proto, "update_time")

    @property
    def etag(self) -> str:
        """Changes when the limits change."""
        return self.proto.etag


class QuotaCheck(_messages.View[quota_service_pb2.CheckQuotaResponse]):
    """Whether a reservation would succeed. True or false itself."""

    @property
    def allowed(self) -> bool:
        """Whether it would."""
        return self.proto.allowed

    @property
    def shortages(self) -> tuple[QuotaShortage, ...]:
        """The limits in the way."""
        return tuple(
            QuotaShortage(*(getattr(each, name) for name in QuotaShortage._fields))
            for each in self.proto.shortages
        )

    def __bool__(self) -> bool:
        return self.allowed


class AsyncQuotas:
    """The quotas of all namespaces; `client.quotas`.

    All methods raise CodeStudioError; `timeout` is in seconds.
    """

    def __init__(self, service: QuotaService) -> None:
        self._service = service
        self._reservations = Reservations(service)

    async def get(self, namespace: str = "default", *, timeout: float | None = None) -> Quota:
        """Give the limits and usage of a namespace; one never written has the default limits."""
        request = quota_service_pb2.GetQuotaRequest(namespace=namespace)
        return Quota(await self._service.get_quota(request, timeout=timeout))

    async def update(
        self,
        namespace: str,
        *,
        instances: int | None = None,
        cpu: str | float | None = None,
        memory: str | int | None = None,
        storage: str | int | None = None,
        reset: Collection[str] = (),
        etag: str = "",
        timeout: float | None = None,
    ) -> Quota:
        """Change the limits that are given and keep the others.

        Those named in `reset` ("instances", "cpu", "memory", "storage") become the default again
        and follow it from then on. A limit below what is in use stops new reservations, not what
        runs. With an `etag`, raises Aborted when the limits have changed since.
        """
        given = {"instances": instances, "cpu": cpu, "memory": memory, "storage": storage}
        paths = [f"limits.{name}" for name, value in given.items() if value is not None]
        if not paths and not reset:
            raise ValueError("name at least one limit to change")
        request = quota_service_pb2.UpdateQuotaRequest(
            quota=quota_service_pb2.Quota(
                namespace=namespace,
                limits=_amounts.request(instances, cpu, memory, storage),
                etag=etag,
            ),
            update_mask=field_mask_pb2.FieldMask(paths=paths) if paths else None,
            reset=reset,
        )
        return Quota(await self._service.update_quota(request, timeout=timeout))

    def list(
        self, *, page_size: int = 0, page_token: str = "", timeout: float | None = None
    ) -> AsyncPager[Quota]:
        """List the namespaces that have limits of their own or use something, by name.

        `page_size` is 1 to 1000, by default 100; `timeout` counts for each page.
        """

        async def fetch(token: str) -> quota_service_pb2.ListQuotasResponse:
            request = quota_service_pb2.ListQuotasRequest(
                page_size=page_size, page_token=token or page_token
            )
            return await self._service.list_quotas(request, timeout=timeout)

        return AsyncPager(fetch, "quotas", Quota)

    async def check(
        self,
        namespace: str = "default",
        *,
        instances: int = 1,
        cpu: str | float | None = None,
        memory: str | int | None = None,
        storage: str | int | None = None,
        instance_id: str = "",
        timeout: float | None = None,
    ) -> QuotaCheck:
        """Tell whether so much more would be allowed; reserves nothing.

        With an `instance_id`, what that instance holds already is not counted twice.
        """
        request = quota_service_pb2.CheckQuotaRequest(
            namespace=namespace,
            amounts=_amounts.request(instances, cpu, memory, storage),
            instance_id=instance_id,
        )
        return QuotaCheck(await self._service.check_quota(request, timeout=timeout))

    async def reserve(
        self,
        namespace: str,
        instance_id: str,
        *,
        instances: int = 1,
        cpu: str | float | None = None,
        memory: str | int | None = None,
        storage: str | int | None = None,
        timeout: float | None = None,
    ) -> Reservation:
        """Reserve for an instance, all or nothing, in place of what it holds. For administrators.

        Instances reserve by themselves; this is for mending by hand and for services. What an
        instance does not need, reconciliation takes back. Calls at about the same time travel
        together. Raises QuotaExceeded.
        """
        request = quota_service_pb2.ReserveQuotaRequest(
            namespace=namespace,
            instance_id=instance_id,
            amounts=_amounts.request(instances, cpu, memory, storage),
        )
        return await self._reservations.reserve(request, timeout)

    async def release(
        self, namespace: str, instance_id: str, *, timeout: float | None = None
    ) -> None:
        """Give back what an instance holds, if anything. For administrators.

        Calls at about the same time travel together.
        """
        request = quota_service_pb2.ReleaseQuotaRequest(
            namespace=namespace, instance_id=instance_id
        )
        await self._reservations.release(request, timeout)

    async def reconcile(
        self, namespace: str = "", *, validate_only: bool = False, timeout: float | None = None
    ) -> Reconciliation:
        """Compare reservations with instances now and repair what differs. For administrators.

        In one namespace, or in all. Takes the five seconds between two comparisons where
        something differs; `timeout` is 30 by default. With `validate_only` nothing is repaired.
        """
        request = quota_service_pb2.ReconcileQuotaRequest(
            namespace=namespace, validate_only=validate_only
        )
        allowed = _RECONCILE_SECONDS if timeout is None else timeout
        return Reconciliation(await self._service.reconcile_quota(request, timeout=allowed))

    async def repairs(
        self, namespace: str = "", *, count: int = 100, timeout: float | None = None
    ) -> builtins.list[QuotaRepair]:
        """Give the last repairs of the ledger, newest first. For administrators.

        Of one namespace, or of all; `count` is 1 to 1000.
        """
        request = quota_service_pb2.ListQuotaRepairsRequest(namespace=namespace, page_size=count)
        response = await self._service.list_quota_repairs(request, timeout=timeout)
        return [QuotaRepair(each) for each in response.repairs]
