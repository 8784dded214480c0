"""The JetStream stream EVENTS, as far as instances are concerned."""

import asyncio
import contextlib
import dataclasses
import datetime

import nats.js.errors
import structlog
from codestudio.instance.v1 import instance_service_pb2
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.js import api

from services.chassis import connectors
from services.instance.record import Desired, State

_log = structlog.get_logger(__name__)

NAME = "EVENTS"
SUBJECTS = "events.instance.>"
PREVIOUS_STATE = "Codestudio-Previous-State"
PREVIOUS_DESIRED = "Codestudio-Previous-Desired"

_ALL_SUBJECTS = "events.>"
_DUPLICATES = 120.0
_STREAM_EXISTS = 10058
"""JetStream's code for a stream of that name with another configuration."""


def subject(namespace: str, instance_id: str) -> str:
    """Return where the events of an instance are published."""
    return f"events.instance.{namespace}.{instance_id}"


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """What a stream holds at one moment."""

    identity: str
    """Changes when the stream is made anew, having lost everything."""
    first: int
    """Sequence number of the oldest message there is, or of the next if there is none."""
    last: int
    """Sequence number of the newest event of an instance; `first` - 1 if there is none."""


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One change of an instance, as it was told."""

    sequence: int
    message: instance_service_pb2.InstanceEvent
    previous_state: State | None
    """State before it; None if it was not there."""
    previous_desired: Desired | None

    @property
    def order(self) -> tuple[int, int]:
        """The same as `Record.order`."""
        instance = self.message.instance
        return (instance.create_time.ToMilliseconds(), instance.version)


class Stream:
    """Makes the stream if there is none, and tells what it holds."""

    def __init__(self, *, nats: connectors.Nats, max_age: float) -> None:
        self._nats = nats
        self._max_age = max_age
        self._ensured = False
        self._ensuring = asyncio.Lock()

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
            jetstream = self._nats.jetstream
            try:
                await jetstream.stream_info(NAME)
            except nats.js.errors.NotFoundError:
                try:
                    await jetstream.add_stream(
                        name=NAME,
                        subjects=[_ALL_SUBJECTS],
                        storage=api.StorageType.FILE,
                        max_age=self._max_age,
                        duplicate_window=_DUPLICATES,
                        discard=api.DiscardPolicy.OLD,
                    )
                except nats.js.errors.BadRequestError as error:
                    # Another replica or service made it just now, its own way.
                    if error.err_code != _STREAM_EXISTS:
                        raise
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
            info = await jetstream.stream_info(NAME)
        except nats.js.errors.NotFoundError:
            self.lost()
            raise
        # A stream that never held anything says 0, of which no consumer wants to hear.
        first = max(1, info.state.first_seq)
        last = first - 1
        if info.state.messages:
            with contextlib.suppress(nats.js.errors.NotFoundError):
                last = (await jetstream.get_last_msg(NAME, SUBJECTS)).seq or last
        created = info.created
        identity = (
            created.astimezone(datetime.UTC).isoformat()
            if isinstance(created, datetime.datetime)
            else str(created)
        )
        return Extent(identity=identity, first=first, last=last)


def read(message: Msg) -> Event:
    """Read an event from its message; one that cannot be read is about no instance.

    It may be of a later release. Its place in the stream counts all the same: refused, it would
    stand in the way of all that come after it.
    """
    sequence = message.metadata.sequence.stream
    headers = message.headers or {}
    state, desired = headers.get(PREVIOUS_STATE, ""), headers.get(PREVIOUS_DESIRED, "")
    try:
        return Event(
            sequence=sequence,
            message=instance_service_pb2.InstanceEvent.FromString(message.data),
            previous_state=State(state) if state else None,
            previous_desired=Desired(desired) if desired else None,
        )
    except (ValueError, DecodeError) as error:
        _log.warning("event unreadable", sequence=sequence, subject=message.subject, why=str(error))
        return Event(sequence, instance_service_pb2.InstanceEvent(), None, None)
