"""Deletes documents.

That a document is deleted is the last entry of its history in the log: every replica reads it, in
order with the edits, and sends the document's clients away. Only then its record is removed; a
replica that dies in between leaves that to whoever loads the document next. A document of the same
name that is opened later has another epoch, so nothing of the old one can come into it.
"""

import asyncio

import nats.errors

from services.chassis import errors
from services.collaboration.entry import Author
from services.collaboration.log import Log
from services.collaboration.names import Name
from services.collaboration.room import Room, deleted
from services.collaboration.rooms import Rooms
from services.collaboration.store import Store

_ATTEMPTS = 20
_PAUSE = 0.05


class Deleting:
    """Deletes documents."""

    def __init__(self, *, rooms: Rooms, store: Store, log: Log) -> None:
        self._rooms = rooms
        self._store = store
        self._log = log

    async def delete(self, name: Name, revision: int, author: Author) -> None:
        """Delete a document; with a revision, only if it is still at that.

        Raises:
            errors.NotFound: There is none.
            errors.Aborted: It has changed since (DOCUMENT_CHANGED).
            errors.Unavailable: Nothing can be stored right now.
        """
        async with self._rooms.holding(name) as room:
            try:
                await self._end(room, revision, author)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                raise errors.Unavailable(
                    "NATS_UNAVAILABLE", "The document cannot be deleted right now; try again"
                ) from error
            # The log tells all replicas; this one need not wait for it.
            room.fail(deleted(name))
        await self._store.delete(name, room.epoch)

    async def _end(self, room: Room, revision: int, author: Author) -> None:
        if not revision:
            await self._log.end(room.name, room.epoch, None, author)
            return
        for _ in range(_ATTEMPTS):
            await room.settle()
            last = await self._log.last(room.name)
            # What is in the log and not here yet is a change nobody has looked at.
            if room.revision != revision:
                raise errors.Aborted(
                    "DOCUMENT_CHANGED",
                    f"The document is at revision {room.revision}, not {revision}",
                    metadata={"revision": str(room.revision)},
                )
            if last <= room.history.sequence and await self._log.end(
                room.name, room.epoch, last, author
            ):
                return
            await asyncio.sleep(_PAUSE)
        raise errors.Unavailable("DOCUMENT_BUSY", "The document changes too fast; try again")
