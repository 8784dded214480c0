"""All documents this replica has in memory: loaded once, stored when quiet, let go when unused."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import nats.errors
import structlog

from services.chassis import cancellation, errors
from services.collaboration import epochs, history, measures
from services.collaboration.entry import Entry
from services.collaboration.history import Checkpoint
from services.collaboration.loading import Loader
from services.collaboration.log import Log, Lost
from services.collaboration.names import Name
from services.collaboration.room import Room
from services.collaboration.settings import CollaborationSettings
from services.collaboration.store import Snapshot, Store

_log = structlog.get_logger(__name__)

_SWEEP_EVERY = 0.5
_SNAPSHOTS_AT_ONCE = 4
_LOAD_SECONDS = 10.0
_INLINE_BYTES = 64 * 1024
"""Up to this size compacting takes less than handing it to a thread."""
_RETRY_AFTER = 5.0
"""Seconds until a snapshot that could not be stored is tried again."""


class _Slot:
    """One document's place: being loaded, or loaded. Entries that come meanwhile wait here."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.room: Room | None = None
        self.loading: asyncio.Task[Room] | None = None
        self.not_before = 0.0
        """When its next snapshot may be stored."""
        self.storing = False
        self.awaited = 0
        """How many wait for it to be loaded."""


class Rooms:
    """The documents in memory."""

    def __init__(
        self,
        *,
        store: Store,
        log: Log,
        loader: Loader,
        settings: CollaborationSettings,
        enabled: Callable[[], bool],
    ) -> None:
        """Prepare.

        Args:
            store: Where documents and snapshots are.
            log: Where edits are.
            loader: Makes rooms of both.
            settings: Sizes and times.
            enabled: Whether documents may be edited together at all, as configured now.
        """
        self._store = store
        self._log = log
        self._loader = loader
        self._settings = settings
        self._enabled = enabled
        self._slots: dict[Name, _Slot] = {}
        self.on_load: Callable[[Room], None] = lambda _: None
        """Called with each document that was loaded, before anybody has it."""
        self.may_trim: Callable[[int], Awaitable[int]] = _whatever
        """Called with the place up to which the log is to be cut; gives that up to which it may."""
        self._background: set[asyncio.Task[None]] = set()
        self._snapshots = asyncio.Semaphore(_SNAPSHOTS_AT_ONCE)

    def loaded(self, name: Name) -> Room | None:
        """Return a document if it is in memory."""
        slot = self._slots.get(name)
        return slot.room if slot is not None else None

    def all(self) -> list[Room]:
        """Return every document in memory."""
        return [slot.room for slot in self._slots.values() if slot.room is not None]

    @contextlib.asynccontextmanager
    async def holding(self, name: Name, epoch: str = "") -> AsyncIterator[Room]:
        """Give a document, loading it if need be; it stays in memory meanwhile.

        Args:
            name: Which.
            epoch: That of the history the caller holds; empty for none.

        Raises:
            errors.FailedPrecondition: It has another history now (EPOCH_MISMATCH).
            loading.NotOpened: There is none.
            errors.Unavailable: It cannot be loaded right now.
            errors.ResourceExhausted: Too many are open (TOO_MANY_DOCUMENTS).
            errors.FailedPrecondition: Live editing is switched off (COLLABORATION_DISABLED).
        """
        room = await self.hold(name, epoch)
        try:
            yield room
        finally:
            self.release(room)

    def held(self, name: Name, epoch: str = "") -> Room | None:
        """Hold a document as `hold` does, if that takes no waiting; else None."""
        if not self._enabled():
            raise _disabled()
        room = self.loaded(name)
        if room is None or room.failure is not None or epoch not in ("", room.epoch):
            return None
        room.holders += 1
        return room

    async def hold(self, name: Name, epoch: str = "") -> Room:
        """Give a document that stays in memory until it is released; see `holding`."""
        room = await self._hold(name)
        if epoch in ("", room.epoch):
            return room
        try:
            if await self._store.epoch(name) == epoch:
                raise errors.Unavailable(
                    "DOCUMENT_BUSY",
                    f"{name.path} was begun anew just now, and not everybody has heard of it yet; "
                    "try again",
                )
            raise epochs.mismatch(room.epoch, name)
        finally:
            self.release(room)

    async def _hold(self, name: Name) -> Room:
        if (room := self.held(name)) is not None:
            return room
        slot = self._slots.get(name)
        if slot is not None and slot.room is not None and slot.room.failure is not None:
            self._drop(name, slot)
            slot = None
        if slot is None:
            self._make_room(name.namespace)
            slot = self._slots[name] = _Slot()
            slot.loading = asyncio.create_task(self._load(name, slot), name=f"load {name.key}")
        if slot.room is None:
            assert slot.loading is not None
            slot.awaited += 1
            try:
                # Shielded: whoever waits may give up, the others go on waiting.
                await asyncio.shield(slot.loading)
            finally:
                slot.awaited -= 1
        assert slot.room is not None
        slot.room.holders += 1
        return slot.room

    def release(self, room: Room) -> None:
        """Give back what `hold` gave."""
        room.holders -= 1
        room.used_at = asyncio.get_running_loop().time()

    def entered(self, one: Entry) -> None:
        """Take an entry of the log."""
        slot = self._slots.get(one.name)
        if slot is None:
            return
        if slot.room is not None:
            slot.room.entered(one)
        else:
            slot.entries.append(one)

    def lost(self) -> None:
        """Take note that the log was made anew: what is in memory may be all there is.

        Clients are sent away; what they hold, they bring when they come again.
        """
        for room in self.all():
            room.fail(Lost())

    async def sweep(self) -> None:
        """Store what is quiet and let go of what is unused, for ever."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            measures.ROOMS.set(len(self._slots))
            self._sweep()

    async def close(self) -> None:
        """Wait a little for what is being stored; nothing acknowledged depends on it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                for room in self.all():
                    await room.settle()
        await cancellation.cancel(self._background, grace=2.0)
        await asyncio.gather(*(self._end(slot) for slot in self._slots.values()))
        self._slots.clear()

    async def _load(self, name: Name, slot: _Slot) -> Room:
        try:
            async with asyncio.timeout(_LOAD_SECONDS):
                room = await self._loaded(name)
        except BaseException as error:
            if self._slots.get(name) is slot:
                del self._slots[name]
            if isinstance(error, nats.errors.Error | TimeoutError | OSError):
                raise errors.Unavailable(
                    "DOCUMENT_UNAVAILABLE", "The document cannot be loaded right now; try again"
                ) from error
            raise
        for one in slot.entries:
            room.entered(one)
        slot.entries.clear()
        slot.room = room
        self.on_load(room)
        return room

    async def _loaded(self, name: Name) -> Room:
        await self._log.wait_followed()
        return await self._loader.load(name)

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        unused = []
        for name, slot in list(self._slots.items()):
            room = slot.room
            if room is None:
                continue
            room.expire(self._settings.awareness_seconds)
            if not self._enabled():
                room.fail(_disabled())
            if room.failure is not None:
                if not room.holders:
                    self._drop(name, slot)
                continue
            if self._due(room, now) and not slot.storing and now >= slot.not_before:
                slot.storing = True
                self._begin(self._snapshot(slot, room))
            elif not (room.holders or slot.awaited or slot.storing) and room.settled:
                unused.append((room.used_at, name, slot))
        unused.sort(key=lambda one: one[0])
        surplus = len(unused) - self._settings.rooms_kept
        for number, (used_at, name, slot) in enumerate(unused):
            if number < surplus or now - used_at > self._settings.unload_seconds:
                slot.storing = True
                self._begin(self._let_go(name, slot))

    def _due(self, room: Room, now: float) -> bool:
        kept = room.history
        if not kept.entries_since or not room.whole:
            return False
        if (
            kept.entries_since >= self._settings.snapshot_entries
            or kept.bytes_since >= self._settings.snapshot_bytes
        ):
            return True
        return now - room.changed_at >= self._settings.quiet_seconds

    def _make_room(self, namespace: str) -> None:
        """See that one more document of a namespace may be in memory, or raise."""
        most = self._settings.rooms_max_per_namespace
        # Counted where a document is loaded, which costs far more.
        used = sum(name.namespace == namespace for name in self._slots)
        if used >= most and not self._evict(namespace):
            raise errors.ResourceExhausted(
                "TOO_MANY_DOCUMENTS",
                f"Namespace {namespace} has {most} documents open here, its share; "
                "close some, or try again shortly",
                metadata={"limit": str(most), "namespace": namespace},
            )
        if len(self._slots) >= self._settings.rooms_max and not self._evict():
            raise errors.ResourceExhausted(
                "TOO_MANY_DOCUMENTS",
                "Too many documents are open here; try again shortly",
                metadata={"limit": str(self._settings.rooms_max)},
            )

    def _evict(self, namespace: str | None = None) -> bool:
        """Let go of the document that is unused for longest; whether there was one.

        One that has a snapshot of its newest entry goes before one that is yet to be stored.

        Args:
            namespace: Whose document gives way; None for anybody's.
        """
        unused = [
            (_unstored(slot.room), slot.room.used_at, name)
            for name, slot in self._slots.items()
            if slot.room is not None
            and namespace in (None, name.namespace)
            and not (slot.room.holders or slot.awaited or slot.storing)
            and slot.room.settled
            and slot.room.whole
        ]
        if not unused:
            return False
        unstored, _, name = min(unused, key=lambda one: one[:2])
        slot = self._slots[name]
        if unstored:
            assert slot.room is not None
            self._loader.let_go(slot.room)
            # What the log has since is stored from here; who loads it meanwhile reads the log.
            del self._slots[name]
            self._begin(self._put_away(slot))
        else:
            self._drop(name, slot)
        return True

    async def _put_away(self, slot: _Slot) -> None:
        assert slot.room is not None
        try:
            await self._snapshot(slot, slot.room)
        finally:
            await self._end(slot)

    async def _let_go(self, name: Name, slot: _Slot) -> None:
        """Store a document and let go of it, unless somebody came meanwhile."""
        room = slot.room
        assert room is not None
        if room.history.entries_since and room.whole:
            await self._snapshot(slot, room)
        slot.storing = False
        if room.holders or slot.awaited or not room.settled or room.history.entries_since:
            return
        self._drop(name, slot)

    async def _snapshot(self, slot: _Slot, room: Room) -> None:
        try:
            async with self._snapshots:
                await self._store_snapshot(room)
        except Exception as error:  # noqa: BLE001 - tried again; the log has it meanwhile
            known = errors.from_exception(error)
            if not isinstance(known, errors.Unavailable | errors.DeadlineExceeded):
                _log.error("snapshot failed", document=room.name.key, exc_info=error)
            slot.not_before = asyncio.get_running_loop().time() + _RETRY_AFTER
        finally:
            slot.storing = False

    async def _store_snapshot(self, room: Room) -> None:
        if room.failure is not None:
            # The log that its place is in may be gone.
            return
        if not room.whole:
            # The first part of a large entry came while this waited for its turn: a snapshot
            # now would lie behind it, and the entry would be lost.
            return
        latest, updates, revision, sequence = room.history.fold()
        stream = self._log.identity
        # Whoever stored entries stores the snapshot; the others only forget what it covers.
        mine, room.wrote = room.wrote or not room.holders, False
        try:
            if len(latest.state) + room.history.bytes_since <= _INLINE_BYTES:
                state, length = history.compact(latest.state, updates)
            else:
                state, length = await asyncio.to_thread(history.compact, latest.state, updates)
            if mine and room.failure is None:
                snapshot = Snapshot(revision, sequence, stream, state, length)
                if await self._store.save(room.name, room.epoch, snapshot, room.updated_at):
                    measures.SNAPSHOTS.inc()
                    # One snapshot behind: whoever reads the old one at this moment still can.
                    await self._log.trim(room.name, await self.may_trim(latest.sequence))
        except BaseException:
            room.wrote |= mine
            raise
        room.history.checkpointed(Checkpoint(revision, sequence, state))

    def _drop(self, name: Name, slot: _Slot) -> None:
        """Let go of a document at once; what runs for it ends in the background."""
        if self._slots.get(name) is slot:
            del self._slots[name]
        if slot.room is not None and slot.room.failure is None:
            self._loader.let_go(slot.room)
        self._begin(self._end(slot))

    @staticmethod
    async def _end(slot: _Slot) -> None:
        if slot.loading is not None and not slot.loading.done():
            await cancellation.cancel([slot.loading], grace=2.0)
        if slot.room is not None:
            await slot.room.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _unstored(room: Room) -> bool:
    """Tell whether a snapshot is to be stored before a document is let go of."""
    return room.failure is None and room.history.entries_since > 0


def _disabled() -> errors.FailedPrecondition:
    return errors.FailedPrecondition(
        "COLLABORATION_DISABLED", "Live editing is switched off in this installation"
    )


async def _whatever(sequence: int) -> int:
    return sequence
