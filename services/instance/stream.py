"""The JetStream stream EVENTS, as far as instances are concerned."""

import dataclasses
import json
from collections.abc import Mapping

import structlog
from codestudio.instance.v1 import instance_service_pb2
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from services.chassis import connectors, streams
from services.instance.record import Desired, State

_log = structlog.get_logger(__name__)

NAME = "EVENTS"
SUBJECTS = "events.instance.>"
PREVIOUS_STATE = "Codestudio-Previous-State"
PREVIOUS_DESIRED = "Codestudio-Previous-Desired"
PREVIOUS_LABELS = "Codestudio-Previous-Labels"

_ALL_SUBJECTS = "events.>"


def subject(namespace: str, instance_id: str) -> str:
    """Return where the events of an instance are published."""
    return f"events.instance.{namespace}.{instance_id}"


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One change of an instance, as it was told."""

    sequence: int
    message: instance_service_pb2.InstanceEvent
    previous_state: State | None
    """State before it; None if it was not there."""
    previous_desired: Desired | None
    previous_labels: Mapping[str, str] | None
    """Labels before it; None if it was not there, or whoever told did not know of this."""

    @property
    def order(self) -> tuple[int, int]:
        """The same as `Record.order`."""
        instance = self.message.instance
        return (instance.create_time.ToMilliseconds(), instance.version)


def open_stream(nats: connectors.Nats, *, max_age: float) -> streams.Stream:
    """Give the stream, which keeps events for `max_age` seconds."""
    definition = streams.Definition(name=NAME, subjects=(_ALL_SUBJECTS,), max_age=max_age)
    return streams.Stream(definition, nats=nats, subjects=SUBJECTS)


def read(message: Msg) -> Event:
    """Read an event from its message; one that cannot be read is about no instance.

    It may be of a later release. Its place in the stream counts all the same: refused, it would
    stand in the way of all that come after it.
    """
    sequence = message.metadata.sequence.stream
    headers = message.headers or {}
    state, desired = headers.get(PREVIOUS_STATE, ""), headers.get(PREVIOUS_DESIRED, "")
    labels = headers.get(PREVIOUS_LABELS, "")
    try:
        return Event(
            sequence=sequence,
            message=instance_service_pb2.InstanceEvent.FromString(message.data),
            previous_state=State(state) if state else None,
            previous_desired=Desired(desired) if desired else None,
            previous_labels=json.loads(labels) if labels else None,
        )
    except (ValueError, DecodeError) as error:
        _log.warning("event unreadable", sequence=sequence, subject=message.subject, why=str(error))
        return Event(sequence, instance_service_pb2.InstanceEvent(), None, None, None)
