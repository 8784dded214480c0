"""Who is in a document and where: states of y-protocols' awareness, kept but never understood.

A state is JSON that its client renews; the newer clock wins; null means gone. The server relays
states as they are, and does not resolve the cursors in them: that differs between languages for
text beyond ASCII.
"""

import dataclasses
import enum
import json
from collections.abc import Callable, Collection, Iterable

from services.collaboration import ywire

MAX_STATE = 16 * 1024
"""Largest state of one client, in bytes."""
MAX_CLIENTS = 10_000
"""States kept of one document at most; more are not taken."""

_GONE = b"null"


@dataclasses.dataclass(slots=True)
class _State:
    clock: int
    content: bytes
    """JSON; ``null`` for a client that is gone."""
    renewed: float
    version: int
    """When it last changed, in changes of the whole document."""
    encoded: bytes
    """As it stands in an awareness update."""


class Refusal(enum.StrEnum):
    """Why a state is not taken."""

    BUDGET = "budget"
    """The document's states have as many bytes as they may."""
    CLIENTS = "clients"
    """The document has as many clients as it may."""
    CONNECTION = "connection"
    """Its connection speaks for as many clients as it may."""


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """What an update says of one client."""

    client: int
    clock: int
    content: bytes


def read(update: bytes) -> list[Said]:
    """Read an awareness update.

    Raises:
        ywire.Malformed: It is none, or a state in it is no JSON or too large: other clients would
            fail at it.
    """
    reader = ywire.Reader(update)
    count = reader.uint()
    if count * 3 > reader.left:
        raise ywire.Malformed(f"{count} clients are announced, {reader.left} bytes are there")
    found = []
    for _ in range(count):
        client, clock, content = reader.uint(), reader.uint(), reader.bytes()
        if len(content) > MAX_STATE:
            raise ywire.Malformed(f"a state has {len(content)} bytes, {MAX_STATE} are allowed")
        if content != _GONE:
            try:
                json.loads(content)
            except (ValueError, RecursionError):
                raise ywire.Malformed("a state is no JSON") from None
        found.append(Said(client, clock, content))
    reader.end()
    return found


class Awareness:
    """The states of one document's clients.

    Past the budget a state is not taken if it is larger than an equal share of it
    (`max_bytes` / `MAX_CLIENTS`): who says little is always heard, and all states together have
    at most twice the budget.
    """

    def __init__(self, max_bytes: int = 4 * 1024**2) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._states: dict[int, _State] = {}
        self.version = 0
        """Counts changes; a reader remembers it to ask for what came since."""

    def __len__(self) -> int:
        return sum(one.content != _GONE for one in self._states.values())

    def news(self, said: Said) -> bool:
        """Whether something is newer than what is known."""
        known = self._states.get(said.client)
        if known is None:
            # A first clock of 0 is ignored (y-protocols); a farewell of a stranger is nothing.
            return said.clock != 0 and said.content != _GONE
        if said.clock == known.clock:
            # At the same clock only a farewell is news.
            return said.content == _GONE and known.content != _GONE
        return said.clock > known.clock

    def apply(
        self,
        said: Iterable[Said],
        now: float,
        on_refusal: Callable[[Refusal], None] = lambda _: None,
    ) -> list[int]:
        """Take what is newer than what is known; returns the clients it is about.

        Args:
            said: What clients say of themselves.
            now: The time, in seconds.
            on_refusal: Called for each state that is news and is not taken.
        """
        changed = []
        for one in said:
            known = self._states.get(one.client)
            if not self.news(one):
                if known is not None and one.clock == known.clock:
                    known.renewed = now
                continue
            if known is None and len(self._states) >= MAX_CLIENTS:
                on_refusal(Refusal.CLIENTS)
                continue
            if self._exceeds(one, known):
                on_refusal(Refusal.BUDGET)
                continue
            self._put(one.client, one.clock, one.content, now)
            changed.append(one.client)
        return changed

    def forget(self, clients: Iterable[int], now: float) -> list[int]:
        """Let clients be gone; returns those that were there."""
        changed = []
        for client in clients:
            known = self._states.get(client)
            if known is not None and known.content != _GONE:
                # At the same clock, as y-protocols does: the client's next word is newer.
                self._put(client, known.clock, _GONE, now)
                changed.append(client)
        return changed

    def expire(self, now: float, seconds: float) -> list[int]:
        """Let clients be gone that did not renew their state; returns them."""
        old = [
            client
            for client, one in self._states.items()
            if one.content != _GONE and now - one.renewed > seconds
        ]
        for client, one in list(self._states.items()):
            # Kept for a while after it is gone: its last words may still be on their way.
            if one.content == _GONE and now - one.renewed > 2 * seconds:
                self._bytes -= len(one.encoded)
                del self._states[client]
        return self.forget(old, now)

    def everything(self) -> bytes:
        """Return all who are there, as an update; empty if nobody is."""
        found = [one.encoded for one in self._states.values() if one.content != _GONE]
        return ywire.write_uint(len(found)) + b"".join(found) if found else b""

    def since(self, version: int) -> list[int]:
        """Return the clients that changed since a version."""
        found = []
        # The newest come last, so this looks at no more than has changed: every reader asks.
        for client, one in reversed(self._states.items()):
            if one.version <= version:
                break
            found.append(client)
        return found[::-1]

    def update(self, clients: Collection[int]) -> bytes:
        """Return the newest of some clients, as an update."""
        found = [self._states[client].encoded for client in clients if client in self._states]
        return ywire.write_uint(len(found)) + b"".join(found)

    def _exceeds(self, said: Said, known: _State | None) -> bool:
        size, before = len(said.content), len(known.encoded) if known is not None else 0
        if size <= max(self._max_bytes // MAX_CLIENTS, len(_GONE)):
            return False
        return self._bytes - before + size > self._max_bytes

    def _put(self, client: int, clock: int, content: bytes, now: float) -> None:
        self.version += 1
        encoded = ywire.write_uint(client) + ywire.write_uint(clock) + ywire.write_bytes(content)
        # Popped first, so that the newest come last.
        if (before := self._states.pop(client, None)) is not None:
            self._bytes -= len(before.encoded)
        self._bytes += len(encoded)
        self._states[client] = _State(clock, content, now, self.version, encoded)
