"""A room's edits on their way into the log: merged, stored in order, tried until they are in."""

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Callable

import structlog

from services.chassis import cancellation, errors
from services.collaboration import measures, segments, storing
from services.collaboration.entry import Author, Draft
from services.collaboration.log import Log
from services.collaboration.names import Name
from services.collaboration.subscriber import Receipt

_log = structlog.get_logger(__name__)

_MERGED = 256
"""Edits in one entry at most."""
_MERGED_BYTES = 512 * 1024
_WAITING_BYTES = 16 * 1024**2
"""Edits waiting at most; past it, no more are taken."""

_numbers = itertools.count(1)


def draft_id(origin: str) -> str:
    """Return an id that no other draft has."""
    return f"{origin}-{next(_numbers)}"


@dataclasses.dataclass(slots=True)
class _Waiting:
    update: bytes
    author: Author
    source: str
    request: str
    since: float
    receipts: list[Receipt]


@dataclasses.dataclass(slots=True)
class _Flight:
    draft: Draft
    since: float
    receipts: list[Receipt]


class Outbox:
    """What one room has not stored yet."""

    def __init__(
        self,
        *,
        name: Name,
        epoch: str,
        log: Log,
        origin: str,
        tick: float,
        give_up: float,
        on_give_up: Callable[[errors.DomainError], None],
    ) -> None:
        """Prepare.

        Args:
            name: The document.
            epoch: Its history.
            log: Where its edits go.
            origin: Name of this replica.
            tick: Seconds between two entries at least, where edits come faster than entries.
            give_up: Seconds to try for.
            on_give_up: Called when the log could not be reached for so long.
        """
        self._name = name
        self._epoch = epoch
        self._log = log
        self._origin = origin
        self._tick = tick
        self._give_up = give_up
        self._on_give_up = on_give_up
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._flights: dict[str, _Flight] = {}
        self._storing: asyncio.Task[None] | None = None
        self._next = 0.0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def empty(self) -> bool:
        """Whether everything is stored."""
        return not self._waiting and not self._flights

    @property
    def size(self) -> int:
        """Bytes that are not known to be stored."""
        return self._waiting_bytes + sum(len(one.draft.update) for one in self._flights.values())

    def updates(self) -> list[bytes]:
        """Return what is not known to be stored, in order."""
        return [
            *(one.draft.update for one in self._flights.values()),
            *(one.update for one in self._waiting),
        ]

    def check(self) -> None:
        """Refuse an edit while too many wait.

        Raises:
            errors.Unavailable: NATS_UNAVAILABLE.
        """
        if self._waiting_bytes > _WAITING_BYTES:
            raise storing.unavailable()

    def add(
        self,
        update: bytes,
        author: Author,
        receipt: Receipt | None,
        *,
        source: str = "",
        request: str = "",
    ) -> None:
        """Have an edit stored."""
        # Not the loop's clock: uvloop's has milliseconds only.
        now = time.perf_counter()
        receipts = [] if receipt is None else [receipt]
        self._waiting.append(_Waiting(update, author, source, request, now, receipts))
        self._waiting_bytes += len(update)
        self._idle.clear()
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store(), name=f"store {self._name.key}")

    def attach(self, receipt: Receipt) -> bool:
        """Have somebody told when all that is under way is stored; False if nothing is."""
        if self._waiting:
            self._waiting[-1].receipts.append(receipt)
        elif self._flights:
            list(self._flights.values())[-1].receipts.append(receipt)
        else:
            return False
        return True

    def arrived(self, draft_id: str, revision: int) -> bool:
        """Take note that an entry of ours is in the log; whether it was still waited for."""
        flight = self._flights.pop(draft_id, None)
        if flight is None:
            return False
        measures.STORE_SECONDS.observe(time.perf_counter() - flight.since)
        for receipt in flight.receipts:
            receipt.stored(revision)
        if self.empty:
            self._idle.set()
        return True

    async def settle(self) -> None:
        """Wait until all is stored, or was given up."""
        await self._idle.wait()

    async def close(self, error: errors.DomainError) -> None:
        """Give up what is not stored."""
        self.abandon(error)
        # So that the room, which is whom this tells, goes with its last user, not with the garbage.
        self._on_give_up = _tell_nobody
        if self._storing is not None and self._storing is not asyncio.current_task():
            await cancellation.cancel([self._storing], grace=2.0)

    def abandon(self, error: errors.DomainError) -> None:
        """Tell everybody who waits that it is not known to be stored."""
        receipts = [receipt for one in self._flights.values() for receipt in one.receipts]
        receipts += [receipt for one in self._waiting for receipt in one.receipts]
        self._flights.clear()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._idle.set()
        for receipt in receipts:
            receipt.failed(error)

    async def _store(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            # At once when it is quiet; otherwise what comes within a tick goes together.
            if (pause := self._next - loop.time()) > 0:
                await asyncio.sleep(pause)
            # Of somebody who waits for each answer nothing would come together: no tick for him.
            crowded = len(self._waiting) > 1
            self._next = loop.time() + (self._tick if crowded else 0)
            flight = self._take()
            self._flights[flight.draft.id] = flight
            if not await self._insist(flight):
                self.abandon(storing.unavailable())
                self._on_give_up(storing.unavailable())
                return

    def _take(self) -> _Flight:
        size = count = 0
        for one in self._waiting[:_MERGED]:
            size += len(one.update)
            count += 1
            if size > _MERGED_BYTES:
                break
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_bytes -= size
        draft = Draft(
            id=draft_id(self._origin),
            update=segments.merge([one.update for one in taken]),
            authors=tuple(dict.fromkeys(one.author for one in taken)),
            sources=tuple(dict.fromkeys(one.source for one in taken if one.source)),
            requests=tuple(one.request for one in taken if one.request),
        )
        receipts = [receipt for one in taken for receipt in one.receipts]
        return _Flight(draft, taken[0].since, receipts)

    async def _insist(self, flight: _Flight) -> bool:
        """Store an entry; False where it could not be."""
        try:
            await storing.insist(
                lambda: self._log.store(self._name, self._epoch, flight.draft),
                seconds=self._give_up,
                wanted=lambda: flight.draft.id in self._flights,
            )
        except errors.Unavailable as error:
            why = repr(error.__cause__)
            _log.error("edits could not be stored", document=self._name.key, why=why)
            return False
        return True


def _tell_nobody(error: errors.DomainError) -> None:
    """Take an error that nobody waits for."""
