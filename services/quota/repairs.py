"""What was repaired, kept and told: the ledger never changes by itself without saying so."""

import datetime
from collections.abc import Iterable, Sequence

import nats.errors
import structlog
from codestudio.quota.v1 import quota_service_pb2 as pb
from google.protobuf import json_format
from prometheus_client import Counter

from services.chassis import clock, connectors
from services.quota import translation
from services.quota.amounts import Amounts
from services.quota.holdings import Difference
from services.quota.store import Store

_log = structlog.get_logger(__name__)

SUBJECT = "events.quota.repaired"
"""Where each repair is published in NATS, as a `QuotaRepair`; JetStream's EVENTS keeps it."""

KEPT = 1000
"""Repairs kept for `ListQuotaRepairs`, in all."""

REPAIRS = Counter(
    "codestudio_quota_repairs",
    "Repairs: reservations released, reserved, resized; usage recounted.",
    ("kind",),
)
_KINDS = {
    "release": pb.QuotaRepair.KIND_RELEASE,
    "reserve": pb.QuotaRepair.KIND_RESERVE,
    "resize": pb.QuotaRepair.KIND_RESIZE,
    "recount": pb.QuotaRepair.KIND_RECOUNT,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_FLUSH_SECONDS = 2


def of_difference(difference: Difference, withheld: str) -> pb.QuotaRepair:
    """Describe what was done about a reservation; `withheld` says why nothing was."""
    return _repair(
        difference.kind,
        difference.namespace,
        before=difference.before,
        after=difference.amounts,
        reason=difference.reason,
        withheld=withheld,
        instance_id=difference.instance_id,
    )


def of_recount(namespace: str, before: Amounts, after: Amounts, withheld: str) -> pb.QuotaRepair:
    """Describe what was done about usage that was not the sum of the reservations."""
    reason = "the usage was not the sum of the reservations"
    return _repair(
        "recount", namespace, before=before, after=after, reason=reason, withheld=withheld
    )


class Journal:
    """Keeps the last repairs, and tells of each: counter, log, event."""

    def __init__(self, *, store: Store, nats: connectors.Nats) -> None:
        self._store = store
        self._nats = nats

    async def note(self, repairs: Iterable[pb.QuotaRepair]) -> None:
        """Keep and tell those that were done."""
        done = [one for one in repairs if one.applied]
        if not done:
            return
        for one in done:
            kind = _NAMES[one.kind]
            REPAIRS.labels(kind).inc()
            _log.warning("ledger repaired", repair=kind, **_fields(one))
        lines = [
            json_format.MessageToJson(one, preserving_proto_field_name=True, indent=None)
            for one in done
        ]
        await self._store.keep_repairs(lines, KEPT)
        await self._publish(done)

    async def last(self, namespace: str, count: int) -> list[pb.QuotaRepair]:
        """Give up to `count` of the last repairs, newest first; of one namespace if named."""
        lines = await self._store.kept_repairs(KEPT)
        kept = [
            json_format.Parse(line, pb.QuotaRepair(), ignore_unknown_fields=True) for line in lines
        ]
        return [one for one in kept if namespace in ("", one.namespace)][:count]

    async def _publish(self, repairs: Sequence[pb.QuotaRepair]) -> None:
        """Tell whoever listens; who does not hear it now can still list it."""
        if not self._nats.ready:
            return
        try:
            for one in repairs:
                await self._nats.client.publish(SUBJECT, one.SerializeToString())
            await self._nats.client.flush(timeout=_FLUSH_SECONDS)
        except (TimeoutError, nats.errors.Error, OSError) as error:
            _log.info("repairs not published", why=str(error) or type(error).__name__)


def _repair(
    kind: str,
    namespace: str,
    *,
    before: Amounts | None,
    after: Amounts | None,
    reason: str,
    withheld: str,
    instance_id: str = "",
    now: datetime.datetime | None = None,
) -> pb.QuotaRepair:
    return pb.QuotaRepair(
        kind=_KINDS[kind],
        namespace=namespace,
        instance_id=instance_id,
        before=translation.amounts(before) if before is not None else None,
        after=translation.amounts(after) if after is not None else None,
        reason=reason,
        applied=not withheld,
        withheld=withheld,
        time=translation.timestamp(now or clock.now()),
    )


def _fields(repair: pb.QuotaRepair) -> dict[str, object]:
    found: dict[str, object] = json_format.MessageToDict(repair, preserving_proto_field_name=True)
    return {name: value for name, value in found.items() if name not in ("kind", "applied", "time")}
