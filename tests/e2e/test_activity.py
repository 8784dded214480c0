"""Instances tell each other what they do, and what was written becomes history."""

import asyncio
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from codestudio.collaboration.v1 import document_pb2
from google.protobuf import struct_pb2
from google.protobuf.message import Message

from services.devstack.stack import Stack
from tests.e2e import envelope, scenes
from tests.e2e.people import People
from tests.e2e.ways import COLLABORATION, HTTP_OF, RefusedError, Rest, Way

pytestmark = pytest.mark.stack

INVALID = grpc.StatusCode.INVALID_ARGUMENT
LONG = "x" * 101


class Follower:
    """Reads a subscription: what came, and where to resume."""

    def __init__(self, way: Way, token: str, instance_id: str, **request: Any) -> None:
        self._messages: AsyncIterator[Any] = way.stream(
            COLLABORATION,
            "Subscribe",
            pb.SubscribeRequest(instance_id=instance_id, **request),
            token,
        )
        self.resume_token = ""

    async def next(self, *, beats: bool = False) -> pb.SubscribeResponse:
        """Give the next message; heartbeats only if they are asked for."""
        async with asyncio.timeout(30):
            async for message in self._messages:
                self.resume_token = message.resume_token or self.resume_token
                if beats or not message.HasField("heartbeat"):
                    told: pb.SubscribeResponse = message
                    return told
        raise AssertionError("the subscription ended")

    async def close(self) -> None:
        """Stop following."""
        await self._messages.aclose()  # type: ignore[attr-defined]


def chat(text: str) -> pb.Message:
    """Make a message."""
    payload = struct_pb2.Struct()
    payload["text"] = text
    return pb.Message(type="chat", payload=payload)


async def test_what_instances_tell_each_other(way: Way, people: People, namespace: str) -> None:
    """By REST as by gRPC: told as it happens, and once more to whoever was away."""
    ann, bob = people.user("ann"), people.user("bob")
    here = (await scenes.create(way, ann, namespace=namespace)).id
    there = (await scenes.create(way, bob, namespace=namespace)).id
    follower = Follower(way, bob, there)
    assert (await follower.next(beats=True)).HasField("heartbeat")

    async def send(text: str) -> None:
        request = pb.SendMessageRequest(
            to=there, message=chat(text), request_id=str(uuid.uuid4()), **{"from": here}
        )
        first = await way.call(COLLABORATION, "SendMessage", request, ann)
        assert first == await way.call(COLLABORATION, "SendMessage", request, ann)

    await send("one")
    told = await follower.next()
    assert told.message_event.message == chat("one")
    assert getattr(told.message_event, "from") == here
    await follower.close()
    broadcast = pb.BroadcastMessageRequest(message=chat("two"), **{"from": here})
    await way.call(COLLABORATION, "BroadcastMessage", broadcast, ann)
    state = pb.InstanceState(current_file="a.py", status="editing")
    shared = pb.ShareStateRequest(instance_id=here, state=state)
    await way.call(COLLABORATION, "ShareState", shared, ann)
    await send("three")
    again = Follower(way, bob, there, resume_token=follower.resume_token)
    kinds = [(await again.next()) for _ in range(3)]
    assert [one.WhichOneof("message") for one in kinds] == [
        "message_event",
        "state",
        "message_event",
    ]
    assert kinds[1].state.state.current_file == "a.py"
    await again.close()
    only = Follower(
        way, bob, there, resume_token=follower.resume_token, types=[pb.EVENT_TYPE_STATE]
    )
    assert (await only.next()).state == kinds[1].state
    await only.close()


async def test_history(
    way: Way, people: People, namespace: str, stack: Stack, tmp_path: Path
) -> None:
    """A document is committed when it is quiet, cloned by path, read, and brought back."""
    ann, project = people.user("ann"), f"p-{uuid.uuid4().hex[:10]}"
    name = document_pb2.DocumentName(namespace=namespace, project=project, path="src/a b.py")
    opened = pb.OpenDocumentRequest(name=name, initial_content="one\n")
    await way.call(COLLABORATION, "OpenDocument", opened, ann)

    async def listed() -> list[document_pb2.Revision]:
        request = pb.ListRevisionsRequest(namespace=namespace, project=project, path=name.path)
        answer = await way.call(COLLABORATION, "ListRevisions", request, ann)
        return list(answer.revisions)

    (first,) = await scenes.until(listed)
    assert ([one.subject for one in first.authors], list(first.paths)) == (["ann"], [name.path])
    root = Path(stack.plan.layout.root)
    source = root / "repositories" / namespace / f"{project}.git"
    cloning = await asyncio.create_subprocess_exec(
        *("git", "clone", "-q", str(source), str(tmp_path / "clone")),
        stderr=subprocess.PIPE,
    )
    _, trouble = await cloning.communicate()
    assert cloning.returncode == 0, trouble
    assert (tmp_path / "clone" / name.path).read_text() == "one\n"
    get = pb.GetRevisionRequest(name=name, revision_id=first.id)
    assert (await way.call(COLLABORATION, "GetRevision", get, ann)).text == "one\n"
    instance = (await scenes.create(way, ann, namespace=namespace)).id
    change = pb.CodeChange(name=name, offset=pb.OffsetRange(start=0, length=3), text="two")
    sync = pb.SyncCodeRequest(instance_id=instance, changes=[change])
    await way.call(COLLABORATION, "SyncCode", sync, ann)
    restore = pb.RestoreRevisionRequest(name=name, revision_id=first.id)
    restored = await way.call(COLLABORATION, "RestoreRevision", restore, ann)
    assert (restored.text, restored.revision) == ("one\n", 3)


def named(path: str = "a.py", **over: str) -> document_pb2.DocumentName:
    """Name a document."""
    return document_pb2.DocumentName(
        **{"namespace": "default", "project": "p", "path": path, **over}
    )


CASES: list[tuple[str, str, Message, list[str]]] = [
    (
        "state",
        "ShareState",
        pb.ShareStateRequest(
            instance_id="No",
            state=pb.InstanceState(
                current_file="/etc/passwd",
                cursor_position=pb.Position(line=-1, column=-1),
                status=LONG,
            ),
        ),
        [
            "instance_id",
            "state.current_file",
            "state.cursor_position.line",
            "state.cursor_position.column",
            "state.status",
        ],
    ),
    ("no state", "ShareState", pb.ShareStateRequest(instance_id="a"), ["state"]),
    (
        "message",
        "SendMessage",
        pb.SendMessageRequest(
            to="b b", message=pb.Message(type=LONG), request_id="1", **{"from": ""}
        ),
        ["from", "to", "message.type", "request_id"],
    ),
    (
        "to itself",
        "SendMessage",
        pb.SendMessageRequest(to="a", message=chat("x"), **{"from": "a"}),
        ["to"],
    ),
    (
        "large message",
        "BroadcastMessage",
        pb.BroadcastMessageRequest(message=chat("x" * 256 * 1024), **{"from": "a"}),
        ["message.payload"],
    ),
    (
        "revisions",
        "ListRevisions",
        pb.ListRevisionsRequest(
            namespace="default", project="p", path="../x", page_size=1001, page_token="x"
        ),
        ["path", "page_size", "page_token"],
    ),
    (
        "revision",
        "GetRevision",
        pb.GetRevisionRequest(name=named(), revision_id="HEAD"),
        ["revision_id"],
    ),
    (
        "restore",
        "RestoreRevision",
        pb.RestoreRevisionRequest(name=named("a/../b"), revision_id="F" * 40),
        ["name.path", "revision_id"],
    ),
]


@pytest.mark.parametrize(
    ("method", "request_", "fields"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
async def test_wrong_fields_are_named(
    way: Way, people: People, method: str, request_: Message, fields: list[str]
) -> None:
    """INVALID_ARGUMENT, 400, and every field that is wrong by its path."""
    with pytest.raises(RefusedError) as caught:
        await way.call(COLLABORATION, method, request_, people.admin)
    assert caught.value.status == (HTTP_OF[INVALID] if way.name == "rest" else INVALID)
    assert sorted(one.field for one in caught.value.detail.violations) == sorted(fields)


async def test_a_subscription_that_cannot_be(way: Way, people: People, namespace: str) -> None:
    """Refused by status before the first message, each for its reason."""
    ann = people.user("ann")
    mine = (await scenes.create(way, ann, namespace=namespace)).id

    async def refused(who: str, instance_id: str, **request: Any) -> envelope.error_pb2.ErrorDetail:
        follower = Follower(way, who, instance_id, **request)
        with pytest.raises(RefusedError) as caught:
            await follower.next(beats=True)
        return caught.value.detail

    assert (await refused(people.user("bob"), mine)).code == "INSTANCE_NOT_YOURS"
    assert (await refused(ann, "nobody-here")).code == "INSTANCE_NOT_FOUND"
    wrong = await refused(ann, mine, resume_token="nonsense")
    assert (wrong.code, wrong.violations[0].field) == ("INVALID_RESUME_TOKEN", "resume_token")
    wrong = await refused(ann, mine, project="No Project")
    assert [one.field for one in wrong.violations] == ["project"]


async def test_infinity_is_no_json(people: People, ways: list[Way]) -> None:
    """What no subscriber by REST could be told is refused, by whoever can send it at all."""
    payload = struct_pb2.Struct()
    payload.fields["x"].number_value = float("inf")
    request = pb.BroadcastMessageRequest(
        message=pb.Message(type="chat", payload=payload), **{"from": "a"}
    )
    (way,) = [one for one in ways if not isinstance(one, Rest)]
    with pytest.raises(RefusedError) as caught:
        await way.call(COLLABORATION, "BroadcastMessage", request, people.admin)
    assert [one.field for one in caught.value.detail.violations] == ["message.payload"]
