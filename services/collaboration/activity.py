"""What happens around instances, as two streams of JetStream hold it.

MESSAGES keeps every message until it is too old. ACTIVITY keeps, of each instance's state and of
each document's changes, the newest: whoever was away is told how things are now.
"""

import dataclasses
import datetime
import enum
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import structlog
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from services.chassis import clock, connectors, streams
from services.collaboration.names import Name

_log = structlog.get_logger(__name__)

MESSAGE_ID = "Nats-Msg-Id"

_MESSAGES = "messages"
_STATES = "state.update"
_CODE = "code.events"
_DIRECT = "direct"
_BROADCAST = "broadcast"


class Kind(enum.Enum):
    """Kinds of events."""

    STATE = "state"
    MESSAGE = "message_event"
    CODE = "code"


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    sequence: int
    """Its place in its stream."""
    time: datetime.datetime
    """When it was stored."""
    kind: Kind | None = None
    """What it is; None for what cannot be read, which is for nobody."""
    namespace: str = ""
    """Where it happened; of a direct message, where it goes."""
    source: str = ""
    """The instance it comes from; empty where it comes from none."""
    to: str = ""
    """The only instance it is for; empty for all of the namespace."""
    subject: str = ""
    """What it is about: the newest of one subject says it all, but for messages."""
    project: str = ""
    """The project, for a change of code."""
    answer: bytes = b""
    """The event as subscribers are told, serialised once for all of them, without a token."""


def messages(
    nats: connectors.Nats, *, keep: float, most_bytes: int, remember: float
) -> streams.Stream:
    """Give the stream of messages.

    Args:
        nats: The connection.
        keep: Seconds a message is kept.
        most_bytes: Bytes kept at most; past it, the oldest go.
        remember: Seconds for which a message that is sent again is no second one.

    """
    definition = streams.Definition(
        name="MESSAGES",
        subjects=(f"{_MESSAGES}.>",),
        max_age=keep,
        max_bytes=most_bytes,
        duplicate_window=min(remember, keep),
    )
    return streams.Stream(definition, nats=nats)


def newest(nats: connectors.Nats, *, keep: float) -> streams.Stream:
    """Give the stream of states and of changes of code, kept for `keep` seconds."""
    definition = streams.Definition(
        name="ACTIVITY",
        subjects=(f"{_STATES}.>", f"{_CODE}.>"),
        max_age=keep,
        newest_of_subject=1,
    )
    return streams.Stream(definition, nats=nats)


def direct_subject(namespace: str, to: str) -> str:
    """Return where messages to one instance are published."""
    return f"{_MESSAGES}.{namespace}.{_DIRECT}.{to}"


def broadcast_subject(namespace: str) -> str:
    """Return where messages to all of a namespace are published."""
    return f"{_MESSAGES}.{namespace}.{_BROADCAST}"


def state_subject(namespace: str, instance_id: str) -> str:
    """Return where the states of an instance are published."""
    return f"{_STATES}.{namespace}.{instance_id}"


def code_subject(name: Name, source: str, author: str) -> str:
    """Return where one's changes of a document are published: the newest of each is kept."""
    who = hashlib.sha256(f"{source}\n{author}".encode()).hexdigest()[:16]
    return f"{name.subject(_CODE)}.{who}"


def state_update(instance_id: str, state: pb.InstanceState, time: datetime.datetime) -> bytes:
    """Write a state as the specification's message ``state:update``."""
    return json.dumps(
        {
            "type": "state:update",
            "instance_id": instance_id,
            "state": {
                "current_file": state.current_file,
                "cursor_position": cursor(state),
                "status": state.status,
            },
            "timestamp": clock.iso(time),
        },
        separators=(",", ":"),
    ).encode()


def cursor(state: pb.InstanceState) -> Mapping[str, int]:
    """Return where the cursor is, as it is written in JSON."""
    return {"line": state.cursor_position.line, "column": state.cursor_position.column}


def read(message: Msg) -> Event:
    """Read an event; one that cannot be read is for nobody, and stands in nobody's way."""
    sequence = message.metadata.sequence.stream
    stored = message.metadata.timestamp
    try:
        parts = message.subject.split(".")
        match parts:
            case ["messages", namespace, *_]:
                return _told(sequence, stored, Kind.MESSAGE, namespace, message)
            case ["code", "events", namespace, *_]:
                return _told(sequence, stored, Kind.CODE, namespace, message)
            case ["state", "update", namespace, instance_id]:
                return _state(sequence, stored, namespace, instance_id, message)
    except (ValueError, KeyError, TypeError, DecodeError) as error:
        _log.warning("event unreadable", subject=message.subject, why=str(error))
    return Event(sequence, stored)


def _told(
    sequence: int, stored: datetime.datetime, kind: Kind, namespace: str, message: Msg
) -> Event:
    answer = pb.SubscribeResponse.FromString(message.data)
    if answer.WhichOneof("message") != kind.value:
        raise ValueError(f"holds no {kind.value}")
    told = answer.message_event
    return Event(
        sequence,
        stored,
        kind,
        namespace,
        source=getattr(told, "from") if kind is Kind.MESSAGE else answer.code.source_instance,
        to=told.to,
        subject="" if kind is Kind.MESSAGE else message.subject,
        project=answer.code.name.project,
        answer=message.data,
    )


def _state(
    sequence: int, stored: datetime.datetime, namespace: str, instance_id: str, message: Msg
) -> Event:
    content: dict[str, Any] = json.loads(message.data)
    state, place = content["state"], content["state"]["cursor_position"]
    answer = pb.SubscribeResponse(
        state=pb.StateEvent(
            instance_id=instance_id,
            state=pb.InstanceState(
                current_file=state["current_file"],
                cursor_position=pb.Position(line=place["line"], column=place["column"]),
                status=state["status"],
            ),
        )
    )
    time = clock.parse(content["timestamp"])
    answer.timestamp.FromDatetime(time)
    answer.state.state.updated_at.FromDatetime(time)
    return Event(
        sequence,
        stored,
        Kind.STATE,
        namespace,
        source=instance_id,
        subject=message.subject,
        answer=answer.SerializeToString(),
    )
