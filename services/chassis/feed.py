"""What every replica is told of a stream: the newest events in memory, older ones on demand.

One consumer a replica follows the stream, however many read it; nobody has a queue of his own.
A reader stands at a place in the stream and goes on from there: out of memory while he keeps up,
out of JetStream when he does not.
"""

import asyncio
import bisect
import collections
import contextlib
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import api

from services.chassis import connectors, errors, lifecycle, streams

_log = structlog.get_logger(__name__)

_INACTIVE = 30.0
_PAUSE = 0.2
_HISTORY_BATCH = 500
_HISTORY_BYTES = 8 * 1024**2
_HISTORY_SECONDS = 5.0
"""Longest time for a batch: what was to be read may have grown too old just now."""
_HISTORY_READERS = 8
"""Readers served out of JetStream at once, each by a consumer; others wait their turn."""


class Sequenced(Protocol):
    """An event with its place in the stream."""

    @property
    def sequence(self) -> int:
        """Its place."""


Event = TypeVar("Event", bound=Sequenced)


class Expired(errors.OutOfRange):
    """The stream does not go back as far as was asked for."""

    def __init__(self) -> None:
        super().__init__(
            "WATCH_EXPIRED",
            "What happened since this resume_token is not kept any more; begin again without",
        )


class Reader(Generic[Event]):
    """Reads events in order, from one on; ends with an error when it may have missed any."""

    def __init__(
        self,
        *,
        nats: connectors.Nats,
        stream: str,
        subjects: str,
        after: int,
        read: Callable[[Msg], Event],
        headers_only: bool = False,
    ) -> None:
        """Prepare.

        Args:
            nats: The connection.
            stream: Name of the stream.
            subjects: What of it to read.
            after: Sequence number to begin behind.
            read: Makes an event of a message; it must not refuse any.
            headers_only: Leave the messages' content away.

        """
        self._nats = nats
        self._stream = stream
        self._subjects = subjects
        self._after = after
        self._read = read
        self._headers_only = headers_only

    async def events(
        self,
        on_alive: Callable[[], None] = lambda: None,
        on_quiet: Callable[[int], None] = lambda _: None,
    ) -> AsyncGenerator[Event, None]:
        """Give event after event, waiting for ever for the next.

        Args:
            on_alive: Called whenever it is known that nothing was missed.
            on_quiet: Called with a sequence number up to which there is nothing more of interest,
                when there was silence: others may have published much meanwhile.

        Raises:
            nats.errors.Error: It has to be begun again behind the last event it gave.

        """
        jetstream = self._nats.jetstream
        subscription = await jetstream.subscribe(
            self._subjects,
            stream=self._stream,
            manual_ack=True,
            config=api.ConsumerConfig(
                deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self._after + 1,
                ack_policy=api.AckPolicy.NONE,
                headers_only=self._headers_only or None,
                mem_storage=True,
                num_replicas=1,
                inactive_threshold=_INACTIVE,
            ),
        )
        arrivals = streams.Arrivals()
        try:
            on_alive()
            while True:
                try:
                    message = await subscription.next_msg(timeout=arrivals.patience)
                except nats.errors.TimeoutError:
                    last = (await jetstream.stream_info(self._stream)).state.last_seq
                    if arrivals.missing(await subscription.consumer_info()):
                        raise self._lost(subscription) from None
                    if not arrivals.doubtful:
                        on_alive()
                        on_quiet(last)
                    continue
                if not arrivals.take(message.metadata.sequence.consumer):
                    raise self._lost(subscription)
                on_alive()
                yield self._read(message)
        finally:
            with contextlib.suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()

    def _lost(self, subscription: Subscription) -> nats.errors.Error:
        """Say that messages were dropped on the way: we were too slow, or the connection broke."""
        return nats.errors.SlowConsumerError(
            subject=self._subjects, reply="", sid=0, sub=subscription
        )


class Feed(Generic[Event]):
    """Follows a stream and keeps its newest events."""

    def __init__(
        self,
        *,
        nats: connectors.Nats,
        stream: streams.Stream,
        read: Callable[[Msg], Event],
        keep: int,
        keep_bytes: int = 0,
        size: Callable[[Event], int] = lambda _: 0,
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            nats: The connection.
            stream: The stream.
            read: Makes an event of a message; it must not refuse any.
            keep: Events to keep in memory.
            keep_bytes: Bytes of them to keep in memory; 0 for no limit.
            size: Bytes of an event.
            on_event: Called with every event, in order.

        """
        self._nats = nats
        self._stream = stream
        self._read = read
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._size = size
        self._on_event = on_event
        self._kept: collections.deque[Event] = collections.deque()
        self._bytes = 0
        self._floor = 0
        self._last = 0
        self._quiet = 0
        self._identity = ""
        self._alive_at = -streams.CHECK_EVERY * 10
        self._changed = asyncio.Event()
        self._listeners: dict[Callable[[], None], None] = {}
        self._history_turns = asyncio.Semaphore(_HISTORY_READERS)

    @property
    def identity(self) -> str:
        """Which stream it follows; empty until it found one."""
        return self._identity

    @property
    def healthy(self) -> bool:
        """Whether it is known that no event is missing but the very latest."""
        return asyncio.get_running_loop().time() - self._alive_at < 2 * streams.CHECK_EVERY

    async def extent(self) -> streams.Extent:
        """Return what the stream holds at this moment.

        Raises:
            errors.Unavailable: NATS cannot be reached (NATS_UNAVAILABLE).

        """
        return await self._stream.known_extent()

    def reaches(self, extent: streams.Extent, identity: str, after: int) -> bool:
        """Whether all that came behind a place is still there, or what has replaced it."""
        if extent.identity != identity:
            return False
        return self._stream.definition.compacted or after >= extent.first - 1

    def quiet(self, identity: str, after: int) -> int:
        """Return the place up to which nothing of interest came behind another one.

        It is as good to go on from, and stays so for longer: the stream may also hold what is of
        interest to others, and forget all of it that is old, the other place included.
        """
        if identity != self._identity or after < self._last:
            return after
        return max(after, self._quiet)

    async def read(self, identity: str, after: int, until: int | None = None) -> list[Event]:
        """Return events behind a sequence number, in order; none if there are none yet.

        Args:
            identity: The stream the number belongs to.
            after: The number.
            until: Do not return empty-handed before this number was reached by the stream.

        Raises:
            Expired: The events are not kept any more.
            nats.errors.Error: They have to be read from JetStream, which cannot be reached.

        """
        if self._identity and identity != self._identity:
            raise Expired
        if self._identity and after >= self._floor:
            start = bisect.bisect_right(self._kept, after, key=lambda one: one.sequence)
            return [self._kept[number] for number in range(start, len(self._kept))]
        async with self._history_turns:
            return await self._history(identity, after, until)

    def waiter(self) -> asyncio.Event:
        """Return an event that is set when there is something new to read."""
        return self._changed

    @contextlib.contextmanager
    def listening(self, wake: Callable[[], None]) -> Iterator[None]:
        """Have something called whenever there is something new to read.

        Cheaper than `waiter` for a hundred readers: it makes no tasks.
        """
        self._listeners[wake] = None
        try:
            yield
        finally:
            self._listeners.pop(wake, None)

    async def run(self) -> None:
        """Follow the stream for ever."""
        while True:
            await self._nats.wait_ready()
            try:
                await self._follow()
            except (nats.errors.Error, OSError, TimeoutError) as error:
                _log.debug("feed broke", why=str(error) or type(error).__name__)
            await asyncio.sleep(_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    async def _follow(self) -> None:
        extent = await self._stream.extent()
        if extent.identity != self._identity:
            self._begin(extent.identity, extent.last)
        elif not self.reaches(extent, self._identity, max(self._last, self._quiet)):
            self._begin(extent.identity, extent.first - 1)
        reader = self._reader(self._last)
        async with contextlib.aclosing(reader.events(self._alive, self._silent)) as events:
            async for event in events:
                self._remember(event)
                self._last = event.sequence
                self._on_event(event)
                self._notify()

    def _remember(self, event: Event) -> None:
        self._kept.append(event)
        self._bytes += self._size(event)
        while len(self._kept) > self._keep or (
            self._keep_bytes and self._bytes > self._keep_bytes and len(self._kept) > 1
        ):
            gone = self._kept.popleft()
            self._bytes -= self._size(gone)
            self._floor = gone.sequence

    def _begin(self, identity: str, last: int) -> None:
        if self._identity:
            _log.warning("events were lost", stream=identity)
        self._identity = identity
        self._quiet = 0
        self._floor = self._last = last
        self._kept.clear()
        self._bytes = 0
        self._notify()

    async def _history(self, identity: str, after: int, until: int | None) -> list[Event]:
        extent = await self.extent()
        if not self.reaches(extent, identity, after):
            raise Expired
        end = extent.last if until is None else max(until, extent.last)
        if after >= end:
            return []
        found: list[Event] = []
        size = 0
        async with (
            asyncio.timeout(_HISTORY_SECONDS),
            contextlib.aclosing(self._reader(after).events()) as events,
        ):
            async for event in events:
                found.append(event)
                size += self._size(event)
                full = len(found) >= _HISTORY_BATCH or size >= _HISTORY_BYTES
                if event.sequence >= end or full:
                    break
        return found

    def _reader(self, after: int) -> Reader[Event]:
        return Reader(
            nats=self._nats,
            stream=self._stream.name,
            subjects=self._stream.subjects,
            after=after,
            read=self._read,
        )

    def _silent(self, last: int) -> None:
        self._quiet = max(self._quiet, last)

    def _alive(self) -> None:
        self._alive_at = asyncio.get_running_loop().time()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        for wake in self._listeners:
            wake()


async def wait(changed: Iterable[asyncio.Event], seconds: float) -> None:
    """Wait until one of some feeds has news, for a while.

    Raises:
        errors.Unavailable: This replica is told to stop (SERVER_SHUTTING_DOWN).

    """
    refuse_draining()
    events = (*changed, lifecycle.draining())
    waits = [asyncio.ensure_future(one.wait()) for one in events]
    try:
        await asyncio.wait(waits, timeout=max(0.01, seconds), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
    refuse_draining()


def refuse_draining() -> None:
    """End a stream when this replica is told to stop.

    Raises:
        errors.Unavailable: It is (SERVER_SHUTTING_DOWN).

    """
    if lifecycle.draining().is_set():
        raise errors.Unavailable(
            "SERVER_SHUTTING_DOWN", "This replica is going; resume with the last resume_token"
        )
