"""What the views of the services' messages share, and how wire values become Python's."""

import datetime
import enum
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf import duration_pb2, json_format, timestamp_pb2
from google.protobuf.message import Message as ProtoMessage

Proto = TypeVar("Proto", bound=ProtoMessage)
Names = TypeVar("Names", bound=enum.StrEnum)

Seconds = float | datetime.timedelta
"""A length of time: a number of seconds, or a timedelta."""


class WireNames(Protocol):
    """A generated enum: knows the names of its numbers."""

    def Name(self, number: Any) -> str:
        """Give a number's name; raises ValueError for an unknown one."""
        ...


class View(Generic[Proto]):
    """A message of a service, read with Python's own types."""

    def __init__(self, proto: Proto) -> None:
        self._proto = proto

    @property
    def proto(self) -> Proto:
        """The message itself, as the service sent it. Do not change it."""
        return self._proto

    def to_dict(self) -> dict[str, Any]:
        """Give it as REST does: a dictionary of what JSON knows, names in snake_case."""
        return as_json(self.proto)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self.proto == other.proto

    # Messages can change, so neither they nor their views have a hash.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        text = " ".join(str(self.proto).split())
        return f"<{type(self).__name__} {text}>"


_FREE_FORM = frozenset(f"google.protobuf.{name}" for name in ("Struct", "Value", "ListValue"))
"""Messages that are JSON of any form, whose fields are nothing a reader knows."""


def as_json(message: ProtoMessage) -> dict[str, Any]:
    """Give a message as REST does, fields in the contract's order."""
    fields = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return _in_order(fields, message.DESCRIPTOR)


def _in_order(fields: dict[str, Any], descriptor: Any) -> dict[str, Any]:
    """Sort fields as the contract has them: MessageToDict puts those at their default last."""
    ordered = {}
    for field in descriptor.fields:
        if field.name not in fields:
            continue
        value, inner = fields[field.name], field.message_type
        if inner is not None and inner.full_name in _FREE_FORM:
            ordered[field.name] = whole(value)
            continue
        if inner is not None and not inner.GetOptions().map_entry:
            if isinstance(value, list):
                value = [_in_order(each, inner) for each in value]
            elif isinstance(value, dict):
                value = _in_order(value, inner)
        ordered[field.name] = value
    return ordered


def whole(value: Any) -> Any:
    """Give JSON of any form with whole numbers as int: its messages know doubles only.

    >>> whole({"ports": [8000.0, 0.5]})
    {'ports': [8000, 0.5]}
    """
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: whole(each) for key, each in value.items()}
        case list():
            return [whole(each) for each in value]
    return value


def name(kind: type[Names], wire: WireNames, prefix: str, number: int) -> Names:
    """Read an enum value; one this package does not know yet becomes UNSPECIFIED."""
    try:
        return kind(wire.Name(number).removeprefix(prefix))
    except ValueError:
        return kind("UNSPECIFIED")


def time(message: ProtoMessage, field: str) -> datetime.datetime | None:
    """Read a timestamp as an aware UTC datetime; None if it is not set."""
    value = getattr(message, field)
    if not isinstance(value, timestamp_pb2.Timestamp) or not message.HasField(field):
        return None
    return value.ToDatetime(tzinfo=datetime.UTC)


def duration(message: ProtoMessage, field: str) -> datetime.timedelta | None:
    """Read a duration; None if it is not set."""
    value = getattr(message, field)
    if not isinstance(value, duration_pb2.Duration) or not message.HasField(field):
        return None
    return value.ToTimedelta()


def to_duration(value: Seconds | None) -> duration_pb2.Duration | None:
    """Write a duration."""
    if value is None:
        return None
    message = duration_pb2.Duration()
    message.FromTimedelta(datetime.timedelta(seconds=seconds(value)))
    return message


def seconds(value: Seconds) -> float:
    """Give a length of time as seconds."""
    return value.total_seconds() if isinstance(value, datetime.timedelta) else float(value)


def cpu(value: str | float) -> str:
    """Write CPU as a quantity: text as it is, a number of cores in thousandths.

    >>> cpu("500m"), cpu(2), cpu(0.25)
    ('500m', '2', '250m')
    """
    if isinstance(value, str):
        return value
    return f"{value:g}" if value == int(value) else f"{round(value * 1000)}m"


def size(value: str | int) -> str:
    """Write memory or disk as a quantity: text as it is, a number as bytes.

    >>> size("2Gi"), size(512 * 1024**2)
    ('2Gi', '536870912')
    """
    return value if isinstance(value, str) else str(value)
