"""Changing instances that exist: writes what is wanted; the reconciler does it.

New resources need quota, and the ledger and the record are two places. A call that changes
resources marks the record first, then has the ledger reserve the new amounts in place of the
old, then writes them. Killed

- before the reservation: the mark runs out, and the reconciler confirms what was;
- after it: the same; the ledger gets back what the record, unchanged, says;
- after the write: it is changed, whether or not its client heard of it.

While a mark stands, the reconciler does not make the ledger right and no other change begins:
whose amounts come last would be a matter of luck.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.chassis import errors
from services.instance import decide, desires, times, transitions
from services.instance.desires import Desires
from services.instance.peers import Peers
from services.instance.record import Desired, Quota, Record, State
from services.instance.store import Store

_ATTEMPTS = 20
"""Tries when somebody else keeps writing, or is changing what the ledger holds: about 1 s."""
_PAUSE = 0.05
"""Seconds between two of them, on average: as long as a start or a change takes."""


class Updates:
    """Changes what instances are to have."""

    def __init__(
        self, *, store: Store, peers: Peers, desires: Desires, policy: decide.Policy
    ) -> None:
        """Prepare.

        Args:
            store: The records.
            peers: For quota.
            desires: Reads and writes for owners.
            policy: How long a mark holds.
        """
        self._store = store
        self._peers = peers
        self._desires = desires
        self._policy = policy

    async def update(self, instance_id: str, values: Mapping[str, Any], etag: str) -> Record:
        """Give fields of an instance other values; done again, it changes nothing.

        Args:
            instance_id: Which.
            values: By field of the record: some of `transitions.MUTABLE`.
            etag: Only if the instance still has it; empty for in any case.

        Raises:
            errors.NotFound: There is none.
            errors.PermissionDenied: It is somebody else's.
            errors.Aborted: It changed since the etag (ETAG_MISMATCH), or other calls keep
                changing it (INSTANCE_BUSY).
            errors.FailedPrecondition: It is being deleted (INSTANCE_DELETING).
            errors.ResourceExhausted: The quota does not allow it (QUOTA_EXCEEDED); nothing was
                changed.
        """
        mark = times.now()
        marked = False
        try:
            for _ in range(_ATTEMPTS):
                record = await self._read(instance_id, etag)
                wanted = self._wanted(record, values)
                if replace(wanted, progress_at=0) == replace(record, progress_at=0):
                    break
                level = _level(record)
                if level is not None and transitions.resized(record, wanted):
                    ours = marked and record.resize_mark == mark
                    if not ours and self._is_marked(record):
                        await _pause()
                        continue
                    held = await self._store.update(
                        record, replace(record, quota=Quota.UNKNOWN, resize_mark=mark)
                    )
                    if held is None:
                        continue
                    marked = True
                    await self._peers.reserve_quota(replace(held, **_amounts(wanted)), level)
                    record = held
                    wanted = self._wanted(held, values)
                if written := await self._desires.write(record, _unmarked(wanted, mark)):
                    return written
            else:
                raise desires.busy(instance_id)
        except errors.DomainError:
            if marked:
                await self._unmark(instance_id, mark)
            raise
        if marked:
            await self._unmark(instance_id, mark)
        return record

    async def rehearse(self, instance_id: str, values: Mapping[str, Any], etag: str) -> Record:
        """Check everything that `update` checks; change nothing.

        Returns:
            The instance as it would be.

        Raises:
            errors.DomainError: As `update`.
        """
        record = await self._read(instance_id, etag)
        wanted = self._wanted(record, values)
        level = _level(record)
        if level is not None and transitions.resized(record, wanted):
            await self._peers.check_quota(wanted, level)
        return wanted

    async def _read(self, instance_id: str, etag: str) -> Record:
        record = await self._desires.read(instance_id, etag)
        desires.refuse_deleting(record)
        return record

    def _wanted(self, record: Record, values: Mapping[str, Any]) -> Record:
        wanted = transitions.update_wanted(record, values, times.now())
        return replace(wanted, limits=self._policy.lifetimes.of(wanted, record))

    def _is_marked(self, record: Record) -> bool:
        return times.now() < decide.marked_until(record, self._policy)

    async def _unmark(self, instance_id: str, mark: int) -> None:
        """Let the reconciler make right what the ledger holds; where we cannot, time does."""
        for _ in range(_ATTEMPTS):
            record = await self._store.get(instance_id)
            if record is None or record.resize_mark != mark:
                return
            if await self._desires.write(record, replace(record, resize_mark=0)):
                return


def _level(record: Record) -> Quota | None:
    """Give what the ledger is to hold for an instance; None for nothing, so there is no limit."""
    if record.state in (State.FAILING, State.FAILED):
        return None
    return Quota.RUNNING if record.desired is Desired.RUNNING else Quota.STOPPED


def _amounts(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in transitions.OF_QUOTA}


def _unmarked(record: Record, mark: int) -> Record:
    return replace(record, resize_mark=0) if record.resize_mark == mark else record


async def _pause() -> None:
    await asyncio.sleep(_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
