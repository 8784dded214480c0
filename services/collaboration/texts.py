"""Texts of live documents as Git takes and gives them: what is stored, and a text put back."""

import asyncio
from collections.abc import Sequence

from services.chassis import errors
from services.collaboration import difference
from services.collaboration.committing import Text
from services.collaboration.entry import Author
from services.collaboration.log import Log
from services.collaboration.names import Name
from services.collaboration.rebase import Splice
from services.collaboration.room import Room
from services.collaboration.rooms import Rooms
from services.collaboration.subscriber import Promise
from services.collaboration.uncommitted import Record

_REACH_SECONDS = 5.0
"""Longest wait for an entry that is in the log to be in the document here."""
_LOOK_EVERY = 0.02
_ATTEMPTS = 3
"""Comparisons made while others edit; then the whole stretch that differs is replaced."""
_STEP = 256 * 1024
"""Characters put in one step: an update has a limit, and a code point four bytes at most."""


class LiveTexts:
    """The texts of the documents in memory, which are loaded when they are asked for."""

    def __init__(self, *, rooms: Rooms, log: Log) -> None:
        self._rooms = rooms
        self._log = log

    async def stored(self, record: Record) -> Text:
        """Return a document's text as the log has it; see `committing.Texts`."""
        async with self._rooms.holding(record.name) as room:
            if (record.stream, record.epoch) == (self._log.identity, room.epoch):
                await _reached(room, record.sequence)
            return Text(room.stored_text(), room.history.sequence, room.epoch)

    async def position(self, name: Name) -> tuple[int, int]:
        """Return a document's revision, and the sequence number of its newest entry.

        Raises:
            errors.DomainError: The document cannot be had now, or there is none.
        """
        async with self._rooms.holding(name) as room:
            return room.revision, room.history.sequence

    async def replace(self, room: Room, text: str, author: Author, seconds: float) -> None:
        """Make a document's text another, by an edit that all who have it open see.

        Raises:
            errors.DomainError: It cannot be edited now, or its edit cannot be stored.
            TimeoutError: It was not stored in time; it may be later.
        """
        splices = await self._splices(room, text)
        room.admit(min(len(text.encode()), _STEP))
        stored = []
        # Nothing is awaited in between: nobody's edit comes between two steps.
        for splice in splices:
            stored.append(Promise())
            room.edit([splice], author, stored[-1])
        if stored:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(one.revision for one in stored))

    @staticmethod
    async def _splices(room: Room, text: str) -> list[Splice]:
        for _ in range(_ATTEMPTS):
            before = room.text
            splices = await asyncio.to_thread(_fine, before, text)
            if room.text == before:
                return splices
        return _small(room.text, difference.coarse(room.text, text))


def _fine(old: str, new: str) -> list[Splice]:
    return _small(old, difference.splices(old, new))


def _small(text: str, edits: Sequence[difference.Splice]) -> list[Splice]:
    """Return edits in bytes of UTF-8, in descending order, each small enough for one update."""
    found: list[Splice] = []
    at = place = 0
    for start, length, put in reversed(edits):
        place += len(text[at:start].encode())
        size = len(text[start : start + length].encode())
        # Found backwards: the last to be done is what takes away.
        pieces = range(0, len(put), _STEP) if len(put) > _STEP else ()
        found.extend(Splice(place, 0, put[piece : piece + _STEP]) for piece in pieces)
        found.append(Splice(place, size, "" if pieces else put))
        at, place = start + length, place + size
    return found[::-1]


async def _reached(room: Room, sequence: int) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + _REACH_SECONDS
    while room.history.sequence < sequence:
        if room.failure is not None:
            raise room.failure
        if loop.time() > until:
            raise errors.Unavailable(
                "DOCUMENT_BEHIND", f"{room.name.key} does not have its newest edits here yet"
            )
        await asyncio.sleep(_LOOK_EVERY)
