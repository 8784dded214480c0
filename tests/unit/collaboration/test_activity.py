"""Events as streams hold them, tokens as clients hold them, and requests as they come."""

import datetime
import json
from typing import Any
from unittest import mock

import pytest
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.chassis import errors
from services.chassis.validation import Violations
from services.collaboration import activity, activity_requests, subscription_tokens
from services.collaboration.activity import Event, Kind
from services.collaboration.changes import Actor, actors
from services.collaboration.entry import Author, Entry
from services.collaboration.names import Name
from services.collaboration.subscription_tokens import Place

NOW = datetime.datetime(2026, 11, 29, 10, 0, 0, 123000, datetime.UTC)
ADA, BOB = Author("ada", "Ada"), Author("bob", "Bob")


def message(subject: str, data: bytes) -> Msg:
    """Make the seventh message of a stream."""
    reply = "$JS.ACK.S.c.1.7.1.1700000000000000000.0"
    return Msg(mock.Mock(spec=Client), subject, reply, data, None)


def test_a_state_is_the_specifications_message() -> None:
    """``state:update`` as the specification writes it, and read as the contract has it."""
    state = pb.InstanceState(
        current_file="src/a.py", cursor_position=pb.Position(line=3, column=5), status="editing"
    )
    data = activity.state_update("ada", state, NOW)
    assert json.loads(data) == {
        "type": "state:update",
        "instance_id": "ada",
        "state": {
            "current_file": "src/a.py",
            "cursor_position": {"line": 3, "column": 5},
            "status": "editing",
        },
        "timestamp": "2026-11-29T10:00:00.123Z",
    }
    event = activity.read(message(activity.state_subject("team", "ada"), data))
    assert (event.sequence, event.kind, event.namespace, event.source) == (
        7,
        Kind.STATE,
        "team",
        "ada",
    )
    told = pb.SubscribeResponse.FromString(event.answer).state.state
    assert told.updated_at.ToDatetime(tzinfo=datetime.UTC) == NOW
    told.ClearField("updated_at")
    assert told == state


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        ("state.update.team.ada", b"{}"),
        ("state.update.team.ada", b"\xff"),
        ("state.update.team.ada", b'{"state":{"cursor_position":{"line":"x"}}}'),
        ("messages.team.direct.ada", b"\xff"),
        ("messages.team.direct.ada", pb.SubscribeResponse(code=pb.CodeEvent()).SerializeToString()),
        ("code.events.team.web.YQ.0123", b""),
        ("elsewhere", b""),
    ],
)
def test_what_cannot_be_read_is_for_nobody(subject: str, data: bytes) -> None:
    """It counts all the same: whoever reads the stream goes on behind it."""
    event = activity.read(message(subject, data))
    assert (event.sequence, event.kind) == (7, None)


def test_changes_of_one_writer_share_a_subject() -> None:
    """Of each document and writer the newest change is kept; others' are beside it."""
    name = Name("team", "web", "a b.py")
    one = activity.code_subject(name, "inst", "ada")
    assert one == activity.code_subject(name, "inst", "ada")
    assert (
        len({one, activity.code_subject(name, "", "ada"), activity.code_subject(name, "i", "b")})
        == 3
    )
    assert one.startswith("code.events.team.web.")


@given(
    places=st.lists(st.builds(Place, st.text(max_size=40), st.integers(0, 2**63 - 1)), max_size=3)
)
def test_a_token_is_read_as_it_was_written(places: list[Place]) -> None:
    """For the subscriber it was made for, and for no other."""
    token = subscription_tokens.write("ada", places)
    assert subscription_tokens.read(token, "ada", len(places)) == places
    with pytest.raises(errors.InvalidArgument, match="another subscriber"):
        subscription_tokens.read(token, "bob", len(places))
    with pytest.raises(errors.InvalidArgument, match="INVALID_RESUME_TOKEN"):
        subscription_tokens.read(token, "ada", len(places) + 1)


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        "W" * 5000,
        "WyJzIl0",
        "WyJzIiwiYWRhIixbIngiLC0xXV0",
        "WyJzIiwiYWRhIixbIngiLHRydWVdXQ",
    ],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    """Whatever it is, it is told by the field's name."""
    with pytest.raises(errors.InvalidArgument) as caught:
        subscription_tokens.read(token, "ada", 1)
    assert [one.field for one in caught.value.violations] == ["resume_token"]


def entered(sequence: int, authors: tuple[Author, ...], sources: tuple[str, ...]) -> Entry:
    """Make an entry of the log."""
    name = Name("team", "web", "a.py")
    return Entry(sequence, name, "e", "r", "id", 0, 1, b"", authors, sources, (), NOW)


def test_who_changed_a_document() -> None:
    """Each writer with the last of theirs; an instance is never taken for another."""
    entries = [
        entered(1, (ADA,), ()),
        entered(2, (BOB,), ("inst",)),
        entered(3, (ADA, BOB), ("one", "two")),
        entered(4, (), ()),
        entered(5, (ADA,), ()),
    ]
    assert {actor: one.sequence for actor, one in actors(entries).items()} == {
        Actor("", ADA): 5,
        Actor("inst", BOB): 2,
        Actor("one", ADA): 3,
        Actor("two", BOB): 3,
        Actor("", None): 4,
    }


def refused(read: Any) -> dict[str, str]:
    """Give what is wrong with a request, by field."""
    wrong = Violations()
    read(wrong)
    with pytest.raises(errors.InvalidArgument) as caught:
        wrong.check()
    return {one.field: one.description for one in caught.value.violations}


def test_everything_wrong_with_a_state_is_told() -> None:
    """Every field that is wrong, with its path."""
    state = pb.InstanceState(
        current_file="../secret",
        cursor_position=pb.Position(line=-1, column=-2),
        status="s" * 101,
    )
    told = refused(lambda wrong: activity_requests.state(wrong, pb.ShareStateRequest(state=state)))
    assert sorted(told) == [
        "state.current_file",
        "state.cursor_position.column",
        "state.cursor_position.line",
        "state.status",
    ]
    assert refused(lambda wrong: activity_requests.state(wrong, pb.ShareStateRequest())) == {
        "state": "must be given"
    }


def payload(**fields: Any) -> struct_pb2.Struct:
    """Make a payload."""
    made = struct_pb2.Struct()
    for name, value in fields.items():
        made.fields[name].CopyFrom(value)
    return made


def test_what_a_message_may_say() -> None:
    """A kind, and a payload that JSON can hold and that is not too large."""
    text = struct_pb2.Value(string_value="é" * 1000)
    fine = pb.Message(type="chat", payload=payload(text=text))
    wrong = Violations()
    activity_requests.message(wrong, fine)
    wrong.check()
    for number in (float("inf"), float("nan")):
        bad = pb.Message(type="chat", payload=payload(x=struct_pb2.Value(number_value=number)))
        assert "message.payload" in refused(lambda w, bad=bad: activity_requests.message(w, bad))
    large = payload(text=struct_pb2.Value(string_value="é" * (128 * 1024)))
    told = refused(lambda w: activity_requests.message(w, pb.Message(payload=large)))
    assert sorted(told) == ["message.payload", "message.type"]
    long = refused(lambda w: activity_requests.message(w, pb.Message(type="t" * 101)))
    assert "message.type" in long


def test_what_a_subscriber_asks_for() -> None:
    """Nothing is everything; kinds that are none, and names that are none, are told."""
    wrong = Violations()
    asked = activity_requests.asked(wrong, pb.SubscribeRequest(instance_id="ada"))
    only = activity_requests.asked(
        wrong, pb.SubscribeRequest(instance_id="ada", types=[pb.EVENT_TYPE_STATE])
    )
    wrong.check()
    assert (asked.kinds, only.kinds) == (frozenset(Kind), {Kind.STATE})
    bad = pb.SubscribeRequest(instance_id="No", types=[9], project="No/Project")  # type: ignore[list-item]
    told = refused(lambda w: activity_requests.asked(w, bad))
    assert sorted(told) == ["instance_id", "project", "types"]


def test_what_a_subscriber_without_an_instance_asks_for() -> None:
    """Changes of code, of one project: that is to be named, and nothing else can be told."""
    wrong = Violations()
    for types in ([], [pb.EVENT_TYPE_UNSPECIFIED], [pb.EVENT_TYPE_CODE]):
        request = pb.SubscribeRequest(project="web", types=types)
        asked = activity_requests.asked(wrong, request)
        assert (asked.kinds, asked.listener) == ({Kind.CODE}, "default/web")
    wrong.check()
    bad = pb.SubscribeRequest(namespace="No", types=[pb.EVENT_TYPE_STATE])
    told = refused(lambda w: activity_requests.asked(w, bad))
    assert sorted(told) == ["namespace", "project", "types"]


def test_events_that_cannot_be_read_have_no_kind() -> None:
    """So no subscription asks for them."""
    assert Event(1, NOW).kind not in frozenset(Kind)
