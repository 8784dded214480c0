"""Keeps the ledger true: compares reservations with instances and repairs both ways.

A reservation and the record of its instance are written by two services, one after the other,
so a single look may see one without the other. A difference is repaired only when two passes
in a row saw the very same one; what would be taken back, only when it was last reserved longer
ago than anything in flight can last; and each repair only if the reservation is still the one
that was looked at. If the instances cannot be listed to the end, nothing is repaired.
"""

import asyncio
import dataclasses
import random
import time
from collections.abc import Iterable, Sequence

import structlog
from codestudio.quota.v1 import quota_service_pb2 as pb
from prometheus_client import Counter, Gauge

from services.chassis import clock, connectors, context, errors, leases
from services.quota import holdings, repairs
from services.quota.instances import Instances
from services.quota.store import Repaired, Store

_log = structlog.get_logger(__name__)

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
_DRY_RUN = "a dry run repairs nothing"


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """One comparison of the ledger with the instances."""

    names: Sequence[str]
    """The namespaces looked at."""
    differences: frozenset[holdings.Difference]
    """What differs."""
    instances: int
    """Instances looked at."""
    reservations: int
    """Reservations looked at."""


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What a reconciliation that was asked for found and did."""

    repairs: Sequence[pb.QuotaRepair]
    """What both its comparisons saw, in order of namespace and instance."""
    look: Look
    """The second of them."""


class Reconciler:
    """Compares and repairs: by itself, one replica at a time, and when it is asked."""

    def __init__(
        self,
        *,
        store: Store,
        instances: Instances,
        redis: connectors.Redis,
        journal: repairs.Journal,
        every_seconds: float,
        confirm_seconds: float,
        grace_seconds: float,
    ) -> None:
        self._store = store
        self._instances = instances
        self._redis = redis
        self._journal = journal
        self._every = every_seconds
        self._confirm = min(confirm_seconds, every_seconds)
        self._grace = grace_seconds
        self._unconfirmed: frozenset[holdings.Difference] = frozenset()
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
            look = await self._look()
            confirmed = look.differences & self._unconfirmed
            self._unconfirmed = look.differences
            done = [one for one in await self._mend(look, confirmed) if one.applied]
            mended = {(one.namespace, one.instance_id) for one in done}
            self._unconfirmed = frozenset(
                one for one in look.differences if (one.namespace, one.instance_id) not in mended
            )
        UNCONFIRMED.set(len(self._unconfirmed))
        LAST_PASS.set(time.time())
        return len(done)

    async def asked(self, namespace: str = "", *, validate_only: bool = False) -> Report:
        """Compare twice now and repair what both saw, in one namespace or in all.

        Needs no turn of its own beside the passes: a repair that another did meanwhile finds
        another reservation than it looked at, and does nothing.

        Raises:
            errors.DomainError: The instances could not be listed; nothing was repaired.
        """
        first = await self._look(namespace)
        await asyncio.sleep(self._confirm if first.differences else 0)
        second = await self._look(namespace) if first.differences else first
        confirmed = first.differences & second.differences
        found = await self._mend(second, confirmed, validate_only=validate_only)
        return Report(
            sorted(found, key=lambda one: (one.namespace, one.instance_id, one.kind)), second
        )

    async def _try_once(self) -> None:
        try:
            with context.scope("reconcile", seconds=_PASS_SECONDS):
                await self.once()
            PASSES.labels("compared").inc()
        except Exception as error:
            known = errors.from_exception(error)
            if known.code == "LEASE_HELD":
                self._unconfirmed = frozenset()
                PASSES.labels("left_to_another").inc()
                return
            if isinstance(known, errors.Internal):
                raise
            PASSES.labels("failed").inc()
            _log.warning("reconcile failed; nothing repaired", code=known.code, why=known.message)

    async def _look(self, namespace: str = "") -> Look:
        names = [namespace] if namespace else await self._names()
        held = {name: await self._store.reservations(name) for name in names}
        instances = await self._instances.all(namespace)
        return Look(
            names,
            frozenset(holdings.differences(held, instances)),
            len(instances),
            sum(map(len, held.values())),
        )

    async def _names(self) -> list[str]:
        names: list[str] = []
        while page := await self._store.names(
            after=names[-1] if names else "", count=_NAMES_PER_READ
        ):
            names += page
        return names

    async def _mend(
        self,
        look: Look,
        confirmed: Iterable[holdings.Difference],
        *,
        validate_only: bool = False,
    ) -> list[pb.QuotaRepair]:
        """Repair differences and usage; gives what was, and what was not and why."""
        found: list[pb.QuotaRepair] = []
        names = set(look.names)
        try:
            for difference in confirmed:
                names.add(difference.namespace)
                withheld = (
                    self._rehearse(difference) if validate_only else await self._repair(difference)
                )
                found.append(repairs.of_difference(difference, withheld))
            for name in sorted(names):
                told = await self._store.recount(name, validate_only=validate_only)
                if told is not None:
                    withheld = _DRY_RUN if validate_only else ""
                    found.append(repairs.of_recount(name, *told, withheld))
        finally:
            # What was done before a fault was done all the same.
            await self._journal.note(found)
        if not validate_only:
            await self._forget_idle(sorted(names))
        return found

    async def _repair(self, difference: holdings.Difference) -> str:
        """Repair; gives why not, or nothing where it was done."""
        outcome = await self._store.repair(
            difference.namespace,
            difference.instance_id,
            looked_at=difference.looked_at,
            grace_seconds=self._grace,
            amounts=difference.amounts,
        )
        match outcome:
            case Repaired.DONE:
                return ""
            case Repaired.CHANGED:
                return "the reservation changed meanwhile"
            case Repaired.RECENT:
                return self._recent()

    def _rehearse(self, difference: holdings.Difference) -> str:
        """Tell why a repair is not done now."""
        reserved = difference.reserve_time
        # By our clock, not Redis': it is only told.
        age = (clock.now() - reserved).total_seconds() if reserved else self._grace
        if difference.shrinks and age < self._grace:
            return self._recent()
        return _DRY_RUN

    def _recent(self) -> str:
        return f"reserved less than {self._grace:g} s ago: what it is for may be under way"

    async def _forget_idle(self, names: Sequence[str]) -> None:
        """List namespaces that hold nothing no longer."""
        for name, account in zip(names, await self._store.accounts(names), strict=True):
            if account.is_empty:
                await self._store.forget(name)
