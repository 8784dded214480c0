"""Who is in a document and where: y-protocols' awareness, as Yjs editors speak it.

A state is JSON that its client renews; the newer clock wins; null means gone, and so does
silence.
"""

import json
from typing import Any, NamedTuple

from codestudio._live import wire

RENEW = 15.0
"""Seconds after which one's own state is told again, changed or not."""

DIES = 30.0
"""Seconds after which a state that was not renewed is gone."""

_FORGOTTEN = 2 * DIES
"""Seconds after which nothing is known of a client any more: its name was until then."""

State = dict[str, Any]


class _Known(NamedTuple):
    clock: int
    state: State | None
    heard: float


class Awareness:
    """The states of a document's clients, one's own among them. Times are any clock's seconds."""

    def __init__(self, client_id: int) -> None:
        self._own = client_id
        # A first clock of 0 is ignored by all who follow y-protocols.
        self._clock = 0
        self._state: State | None = None
        self._told = 0.0
        self._changed = False
        self._known: dict[int, _Known] = {}
        self._looked = float("-inf")

    def set_state(self, state: State | None) -> bool:
        """Set one's own state; None for none. Gives whether that is a change."""
        if state == self._state:
            return False
        self._state = state
        self._changed = True
        return True

    @property
    def state(self) -> State | None:
        """One's own state."""
        return self._state

    def tell_again(self) -> None:
        """Have one's own state told anew: there is a new stream, and the old one's is gone."""
        self._changed = self._changed or self._state is not None

    def others(self, now: float) -> dict[int, State]:
        """Give the states of the others."""
        return {
            client: known.state
            for client, known in self._known.items()
            if known.state is not None and now - known.heard < DIES
        }

    def name_of(self, client: int) -> str:
        """Give the name a client goes by; empty if it told none, or went long ago."""
        known = self._known.get(client)
        return _name(self._state if client == self._own else known.state if known else None)

    def outgoing(self, now: float) -> bytes:
        """Give what is to be told of oneself now; empty if nothing."""
        due = self._state is not None and now - self._told >= RENEW
        if not (self._changed or due):
            return b""
        self._clock += 1
        self._changed, self._told = False, now
        text = json.dumps(self._state, ensure_ascii=False, separators=(",", ":"))
        return wire.uint(1) + wire.uint(self._own) + wire.uint(self._clock) + wire.string(text)

    def apply(self, update: bytes, now: float) -> bool:
        """Take in what others tell; gives whether anything is new. What is malformed is not."""
        try:
            told = list(_read(update))
        except (wire.MalformedError, ValueError, RecursionError):
            return False
        news = [self._take(client, clock, state, now) for client, clock, state in told]
        self._forget(now)
        return any(news)

    def _forget(self, now: float) -> None:
        """Drop who was not heard for long: every connection is another client."""
        if now - self._looked < DIES:
            return
        self._looked = now
        self._known = {
            client: known for client, known in self._known.items() if now - known.heard < _FORGOTTEN
        }

    def _take(self, client: int, clock: int, state: State | None, now: float) -> bool:
        if client == self._own:
            # Somebody says that we are gone, or are what we were before: say it once more.
            if clock >= self._clock and self._state is not None:
                self._clock, self._changed = clock, True
            return False
        known = self._known.get(client)
        if known is None and state is None:
            return False
        if known is not None and not (
            clock > known.clock or (clock == known.clock and state is None)
        ):
            return False
        self._known[client] = _Known(clock, state, now)
        return known is None or known.state != state


def _read(update: bytes) -> Any:
    reader = wire.Reader(update)
    if not update:
        return
    for _ in range(reader.uint()):
        client, clock, text = reader.uint(), reader.uint(), reader.string()
        state = json.loads(text)
        yield client, clock, state if isinstance(state, dict) else None


def _name(state: State | None) -> str:
    user = (state or {}).get("user")
    name = user.get("name") if isinstance(user, dict) else None
    return name if isinstance(name, str) else ""
