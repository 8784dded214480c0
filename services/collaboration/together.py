"""Stores edits of several documents in one step, all or none."""

import asyncio
import dataclasses
from collections.abc import Sequence

from services.collaboration import outbox, storing
from services.collaboration.entry import Author, Draft
from services.collaboration.log import Log
from services.collaboration.room import Room
from services.collaboration.subscriber import Promise


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
        def wanted() -> bool:
            for one in parts:
                if one.room.failure is not None:
                    raise one.room.failure
            return True

        await storing.insist(
            lambda: self._log.store_together(
                (one.room.name, one.room.epoch, one.draft) for one in parts
            ),
            seconds=self._give_up,
            wanted=wanted,
        )
