"""What happens around an instance, for those who use it."""

import datetime
import enum
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from codestudio import _messages
from codestudio._document_types import Author
from codestudio.collaboration.v1 import collaboration_service_pb2 as service_pb2


class ActivityType(enum.StrEnum):
    """Kinds of events."""

    STATE = "STATE"
    """An instance shared what it is doing."""
    MESSAGE = "MESSAGE"
    """A message to the instance, or to all of its namespace."""
    CODE = "CODE"
    """A document changed."""


class MessageReceipt(_messages.View[service_pb2.MessageReceipt]):
    """A message is stored and will be delivered."""

    @property
    def message_id(self) -> str:
        """Its id."""
        return self.proto.message_id

    @property
    def time(self) -> datetime.datetime | None:
        """When it was stored."""
        return _messages.time(self.proto, "timestamp")


class Event(_messages.View[service_pb2.SubscribeResponse]):
    """Something that happened around an instance: a StateEvent, MessageEvent or CodeEvent."""

    @property
    def resume_token(self) -> str:
        """Where to go on after this event."""
        return self.proto.resume_token

    @property
    def time(self) -> datetime.datetime | None:
        """When it happened."""
        return _messages.time(self.proto, "timestamp")


class StateEvent(Event):
    """An instance shared what it is doing."""

    @property
    def instance_id(self) -> str:
        """The instance."""
        return self.proto.state.instance_id

    @property
    def current_file(self) -> str:
        """The file that is open, as a path within the project."""
        return self.proto.state.state.current_file

    @property
    def line(self) -> int:
        """Line of the cursor, from 0."""
        return self.proto.state.state.cursor_position.line

    @property
    def column(self) -> int:
        """Characters before the cursor on its line."""
        return self.proto.state.state.cursor_position.column

    @property
    def status(self) -> str:
        """A word for what it is doing."""
        return self.proto.state.state.status


class MessageEvent(Event):
    """A message arrived."""

    @property
    def message_id(self) -> str:
        """Its id."""
        return self.proto.message_event.message_id

    @property
    def source(self) -> str:
        """The instance it comes from."""
        source: str = getattr(self.proto.message_event, "from")
        return source

    @property
    def to(self) -> str:
        """The instance it goes to; empty for a broadcast."""
        return self.proto.message_event.to

    @property
    def type(self) -> str:
        """Kind of message, such as "chat"."""
        return self.proto.message_event.message.type

    @property
    def payload(self) -> Mapping[str, Any]:
        """What it says."""
        return json_format.MessageToDict(self.proto.message_event.message.payload)


class CodeEvent(Event):
    """A document changed. Of changes close together, the last is told."""

    @property
    def namespace(self) -> str:
        """Namespace of the project."""
        return self.proto.code.name.namespace

    @property
    def project(self) -> str:
        """The project."""
        return self.proto.code.name.project

    @property
    def path(self) -> str:
        """Path of the document."""
        return self.proto.code.name.path

    @property
    def revision(self) -> int:
        """Its revision now."""
        return self.proto.code.revision

    @property
    def deleted(self) -> bool:
        """Whether it was deleted."""
        return self.proto.code.deleted

    @property
    def source_instance(self) -> str:
        """The instance the change came from; empty where it came from none."""
        return self.proto.code.source_instance

    @property
    def author(self) -> Author:
        """Who made it."""
        return Author(self.proto.code.author.subject, self.proto.code.author.name)


def event(proto: service_pb2.SubscribeResponse) -> Event | None:
    """Read an event; None for what only keeps a stream alive, or a later kind."""
    match proto.WhichOneof("message"):
        case "state":
            return StateEvent(proto)
        case "message_event":
            return MessageEvent(proto)
        case "code":
            return CodeEvent(proto)
    return None
