"""What every replica is told of every change: the newest events in memory, older ones on demand."""

import asyncio
import bisect
import collections
import contextlib
import random
from collections.abc import AsyncGenerator, Callable

import nats.errors
import nats.js.errors
import structlog
from nats.js import api

from services.chassis import connectors, errors
from services.instance import stream
from services.instance.stream import Event

_log = structlog.get_logger(__name__)

_CHECK_EVERY = 2.0
"""Seconds of silence after which a consumer is asked whether it is still there: a NATS that was
killed comes back without it, and says nothing."""
_INACTIVE = 30.0
_PAUSE = 0.2
_HISTORY_BATCH = 500
_HISTORY_SECONDS = 5.0
"""Longest time for a batch: what was to be read may have grown too old just now."""


class Expired(errors.OutOfRange):
    """The stream does not go back as far as was asked for."""

    def __init__(self) -> None:
        super().__init__(
            "WATCH_EXPIRED",
            "What happened since this resume_token is not kept any more; watch again without",
        )


class Reader:
    """Reads events in order, from one on; ends with an error when it may have missed any."""

    def __init__(self, *, nats: connectors.Nats, after: int) -> None:
        self._nats = nats
        self._after = after

    async def events(
        self, on_alive: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[Event, None]:
        """Give event after event, waiting for ever for the next.

        Args:
            on_alive: Called whenever it is known that nothing was missed.

        Raises:
            nats.errors.Error: It has to be begun again behind the last event it gave.
        """
        jetstream = self._nats.jetstream
        subscription = await jetstream.subscribe(
            stream.SUBJECTS,
            stream=stream.NAME,
            manual_ack=True,
            config=api.ConsumerConfig(
                deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self._after + 1,
                ack_policy=api.AckPolicy.NONE,
                mem_storage=True,
                num_replicas=1,
                inactive_threshold=_INACTIVE,
            ),
        )
        expected = 1
        try:
            on_alive()
            while True:
                try:
                    message = await subscription.next_msg(timeout=_CHECK_EVERY)
                except nats.errors.TimeoutError:
                    await subscription.consumer_info()
                    on_alive()
                    continue
                if message.metadata.sequence.consumer != expected:
                    # Dropped on the way: we were too slow, or the connection broke.
                    raise nats.errors.SlowConsumerError(
                        subject=stream.SUBJECTS, reply="", sid=0, sub=subscription
                    )
                expected += 1
                on_alive()
                yield stream.read(message)
        finally:
            with contextlib.suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()


class Feed:
    """Follows the stream and keeps its newest events."""

    def __init__(
        self,
        *,
        nats: connectors.Nats,
        events: stream.Stream,
        keep: int,
        on_event: Callable[[Event], None],
    ) -> None:
        """Prepare.

        Args:
            nats: The connection.
            events: The stream.
            keep: Events to keep in memory.
            on_event: Called with every event, in order.
        """
        self._nats = nats
        self._stream = events
        self._on_event = on_event
        self._kept: collections.deque[Event] = collections.deque(maxlen=keep)
        self._floor = 0
        self._last = 0
        self._identity = ""
        self._alive_at = -_CHECK_EVERY * 10
        self._changed = asyncio.Event()

    @property
    def identity(self) -> str:
        """Which stream it follows; empty until it found one."""
        return self._identity

    @property
    def healthy(self) -> bool:
        """Whether it is known that no event is missing but the very latest."""
        return asyncio.get_running_loop().time() - self._alive_at < 2 * _CHECK_EVERY

    async def extent(self) -> stream.Extent:
        """Return what the stream holds at this moment.

        Raises:
            errors.Unavailable: NATS cannot be reached (NATS_UNAVAILABLE).
        """
        try:
            return await self._stream.extent()
        except nats.errors.Error as error:
            known = errors.from_exception(error)
            if isinstance(known, errors.Unavailable):
                raise known from error
            raise errors.Unavailable(
                "NATS_UNAVAILABLE", "Nats cannot be reached right now; try again shortly"
            ) from error

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
        return await self._history(after, until)

    def waiter(self) -> asyncio.Event:
        """Return an event that is set when there is something new to read."""
        return self._changed

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
        elif self._last < extent.first - 1:
            self._begin(extent.identity, extent.first - 1)
        reader = Reader(nats=self._nats, after=self._last)
        async with contextlib.aclosing(reader.events(self._alive)) as events:
            async for event in events:
                if len(self._kept) == self._kept.maxlen:
                    self._floor = self._kept[0].sequence
                self._kept.append(event)
                self._last = event.sequence
                self._on_event(event)
                self._notify()

    def _begin(self, identity: str, last: int) -> None:
        if self._identity:
            _log.warning("events were lost", stream=identity)
        self._identity = identity
        self._floor = self._last = last
        self._kept.clear()
        self._notify()

    async def _history(self, after: int, until: int | None) -> list[Event]:
        extent = await self.extent()
        if after < extent.first - 1:
            raise Expired
        end = extent.last if until is None else max(until, extent.last)
        if after >= end:
            return []
        found: list[Event] = []
        reader = Reader(nats=self._nats, after=after)
        async with (
            asyncio.timeout(_HISTORY_SECONDS),
            contextlib.aclosing(reader.events()) as events,
        ):
            async for event in events:
                found.append(event)
                if event.sequence >= end or len(found) >= _HISTORY_BATCH:
                    break
        return found

    def _alive(self) -> None:
        self._alive_at = asyncio.get_running_loop().time()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
