"""A JetStream stream: made where there is none, and asked what it holds. Knows no service."""

import asyncio
import contextlib
import dataclasses
import datetime

import nats.errors
import nats.js.errors
from nats.js import api

from services.chassis import connectors, errors

_DUPLICATES = 120.0
_STREAM_EXISTS = 10058
"""JetStream's code for a stream of that name with another configuration."""
CHECK_EVERY = 2.0
"""Seconds of silence after which a consumer is asked whether it is still there: a NATS that was
killed comes back without it, and says nothing."""
_DOUBTED = 0.5
"""Seconds of silence after which it is asked again when something should have come."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """How a stream is made."""

    name: str
    """Its name, such as ``EVENTS``."""
    subjects: tuple[str, ...]
    """What it stores."""
    max_age: float
    """Seconds it keeps a message."""
    max_bytes: int = -1
    """Bytes it keeps at most, the oldest going first; -1 for no limit."""
    newest_of_subject: int = -1
    """Messages it keeps of one subject; -1 for all of them."""
    duplicate_window: float = _DUPLICATES
    """Seconds for which a second message of one id is dropped."""

    @property
    def compacted(self) -> bool:
        """Whether a message may go because a newer one says what is true now."""
        return self.newest_of_subject > 0


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """What a stream holds at one moment."""

    identity: str
    """Changes when the stream is made anew, having lost everything."""
    first: int
    """Sequence number of the oldest message there is, or of the next if there is none."""
    last: int
    """Sequence number of the newest message of interest; `first` - 1 if there is none."""


class Arrivals:
    """Counts what a consumer delivers, so that nothing is lost on the way unnoticed.

    A client that was too slow, or a connection that broke, loses messages: the next one that
    arrives shows it. When it is the last ones that were lost nothing arrives any more, perhaps
    for hours, so in silence the consumer itself is asked.
    """

    def __init__(self) -> None:
        self._count = 0
        self._behind_at = -1

    @property
    def doubtful(self) -> bool:
        """Whether something was on its way, or lost, when the consumer was asked last."""
        return self._behind_at == self._count

    @property
    def patience(self) -> float:
        """Seconds of silence after which the consumer is to be asked."""
        return _DOUBTED if self.doubtful else CHECK_EVERY

    def take(self, number: int) -> bool:
        """Count a message with its number by the consumer; False where one before it is lost."""
        if number != self._count + 1:
            return False
        self._count = number
        return True

    def missing(self, consumer: api.ConsumerInfo) -> bool:
        """Tell, in silence, whether messages were lost: twice asked, something is to come still.

        Asked once it may be on its way: it is delivered on another path than the answer.
        """
        delivered = consumer.delivered.consumer_seq if consumer.delivered else 0
        lost = self.doubtful
        behind = bool(consumer.num_pending) or delivered != self._count
        self._behind_at = self._count if behind else -1
        return lost and behind


class Stream:
    """Makes the stream if there is none, and tells what it holds."""

    def __init__(
        self, definition: Definition, *, nats: connectors.Nats, subjects: str = ""
    ) -> None:
        """Prepare.

        Args:
            definition: How it is made where there is none.
            nats: The connection.
            subjects: The part of it that is of interest; by default everything.

        """
        self._definition = definition
        self._nats = nats
        self._subjects = subjects or ">"
        self._ensured = False
        self._ensuring = asyncio.Lock()

    @property
    def definition(self) -> Definition:
        """How it is made."""
        return self._definition

    @property
    def name(self) -> str:
        """Its name."""
        return self._definition.name

    @property
    def subjects(self) -> str:
        """The part of it that is of interest."""
        return self._subjects

    async def ensure(self) -> None:
        """Make the stream if need be.

        Raises:
            nats.errors.Error: NATS cannot be reached.

        """
        if self._ensured:
            return
        async with self._ensuring:
            if self._ensured:
                return
            try:
                await self._nats.jetstream.stream_info(self.name)
            except nats.js.errors.NotFoundError:
                await self._make()
            self._ensured = True

    def lost(self) -> None:
        """Take note that the stream may not be there any more."""
        self._ensured = False

    async def extent(self) -> Extent:
        """Return what the stream holds.

        Raises:
            nats.errors.Error: NATS cannot be reached.

        """
        await self.ensure()
        jetstream = self._nats.jetstream
        try:
            info = await jetstream.stream_info(self.name)
        except nats.js.errors.NotFoundError:
            self.lost()
            raise
        # A stream that never held anything says 0, of which no consumer wants to hear.
        first = max(1, info.state.first_seq)
        last = first - 1
        if info.state.messages:
            with contextlib.suppress(nats.js.errors.NotFoundError):
                last = (await jetstream.get_last_msg(self.name, self._subjects)).seq or last
        created = info.created
        identity = (
            created.astimezone(datetime.UTC).isoformat()
            if isinstance(created, datetime.datetime)
            else str(created)
        )
        return Extent(identity=identity, first=first, last=last)

    async def known_extent(self) -> Extent:
        """Return what the stream holds; for a caller who is to be told what is away.

        Raises:
            errors.Unavailable: NATS cannot be reached (NATS_UNAVAILABLE).

        """
        try:
            return await self.extent()
        except nats.errors.Error as error:
            known = errors.from_exception(error)
            if isinstance(known, errors.Unavailable):
                raise known from error
            raise errors.Unavailable(
                "NATS_UNAVAILABLE", "Nats cannot be reached right now; try again shortly"
            ) from error

    async def _make(self) -> None:
        definition = self._definition
        try:
            await self._nats.jetstream.add_stream(
                name=definition.name,
                subjects=list(definition.subjects),
                storage=api.StorageType.FILE,
                max_age=definition.max_age,
                max_bytes=definition.max_bytes,
                max_msgs_per_subject=definition.newest_of_subject,
                duplicate_window=definition.duplicate_window,
                discard=api.DiscardPolicy.OLD,
            )
        except nats.js.errors.BadRequestError as error:
            # Another replica or service made it just now, its own way.
            if error.err_code != _STREAM_EXISTS:
                raise
