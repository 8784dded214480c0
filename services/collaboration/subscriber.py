"""One client in one document: what it has been given, and what of its own is stored."""

import asyncio
import collections
from collections.abc import Callable

from services.chassis import errors
from services.collaboration.entry import Author


class Receipt:
    """Waits for something to be stored. Called once: `stored` or `failed`."""

    def stored(self, revision: int) -> None:
        """Take note that it is stored, as part of a revision."""
        raise NotImplementedError

    def failed(self, error: errors.DomainError) -> None:
        """Take note that it is not known to be stored, and will not be tried again."""


class Promise(Receipt):
    """Gives the revision with which something was stored."""

    def __init__(self) -> None:
        self.revision: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def stored(self, revision: int) -> None:
        """Give it."""
        if not self.revision.done():
            self.revision.set_result(revision)

    def failed(self, error: errors.DomainError) -> None:
        """Give the error instead."""
        if not self.revision.done():
            self.revision.set_exception(error)

    def let_go(self) -> None:
        """Take note that nobody waits for it any more."""
        if self.revision.done() and not self.revision.cancelled():
            self.revision.exception()


class _Sent(Receipt):
    """One numbered update of a client."""

    __slots__ = ("_subscriber", "done", "sequence")

    def __init__(self, subscriber: "Subscriber", sequence: int) -> None:
        self.sequence = sequence
        self.done = False
        self._subscriber = subscriber

    def stored(self, revision: int) -> None:
        """Acknowledge it, when all before it are stored too."""
        self.done = True
        self._subscriber.acknowledge(revision)


class Subscriber:
    """A client's place in a room. The room moves it on; the connection reads what is due."""

    def __init__(
        self, *, author: Author, may_write: bool, pace: float, wake: Callable[[], None]
    ) -> None:
        """Describe a client.

        Args:
            author: Who it is.
            may_write: Whether it is an editor.
            pace: Seconds it adds to the time between two rounds of sending.
            wake: Called when there is something to send.
        """
        self.pace = pace
        self.author = author
        self.may_write = may_write
        self.wake = wake
        self.at = 0
        """Segments of the room it has been given."""
        self.awareness_at = 0
        """Version of the room's awareness it has been given."""
        self.clients: set[int] = set()
        """Awareness clients that speak through it; gone when it is."""
        self.cursor_refused = False
        """Whether something they said was not taken; it is logged once."""
        self.failure: errors.DomainError | None = None
        """Why the room has sent it away."""
        self.must_resync = False
        """Whether what it sent does not fit what the room has: it is to synchronise again."""
        self._sent: collections.deque[_Sent] = collections.deque()
        self._acknowledged = 0
        self._revision = 0
        self._ack_due = self._waking = False

    def receipt(self, sequence: int) -> Receipt:
        """Return what is to be told when the update of this number is stored."""
        sent = _Sent(self, sequence)
        self._sent.append(sent)
        return sent

    def acknowledge(self, revision: int) -> None:
        """Find out how far everything is stored."""
        while self._sent and self._sent[0].done:
            self._acknowledged = self._sent.popleft().sequence
            self._revision = revision
            self._ack_due = True
        if self._ack_due and not self._waking:
            # Once for all that are stored by one entry.
            self._waking = True
            asyncio.get_running_loop().call_soon(self._acknowledged_now)

    def _acknowledged_now(self) -> None:
        self._waking = False
        self.wake()

    def take_ack(self) -> tuple[int, int] | None:
        """Return the number up to which all is stored, and the revision; None if nothing new."""
        if not self._ack_due:
            return None
        self._ack_due = False
        return self._acknowledged, self._revision

    def left(self) -> None:
        """Take note that it is in no room any more: nothing is sent, and nothing kept for that."""
        self.wake = _nobody

    def fail(self, error: errors.DomainError) -> None:
        """Send it away."""
        self.failure = self.failure or error
        self.wake()

    def resync(self) -> None:
        """Have it synchronise again."""
        self.must_resync = True
        self.wake()


def _nobody() -> None:
    """Wake nobody."""
