"""Events as they are read from the stream."""

from unittest import mock

import pytest
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.instance import stream
from services.instance.record import State


def message(data: bytes, headers: dict[str, str] | None = None) -> Msg:
    """Make the seventh message of the stream."""
    reply = "$JS.ACK.EVENTS.c.1.7.1.1700000000000000000.0"
    return Msg(mock.Mock(spec=Client), stream.subject("team", "ada"), reply, data, headers)


def test_an_event_carries_the_state_before_it() -> None:
    """A watch tells from the event alone whether it is one for it."""
    told = instance_service_pb2.InstanceEvent(instance=instance_pb2.Instance(id="ada", version=3))
    headers = {stream.PREVIOUS_STATE: "RUNNING"}
    event = stream.read(message(told.SerializeToString(), headers))
    assert (event.sequence, event.message, event.previous_state) == (7, told, State.RUNNING)
    assert event.previous_labels is None, "an earlier release told it"
    headers[stream.PREVIOUS_LABELS] = '{"a": "b"}'
    event = stream.read(message(told.SerializeToString(), headers))
    assert event.previous_labels == {"a": "b"}


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"\xff", None),
        (b"", {stream.PREVIOUS_STATE: "PAUSED"}),
        (b"", {stream.PREVIOUS_LABELS: "{"}),
    ],
)
def test_what_cannot_be_read_stands_in_nobodys_way(
    data: bytes, headers: dict[str, str] | None
) -> None:
    """An event of another release counts, and is about no instance: watches go on behind it."""
    event = stream.read(message(data, headers))
    assert (event.sequence, event.order, event.message.instance.id) == (7, (0, 0), "")
