"""Stores edits of several documents in one step, all or none."""

import asyncio
import dataclasses
import random
from collections.abc import Sequence

import nats.errors

from services.collaboration import measures, outbox
from services.collaboration.entry import Author, Draft
from services.collaboration.log import Log
from services.collaboration.room import Room
from services.collaboration.subscriber import Promise

_FIRST_RETRY = 0.05
_LAST_RETRY = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """The edits of one document, made in a fork of it."""

    room: Room
    draft: Draft
    promise: Promise


class Together:
    """Stores them."""

    def __init__(self, *, log: Log, origin: str, give_up: float) -> None:
        """Prepare.

        Args:
            log: Where they go.
            origin: Name of this replica.
            give_up: Seconds to try for.
        """
        self._log = log
        self._origin = origin
        self._give_up = give_up

    def part(self, room: Room, update: bytes, author: Author, *, source: str, request: str) -> Part:
        """Return edits of a room as a part; `source` and `request` are empty for none."""
        draft = Draft(
            id=outbox.draft_id(self._origin),
            update=update,
            authors=(author,),
            sources=(source,) if source else (),
            requests=(request,) if request else (),
        )
        return Part(room, draft, Promise())

    async def store(self, parts: Sequence[Part]) -> list[int]:
        """Store parts, and wait until they are in their rooms; gives their revisions.

        Raises:
            errors.Unavailable: They could not be stored for long (NATS_UNAVAILABLE).
            errors.DomainError: A room serves nobody any more. What is stored is stored.
        """
        changed = [one for one in parts if one.draft.update]
        for one in changed:
            one.room.expect(one.draft.id, one.promise)
        try:
            if changed:
                await self._insist(changed)
                await asyncio.gather(*(one.promise.revision for one in changed))
        finally:
            for one in changed:
                one.room.give_up(one.draft.id)
                one.promise.let_go()
        return [
            one.promise.revision.result() if one.draft.update else one.room.revision
            for one in parts
        ]

    async def _insist(self, parts: Sequence[Part]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._give_up
        pause = _FIRST_RETRY
        while True:
            try:
                await self._log.store_together(
                    (one.room.name, one.room.epoch, one.draft) for one in parts
                )
            except (nats.errors.Error, OSError, TimeoutError):
                measures.STORE_FAILURES.inc()
                for one in parts:
                    if one.room.failure is not None:
                        raise one.room.failure from None
                if loop.time() > until:
                    raise outbox.unavailable() from None
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause = min(_LAST_RETRY, pause * 2)
            else:
                return
