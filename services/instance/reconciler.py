"""Makes instances what they are wanted to be, and may be killed at any line.

A bounded number of workers take instances from the queue, most urgent first, each under its
lease in Redis, so that one replica works on it at a time. The lease saves work; what keeps
two holders of it apart is the condition of every write (`store`).
"""

import asyncio
import contextlib
import dataclasses
import random
import time

import structlog
from prometheus_client import Counter, Gauge, Histogram

from services.chassis import cancellation, connectors, context, errors, leases
from services.instance import decide, times, translation
from services.instance.passes import Means, Pass
from services.instance.record import Record, State
from services.instance.workqueue import Urgency

_log = structlog.get_logger(__name__)

PASSES = Counter("codestudio_reconcile_passes", "Looks at one instance, by outcome.", ("outcome",))
SECONDS = Histogram(
    "codestudio_reconcile_seconds",
    "Time a look at one instance took, in seconds.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
WAITING = Gauge("codestudio_reconcile_waiting", "Instances waiting to be looked at.")
INSTANCES = Gauge("codestudio_instances", "Instances that are not at rest, by state.", ("state",))

_LEASE_RETRY = 0.1
_LAST_GRACE = 5.0
"""Seconds workers have to end, should one of them have failed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast the reconciler works. Seconds."""

    workers: int
    lease: float
    retry_first: float
    retry_last: float
    resync: float


class Reconciler:
    """Works through the queue, and looks at everything from time to time."""

    def __init__(self, *, means: Means, redis: connectors.Redis, pace: Pace) -> None:
        self._means = means
        self._redis = redis
        self._pace = pace
        self._fresh: dict[str, Record] = {}
        self._attempts: dict[str, int] = {}
        self._look = asyncio.Event()

    def wanted(self, record: Record) -> None:
        """Somebody wrote what is wanted: act on it now, and let them read it."""
        if record.visible:
            self._means.cache.put(translation.instance(record), read_at=time.monotonic())
        self._fresh[record.id] = record
        self._attempts.pop(record.id, None)
        self._means.queue.add(record.id, Urgency.HUMAN)

    def happened(self, instance_id: str) -> None:
        """Something happened to a workload."""
        self._means.queue.add(instance_id, Urgency.REPAIR)

    def look(self) -> None:
        """Look at everything now: something may have happened while nobody watched."""
        self._look.set()

    async def work(self) -> None:
        """Work through the queue for ever."""
        WAITING.set_function(lambda: len(self._means.queue))
        workers = [
            asyncio.create_task(self._worker(), name=f"reconcile {number}")
            for number in range(self._pace.workers)
        ]
        try:
            # No task group: it passes on the first cancellation only, and a worker may lose that.
            await asyncio.gather(*workers)
        finally:
            self._means.queue.close()
            await cancellation.cancel(workers, grace=_LAST_GRACE)

    async def resync(self) -> None:
        """Look at everything for ever: now and then, and when asked to."""
        while True:
            try:
                await self._look_at_everything()
            except Exception as error:
                known = errors.from_exception(error)
                if isinstance(known, errors.Internal):
                    raise
                _log.info("resync waits", code=known.code, why=known.message)
            pause = self._pace.resync * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look.wait()
            self._look.clear()

    async def reconcile(self, instance_id: str, *, tidy: bool = False) -> None:
        """Look at one instance and do all there is to do.

        Args:
            instance_id: Which.
            tidy: Also write its record only to take out of it what was told.

        Raises:
            errors.DomainError: Something has to be tried again.
        """
        key = f"lease:instance:{instance_id}"
        lease = leases.Lease(self._redis.client, key, self._pace.lease)
        try:
            async with lease:
                fresh = self._fresh.pop(instance_id, None)
                await Pass(self._means, instance_id, lease, tidy=tidy).run(fresh)
        except errors.Aborted as error:
            if error.code != "LEASE_HELD":
                raise
            # Its holder may have looked before what we know happened.
            pause = _LEASE_RETRY * random.uniform(1, 3)  # noqa: S311 - jitter
            self._means.queue.add_later(instance_id, pause, Urgency.REPAIR)

    async def _worker(self) -> None:
        queue = self._means.queue
        while True:
            instance_id, urgency = await queue.get()
            try:
                with context.scope("reconcile"), SECONDS.time():
                    await self.reconcile(instance_id, tidy=urgency is Urgency.ROUTINE)
            except Exception as error:  # noqa: BLE001 - a worker outlives whatever it works on
                self._failed(instance_id, error)
            else:
                self._attempts.pop(instance_id, None)
                PASSES.labels("done").inc()
            finally:
                queue.done(instance_id)

    async def _look_at_everything(self) -> None:
        now, counts = times.now(), dict.fromkeys(State, 0)
        records = await self._means.store.active()
        for record in records:
            counts[record.state] += 1
            sight = self._means.workloads.sight(record.id)
            action = decide.decide(record, sight, now, self._means.policy)
            if not isinstance(action, decide.Nothing) or record.outbox:
                self._means.queue.add(record.id, Urgency.ROUTINE)
            elif action.wake_at:
                pause = max(0, action.wake_at - now) / 1000
                self._means.queue.add_later(record.id, pause, Urgency.REPAIR)
        for state, count in counts.items():
            INSTANCES.labels(state.value).set(count)
        known = {record.id for record in records}
        for instance_id in self._means.workloads.running():
            if instance_id not in known:
                # At rest, or not ours at all: what still runs there has to stop.
                self._means.queue.add(instance_id, Urgency.ROUTINE)

    def _failed(self, instance_id: str, error: Exception) -> None:
        """Try again later, the later the more often it failed."""
        known = errors.from_exception(error)
        attempt = self._attempts.get(instance_id, 0)
        self._attempts[instance_id] = attempt + 1
        pause = min(self._pace.retry_last, self._pace.retry_first * 2**attempt)
        pause *= random.uniform(0.5, 1)  # noqa: S311 - jitter
        self._means.queue.add_later(instance_id, pause, Urgency.REPAIR)
        PASSES.labels("failed").inc()
        if isinstance(known, errors.Internal) and known is not error:
            _log.error("reconcile failed", instance_id=instance_id, exc_info=error)
        else:
            _log.info(
                "reconcile waits",
                instance_id=instance_id,
                code=known.code,
                why=known.message,
                seconds=round(pause, 1),
            )
