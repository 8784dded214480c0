"""Starting, stopping and deleting: writes what is wanted; the reconciler does it."""

from collections.abc import Callable
from dataclasses import replace

from services.chassis import errors, identity
from services.instance import changes, measures, times, transitions
from services.instance.peers import Peers
from services.instance.record import Desired, Quota, Record, State, StopReason
from services.instance.store import Store

_ATTEMPTS = 20
"""Writes tried when somebody else keeps writing; the reconciler needs a handful at most."""


class Desires:
    """What owners want of instances that exist."""

    def __init__(self, *, store: Store, peers: Peers, on_wanted: Callable[[Record], None]) -> None:
        """Prepare.

        Args:
            store: The records.
            peers: For quota.
            on_wanted: Called with each record as it was written.
        """
        self._store = store
        self._peers = peers
        self._on_wanted = on_wanted

    async def start(self, instance_id: str, etag: str) -> Record:
        """Want it running.

        Raises:
            errors.NotFound: There is none.
            errors.PermissionDenied: It is somebody else's.
            errors.Aborted: It changed since the etag (ETAG_MISMATCH).
            errors.FailedPrecondition: It is being deleted (INSTANCE_DELETING).
            errors.ResourceExhausted: The quota does not allow it (QUOTA_EXCEEDED).
        """
        mark = times.now()
        try:
            for _ in range(_ATTEMPTS):
                record = await self.read(instance_id, etag)
                refuse_deleting(record)
                if _is_up(record):
                    return record
                # From here on the ledger may hold more than the record says: say so first, so
                # that whoever finds the record after a crash makes it right.
                marked = await self._store.update(
                    record, replace(record, quota=Quota.UNKNOWN, start_mark=mark)
                )
                if marked is None:
                    continue
                await self._peers.reserve_quota(marked, Quota.RUNNING)
                wanted = transitions.start_wanted(marked, times.now())
                if written := await self.write(marked, wanted):
                    return written
        except errors.DomainError:
            await self._unmark(instance_id, mark)
            raise
        await self._unmark(instance_id, mark)
        raise busy(instance_id)

    async def stop(self, instance_id: str, etag: str) -> Record:
        """Want it stopped.

        Raises:
            errors.DomainError: As `start`, but for the quota.
        """
        for _ in range(_ATTEMPTS):
            record = await self.read(instance_id, etag)
            refuse_deleting(record)
            if record.desired is Desired.STOPPED and record.state in (
                State.STOPPING,
                State.STOPPED,
            ):
                return record
            wanted = transitions.stop_wanted(record, StopReason.USER)
            if written := await self.write(record, wanted):
                return written
        raise busy(instance_id)

    async def keep_alive(self, instance_id: str, duration: int) -> Record:
        """Have it count as used for so many milliseconds from now; 0 ends its lease.

        Raises:
            errors.NotFound: There is none.
            errors.PermissionDenied: It is somebody else's.
            errors.FailedPrecondition: It is not up (INSTANCE_NOT_RUNNING, INSTANCE_DELETING).
        """
        for _ in range(_ATTEMPTS):
            record = await self.read(instance_id, "")
            refuse_deleting(record)
            if duration and not _is_up(record):
                raise errors.FailedPrecondition(
                    "INSTANCE_NOT_RUNNING",
                    f"Instance {instance_id} is not running; start it",
                    instance_id=instance_id,
                )
            kept = transitions.kept_alive(record, times.now(), duration)
            if kept == record:
                measures.KEEP_ALIVES.labels("unchanged").inc()
                return record
            if written := await self.write(record, kept):
                measures.KEEP_ALIVES.labels("extended" if duration else "ended").inc()
                return written
        raise busy(instance_id)

    async def delete(self, instance_id: str, etag: str) -> None:
        """Want it gone; of one that is going already nothing changes.

        Raises:
            errors.NotFound: There is none.
            errors.PermissionDenied: It is somebody else's.
            errors.Aborted: It changed since the etag (ETAG_MISMATCH).
        """
        for _ in range(_ATTEMPTS):
            record = await self.read(instance_id, etag)
            if record.state is State.DELETING:
                return
            if await self.write(record, transitions.delete_wanted(record)):
                return
        raise busy(instance_id)

    async def _unmark(self, instance_id: str, mark: int) -> None:
        """Let the reconciler make right what the ledger holds; where we cannot, time does."""
        record = await self._store.get(instance_id)
        if record is not None and record.start_mark == mark:
            freed = await self._store.update(record, replace(record, start_mark=0))
            if freed is not None:
                self._on_wanted(freed)

    async def read(self, instance_id: str, etag: str) -> Record:
        """Read an instance for its owner.

        Raises:
            errors.NotFound: There is none.
            errors.PermissionDenied: It is somebody else's.
            errors.Aborted: It changed since the etag (ETAG_MISMATCH).
        """
        record = await self._store.get(instance_id)
        if record is None or not record.visible:
            raise not_found(instance_id)
        check_owner(record.owner, instance_id)
        if etag and etag != record.etag:
            raise errors.Aborted(
                "ETAG_MISMATCH",
                f"Instance {instance_id} changed since this etag; read it again",
                instance_id=instance_id,
                metadata={"etag": record.etag},
            )
        return record

    async def write(self, before: Record, after: Record) -> Record | None:
        """Write what is wanted, and have it done; None where somebody wrote in between."""
        noted = changes.note(before, after, times.now())
        written = await self._store.update(before, noted)
        if written is not None:
            measures.count(before, written)
            self._on_wanted(written)
        return written


def check_owner(owner: str, instance_id: str) -> None:
    """Refuse who does not own an instance and is not an administrator or a service.

    Raises:
        errors.PermissionDenied: It is somebody else's (INSTANCE_NOT_YOURS).
    """
    if not identity.current().owns(owner):
        raise errors.PermissionDenied(
            "INSTANCE_NOT_YOURS",
            f"Instance {instance_id} belongs to somebody else",
            instance_id=instance_id,
        )


def not_found(instance_id: str) -> errors.NotFound:
    """Return the error for an instance that does not exist."""
    return errors.NotFound(
        "INSTANCE_NOT_FOUND", f"There is no instance {instance_id}", instance_id=instance_id
    )


def _is_up(record: Record) -> bool:
    """Whether it runs, or is about to, and is to."""
    up = record.state in (State.PENDING, State.STARTING, State.RUNNING)
    return up and record.desired is Desired.RUNNING


def refuse_deleting(record: Record) -> None:
    """Refuse what is being deleted.

    Raises:
        errors.FailedPrecondition: It is (INSTANCE_DELETING).
    """
    if record.state is State.DELETING:
        raise errors.FailedPrecondition(
            "INSTANCE_DELETING",
            f"Instance {record.id} is being deleted",
            instance_id=record.id,
        )


def busy(instance_id: str) -> errors.Aborted:
    """Return the error for an instance that others keep changing."""
    return errors.Aborted(
        "INSTANCE_BUSY",
        f"Instance {instance_id} is changing all the time; try again",
        instance_id=instance_id,
    )
