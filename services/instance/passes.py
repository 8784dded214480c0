"""One look at one instance: read, and until there is nothing left to do decide, act and write.

Writes are few: what several actions changed is written once, since every action may be
repeated. A write that finds somebody else's in its way is dropped, and the pass begins anew with
what they wrote.
"""

import asyncio
import dataclasses
from dataclasses import replace

import structlog
from prometheus_client import Counter

from services.chassis import errors, leases
from services.instance import changes, decide, measures, times, transitions, translation
from services.instance.actions import Actions
from services.instance.cache import Cache
from services.instance.outbox import Outbox
from services.instance.record import Record, State
from services.instance.store import Store
from services.instance.withdrawal import Withdrawal
from services.instance.workload import Sight
from services.instance.workloads import Workloads
from services.instance.workqueue import Urgency, Workqueue

_log = structlog.get_logger(__name__)

FAILURES = Counter(
    "codestudio_instance_failures",
    "Starts that failed for good.",
    ("step", "failure_class", "code"),
)

_MOST_STEPS = 40
"""Actions in one pass; a longer one gives others a turn."""
_TIDY_AFTER = 1.0
"""Seconds until a message that was told is taken out of a record that nobody writes."""
_UNTOLD_RETRY = 1.0
_UP = (State.PENDING, State.STARTING, State.RUNNING)
_GETTING = (decide.ReserveQuota, decide.Allocate, decide.Apply)


class _Lost(Exception):  # noqa: N818 - not an error: somebody else was faster
    """Somebody wrote the record in between, or may have the lease."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a pass works with."""

    store: Store
    actions: Actions
    withdrawal: Withdrawal
    workloads: Workloads
    outbox: Outbox
    cache: Cache
    queue: Workqueue
    policy: decide.Policy


class Pass:
    """One look at one instance, under its lease."""

    def __init__(self, means: Means, instance_id: str, lease: leases.Lease, *, tidy: bool) -> None:
        """Prepare.

        Args:
            means: What it works with.
            instance_id: Which instance.
            lease: Its lease, held.
            tidy: Also write the record only to take out of it what was told.
        """
        self._means = means
        self._id = instance_id
        self._lease = lease
        self._tidy = tidy
        self._to_tell: Record | None = None
        self._telling: asyncio.Task[bool] | None = None
        self._showing: list[asyncio.Task[None]] = []
        self._got = False
        """Whether anything was got for the instance that is not written yet."""

    async def run(self, fresh: Record | None) -> None:
        """Do all there is to do.

        Args:
            fresh: The record, where it was written just now; else it is read.

        Raises:
            errors.DomainError: Something has to be tried again.
        """
        try:
            stored = fresh or await self._means.store.get(self._id)
            if stored is None:
                await self._stop_orphan()
            while stored is not None:
                try:
                    await self._settle(stored)
                    return
                except _Lost:
                    stored = await self._look_again()
                    if not self._lease.held:
                        raise errors.Aborted("LEASE_HELD", "The lease was lost") from None
        finally:
            await self._told()
            await asyncio.gather(*self._showing)

    async def _look_again(self) -> Record | None:
        """Read what somebody else wrote, and have given back what is not wanted any more.

        Whoever took the instance down did not know what this pass was getting for it. The write
        needs no lease, only that nobody else wrote; who has the lease then gives it back.
        """
        store = self._means.store
        stored = await store.get(self._id)
        while self._got and stored is not None and stored.visible and stored.state not in _UP:
            marked = await store.update(stored, transitions.left_over(stored))
            self._got = marked is None
            stored = marked or await store.get(self._id)
        if self._got and (stored is None or not stored.visible) and self._lease.held:
            await self._means.actions.stop_orphan(self._id)
        return stored

    async def _stop_orphan(self) -> None:
        """Stop what runs without a record, and keep its disk: the record may have been lost."""
        sight = self._means.workloads.sight(self._id)
        if sight.workload is None or not sight.workload.runs:
            return
        if await self._means.actions.stop_orphan(self._id):
            _log.warning("a workload without an instance was stopped", instance_id=self._id)

    async def _settle(self, stored: Record) -> None:
        """Act until there is nothing to do; raises _Lost if the record changed meanwhile."""
        means = self._means
        record, sight = stored, means.workloads.sight(self._id)
        self._tell(stored)
        for _ in range(_MOST_STEPS):
            action = decide.decide(record, sight, times.now(), means.policy)
            match action:
                case decide.Nothing(wake_at):
                    await self._rest(await self._write(stored, record), wake_at)
                    return
                case decide.Change(changed):
                    record = changed
                case decide.Withdraw():
                    await means.withdrawal.withdraw(record)
                    return
                case decide.Forget():
                    await self._forget(stored)
                    return
                case _:
                    if isinstance(action, decide.Stop | decide.Delete):
                        # Takes seconds: what led to it is to be seen meanwhile.
                        stored = record = await self._write(stored, record)
                    record, sight = await self._act(action, stored, record, sight)
        await self._write(stored, record)
        means.queue.add(self._id, Urgency.REPAIR)

    async def _act(
        self, action: decide.Action, stored: Record, record: Record, sight: Sight
    ) -> tuple[Record, Sight]:
        if not self._lease.held:
            raise _Lost
        self._got |= isinstance(action, _GETTING)
        try:
            after, learnt = await self._means.actions.perform(action, record)
        except errors.DomainError as error:
            after = self._means.actions.failed(action, record, error)
            if after.state in (State.FAILING, State.FAILED) and after.state is not record.state:
                _count(after)
                return after, sight
            if after.ports != record.ports:
                return after, sight
            await self._write(stored, after)
            raise
        return after, learnt or sight

    async def _rest(self, stored: Record, wake_at: int) -> None:
        """Nothing is left to do but to tell what was done."""
        queue = self._means.queue
        if wake_at:
            seconds = max(0, wake_at - times.now()) / 1000
            queue.add_later(self._id, seconds, Urgency.REPAIR)
        if not stored.outbox:
            return
        if not await self._told():
            queue.add_later(self._id, _UNTOLD_RETRY, Urgency.REPAIR)
        elif stored.gone:
            await self._forget(stored)
        elif self._tidy:
            await self._write(stored, stored, tidy=True)
            self._means.outbox.forget(self._id)
        else:
            queue.add_later(self._id, _TIDY_AFTER, Urgency.ROUTINE)

    async def _forget(self, stored: Record) -> None:
        if await self._means.store.remove(stored):
            self._means.outbox.forget(self._id)

    async def _write(self, stored: Record, record: Record, *, tidy: bool = False) -> Record:
        """Write the record if it changed, and begin to tell what did; gives what is stored."""
        if record == stored and not tidy:
            return stored
        means = self._means
        record = replace(record, outbox=means.outbox.remaining(record))
        noted = changes.note(stored, record, times.now())
        if noted == stored:
            return stored
        written = await means.store.update(stored, noted)
        if written is None:
            raise _Lost
        self._got = False
        measures.count(stored, written)
        if written.notice != stored.notice and written.state is State.RUNNING:
            self._showing.append(asyncio.create_task(means.actions.show(written)))
        if written.visible:
            means.cache.renew(translation.instance(written))
        elif stored.visible:
            means.cache.drop(translation.instance(written))
        self._tell(written)
        return written

    def _tell(self, record: Record) -> None:
        """Begin to tell, without waiting: publishing never holds a change up."""
        if not self._means.outbox.untold(record):
            return
        self._to_tell = record
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all(), name=f"tell {self._id}")

    async def _tell_all(self) -> bool:
        told = True
        while self._to_tell is not None:
            record, self._to_tell = self._to_tell, None
            told = await self._means.outbox.tell(record)
        return told

    async def _told(self) -> bool:
        """Wait until all was told, or could not be."""
        return await self._telling if self._telling is not None else True


def _count(record: Record) -> None:
    failure = record.failure
    assert failure is not None
    FAILURES.labels(failure.step.value, failure.kind.value, failure.code).inc()
    _log.warning(
        "start failed",
        instance_id=record.id,
        step=failure.step.value,
        failure_class=failure.kind.value,
        code=failure.code,
        why=failure.message,
    )
