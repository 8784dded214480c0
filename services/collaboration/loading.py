"""Loads documents: the newest snapshot, and what the log has since.

Whoever calls has begun to collect the log's new entries before, so nothing falls between what is
read here and what comes then. A snapshot may be replaced, and the log cut behind it, while this
reads: then it reads again.

What is loaded again is written under the same client ids: a new one each time would lengthen the
state vector, which every client is sent, by some ten bytes a time, for ever. Edits are numbered,
so an id may only be used by who knows all that was written under it: where the document that was
loaded has not come exactly as far as the one that was let go, new ids are taken.
"""

import time

from services.chassis import errors
from services.collaboration import measures, ywire
from services.collaboration.entry import Entry
from services.collaboration.history import Checkpoint, History
from services.collaboration.log import Log
from services.collaboration.names import Name
from services.collaboration.room import Limits, Room
from services.collaboration.store import Record, Store

_ATTEMPTS = 5
_REMEMBERED = 10_000
"""Documents whose ids are known when they are loaded again: those that were let go last."""


class NotOpened(errors.NotFound):
    """Nobody opened the document yet."""

    def __init__(self, name: Name) -> None:
        super().__init__(
            "DOCUMENT_NOT_FOUND",
            f"Nobody has opened {name.path} in project {name.project} yet",
            metadata={"namespace": name.namespace, "project": name.project, "path": name.path},
        )


class Loader:
    """Makes rooms of what is stored."""

    def __init__(self, *, store: Store, log: Log, origin: str, limits: Limits) -> None:
        self._store = store
        self._log = log
        self._origin = origin
        self._limits = limits
        self._clocks: dict[tuple[Name, str], dict[int, int]] = {}

    def let_go(self, room: Room) -> None:
        """Take note of a document that is let go of and no more edited here."""
        self._clocks.pop((room.name, room.epoch), None)
        if clocks := room.clocks():
            self._clocks[room.name, room.epoch] = clocks
            if len(self._clocks) > _REMEMBERED:
                del self._clocks[next(iter(self._clocks))]

    async def load(self, name: Name) -> Room:
        """Load a document.

        Raises:
            NotOpened: There is none.
            errors.Unavailable: It changes faster than it can be read.
            store.Damaged: Its state cannot be read.
        """
        started = time.perf_counter()
        for _ in range(_ATTEMPTS):
            record = await self._store.find(name)
            if record is None:
                raise NotOpened(name)
            entries = await self._entries(name, record)
            epoch = record.summary.epoch
            if any(one.deleted and one.epoch == epoch for one in entries):
                # Whoever deleted it died before it was removed here too.
                await self._store.delete(name, epoch)
                raise NotOpened(name)
            if await self._store.generation(name) == record.generation:
                room = self._room(name, record, entries)
                measures.LOAD_SECONDS.observe(time.perf_counter() - started)
                return room
        raise errors.Unavailable("DOCUMENT_BUSY", "The document cannot be loaded; try again")

    async def _entries(self, name: Name, record: Record) -> list[Entry]:
        snapshot = record.snapshot
        # A place in a stream that is gone says nothing about the new one.
        known = snapshot.sequence if snapshot.stream == self._log.identity else 0
        return await self._log.read(name, known, await self._log.last(name))

    def _room(self, name: Name, record: Record, entries: list[Entry]) -> Room:
        snapshot = record.snapshot
        known = snapshot.sequence if snapshot.stream == self._log.identity else 0
        clocks = self._clocks.pop((name, record.summary.epoch), {})
        room = Room(
            name=name,
            epoch=record.summary.epoch,
            created_at=record.summary.created_at,
            updated_at=record.summary.updated_at,
            kept=History(Checkpoint(snapshot.revision, known, snapshot.state)),
            log=self._log,
            origin=self._origin,
            limits=self._limits,
            ids=tuple(clocks),
        )
        for one in entries:
            room.entered(one)
        if not clocks.items() <= ywire.read_state_vector(room.state_vector()).items():
            room.renew_ids()
        return room
