"""Keeps the ledger true: compares reservations with instances and repairs both ways.

A reservation and the record of its instance are written by two services, one after the other,
so a single look may see one without the other. A difference is repaired only when two passes
in a row saw the very same one; what would be taken back, only when it was last reserved longer
ago than anything in flight can last; and each repair only if the reservation is still the one
that was looked at. If the instances cannot be listed to the end, nothing is repaired.
"""

import asyncio
import random
import time

import structlog
from prometheus_client import Counter, Gauge

from services.chassis import connectors, context, errors, leases
from services.quota import holdings
from services.quota.instances import Instances
from services.quota.store import Store

_log = structlog.get_logger(__name__)

REPAIRS = Counter(
    "codestudio_quota_repairs",
    "Repairs: reservations released, reserved, resized; usage recounted.",
    ("kind",),
)
PASSES = Counter(
    "codestudio_quota_reconcile_passes", "Comparisons with instances, by outcome.", ("outcome",)
)
LAST_PASS = Gauge(
    "codestudio_quota_reconcile_last_success_timestamp_seconds",
    "When the ledger was last compared with instances to the end.",
)
UNCONFIRMED = Gauge(
    "codestudio_quota_reconcile_unconfirmed", "Differences waiting for the next comparison."
)

_PASS_SECONDS = 60.0
_LEASE_KEY = "lease:quota-reconcile"
_LEASE_SECONDS = 15.0
# Passes between two walks over all keys: about ten minutes.
_REBUILD_EVERY = 20
_NAMES_PER_READ = 1000


class Reconciler:
    """Compares and repairs, one replica at a time."""

    def __init__(
        self,
        *,
        store: Store,
        instances: Instances,
        redis: connectors.Redis,
        every_seconds: float,
        confirm_seconds: float,
        grace_seconds: float,
    ) -> None:
        self._store = store
        self._instances = instances
        self._redis = redis
        self._every = every_seconds
        self._confirm = min(confirm_seconds, every_seconds)
        self._grace = grace_seconds
        self._unconfirmed: set[holdings.Difference] = set()
        self._passes = 0

    async def run(self) -> None:
        """Compare and repair for ever."""
        await self._redis.wait_ready()
        while True:
            await self._try_once()
            pause = self._confirm if self._unconfirmed else self._every
            await asyncio.sleep(pause * random.uniform(0.9, 1))  # noqa: S311 - jitter

    async def once(self) -> int:
        """Compare once and repair what the comparison before saw too; how much was repaired.

        Raises:
            errors.DomainError: The instances could not be listed, or another replica is at it
                (LEASE_HELD); nothing was repaired.
        """
        lease = leases.Lease(self._redis.client, _LEASE_KEY, _LEASE_SECONDS)
        async with lease, asyncio.timeout(_PASS_SECONDS):
            if self._passes % _REBUILD_EVERY == 0:
                await self._store.rebuild_index()
            self._passes += 1
            names = await self._names()
            held = {name: await self._store.reservations(name) for name in names}
            instances = await self._instances.all()
            found = holdings.differences(held, instances)
            confirmed, self._unconfirmed = found & self._unconfirmed, found
            repaired = 0
            for difference in confirmed:
                repaired += await self._repair(difference)
            namespaces = {*names, *(difference.namespace for difference in confirmed)}
            repaired += await self._tidy(sorted(namespaces))
        UNCONFIRMED.set(len(self._unconfirmed))
        LAST_PASS.set(time.time())
        return repaired

    async def _try_once(self) -> None:
        try:
            with context.scope("reconcile", seconds=_PASS_SECONDS):
                await self.once()
            PASSES.labels("compared").inc()
        except Exception as error:
            known = errors.from_exception(error)
            if known.code == "LEASE_HELD":
                self._unconfirmed = set()
                PASSES.labels("left_to_another").inc()
                return
            if isinstance(known, errors.Internal):
                raise
            PASSES.labels("failed").inc()
            _log.warning("reconcile failed; nothing repaired", code=known.code, why=known.message)

    async def _names(self) -> list[str]:
        names: list[str] = []
        while page := await self._store.names(
            after=names[-1] if names else "", count=_NAMES_PER_READ
        ):
            names += page
        return names

    async def _repair(self, difference: holdings.Difference) -> bool:
        done = await self._store.repair(
            difference.namespace,
            difference.instance_id,
            looked_at=difference.looked_at,
            grace_seconds=self._grace,
            amounts=difference.amounts,
        )
        if done:
            self._unconfirmed.discard(difference)
            REPAIRS.labels(difference.kind).inc()
            _log.warning(
                "reservation repaired",
                repair=difference.kind,
                namespace=difference.namespace,
                instance_id=difference.instance_id,
                before=difference.looked_at,
                now=str(difference.amounts),
            )
        return done

    async def _tidy(self, names: list[str]) -> int:
        """Recount usage, and list namespaces that hold nothing no longer."""
        repaired = 0
        for name in names:
            before = await self._store.recount(name)
            if before is not None:
                repaired += 1
                REPAIRS.labels("recount").inc()
                _log.warning("usage recounted", namespace=name, before=str(before))
        for name, account in zip(names, await self._store.accounts(names), strict=True):
            if account.is_empty:
                await self._store.forget(name)
        return repaired
