"""Instances tell each other what they do: once, in order, and only those it is for."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import nats
import pytest
import redis.asyncio as redis
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb

from services.chassis import authentication
from services.collaboration import standing
from services.devstack.stack import Stack
from tests import programs
from tests.integration.collaboration import fleet, rig
from tests.integration.collaboration.fleet import Fleet, Listener, Member

RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.fixture
async def instances(infrastructure: Stack, parts: rig.Parts) -> AsyncIterator[Fleet]:
    async with fleet.fleet(infrastructure, parts) as running:
        yield running


@pytest.fixture
async def member(instances: Fleet) -> AsyncIterator[Member]:
    async with instances.replica() as running:
        yield running


async def test_a_message_reaches_whom_it_is_for(instances: Fleet, member: Member) -> None:
    """Its receiver has it as it was sent, with the receipt's id and time; nobody else hears."""
    ada, bob, eve = [await instances.instance(name) for name in ("ada", "bob", "eve")]
    async with (
        fleet.listening(member, instance_id=bob, user="bob") as receiver,
        fleet.listening(member, instance_id=eve, user="eve") as other,
        fleet.listening(member, instance_id=ada) as sender,
    ):
        receipt = await member.send(ada, bob, "hello")
        await member.send(ada, "*", "all")
        await receiver.heard(2)
        await other.heard(1)
        assert (receiver.messages, other.messages) == (["hello", "all"], ["all"])
        told = receiver.answers[0]
        event = told.message_event
        assert (event.message_id, getattr(event, "from"), event.to) == (
            receipt.message_id,
            ada,
            bob,
        )
        assert told.timestamp == receipt.timestamp
        assert event.message == fleet.chat("hello")
        assert receiver.answers[1].message_event.to == ""
        assert sender.messages == []


async def test_who_was_away_is_told_what_it_missed(instances: Fleet, member: Member) -> None:
    """Resumed, a subscription begins with all that was for it meanwhile: in order, each once."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    async with fleet.listening(member, instance_id=bob, user="bob") as before:
        await member.send(ada, bob, "first")
        await before.heard(1)
    for number in range(30):
        await member.send(ada, "*" if number % 3 else bob, f"{number}")
    async with fleet.listening(
        member, instance_id=bob, user="bob", resume_token=before.token
    ) as after:
        await member.send(ada, bob, "last")
        await after.heard(31)
        assert after.messages == [*(f"{number}" for number in range(30)), "last"]


async def test_a_repeated_request_is_one_message(instances: Fleet, member: Member) -> None:
    """The same request_id is the same message with the same receipt; another message is refused."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    request_id = str(uuid.uuid4())
    async with fleet.listening(member, instance_id=bob, user="bob") as receiver:
        first = await member.send(ada, bob, "once", request_id=request_id)
        again = await member.send(ada, bob, "once", request_id=request_id.upper())
        assert again == first
        for to, text in ((bob, "other"), ("*", "once")):
            detail = await rig.refusal(member.send(ada, to, text, request_id=request_id))
            assert (detail.code, detail.violations[0].field) == ("REQUEST_ID_REUSED", "request_id")
        await member.send(ada, bob, "end", request_id=str(uuid.uuid4()))
        await receiver.heard(2)
        assert receiver.messages == ["once", "end"]


async def test_a_state_is_kept_and_told(
    instances: Fleet, member: Member, infrastructure: Stack
) -> None:
    """The specification's hash, its broadcast on core NATS, and an event for the others."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    plan = infrastructure.plan
    client = await nats.connect(plan.nats_url)
    heard = await client.subscribe("state.update.>")
    await client.flush()
    async with (
        redis.Redis.from_url(plan.redis_url, decode_responses=True) as valkey,
        fleet.listening(member, instance_id=bob, user="bob") as listener,
        fleet.listening(member, instance_id=ada) as own,
    ):
        answer = await member.share(ada, file="src/a.py", status="debugging")
        at = answer.updated_at.ToDatetime(tzinfo=datetime.UTC)
        stored = await valkey.hgetall(f"instance:{ada}:state")
        assert stored["current_file"] == "src/a.py"
        assert json.loads(stored["cursor_position"]) == {"line": 3, "column": 7}
        assert stored["status"] == "debugging"
        shared = datetime.datetime.fromisoformat(stored["updated_at"])
        assert abs(at - shared) < datetime.timedelta(milliseconds=1)
        assert 0 < await valkey.ttl(f"instance:{ada}:state") <= 7 * 86400
        message = await heard.next_msg(timeout=10)
        told = json.loads(message.data)
        assert message.subject == f"state.update.default.{ada}"
        assert (told["type"], told["instance_id"]) == ("state:update", ada)
        assert told["state"]["cursor_position"] == {"line": 3, "column": 7}
        await listener.until(lambda: listener.states, "a state")
        assert listener.states == [(ada, "debugging")]
        state = listener.answers[0].state.state
        assert (state.current_file, state.cursor_position.column) == ("src/a.py", 7)
        assert own.states == []
    await client.close()


async def test_of_states_that_were_missed_the_newest_is_told(
    instances: Fleet, member: Member
) -> None:
    """A state is how things are: who was away hears of each instance's last one, once."""
    ada, eve, bob = [await instances.instance(name) for name in ("ada", "eve", "bob")]
    async with fleet.listening(member, instance_id=bob, user="bob") as before:
        await member.share(ada, status="first")
        await before.until(lambda: before.states, "a state")
    for number in range(5):
        await member.share(ada, status=f"ada {number}")
        await member.share(eve, user="eve", status=f"eve {number}")
    async with fleet.listening(
        member, instance_id=bob, user="bob", resume_token=before.token
    ) as after:
        await after.until(lambda: len(after.states) >= 2, "two states")
        await member.send(ada, bob, "end")
        await after.heard(1)
        assert after.states == [(ada, "ada 4"), (eve, "eve 4")]


async def test_changes_of_code_are_told(instances: Fleet, member: Member) -> None:
    """Whose instance listens hears that a document changed, to which revision and by whom."""
    bob = await instances.instance("bob")
    service = member.replica
    await service.open("src/a.py", "one\n")
    async with (
        fleet.listening(member, instance_id=bob, user="bob", project=service.parts.project) as told,
        fleet.listening(member, instance_id=bob, user="bob", project="another") as other,
        service.editor("src/a.py", user="eve") as editor,
    ):
        editor.insert(0, "zero\n")
        await editor.stored()
        revision = (await service.get("src/a.py")).revision
        await told.until(lambda: told.code and told.code[-1].revision == revision, "the change")
        event = told.code[-1]
        assert (event.name.project, event.name.path) == (service.parts.project, "src/a.py")
        assert (event.author.subject, event.author.name) == ("eve", "Eve")
        assert (event.source_instance, event.deleted) == ("", False)
        delete = pb.DeleteDocumentRequest(name=event.name)
        await member.stub.DeleteDocument(delete, metadata=member.as_user("kim"), timeout=20)
        await told.until(lambda: told.code[-1].deleted, "the deletion")
        assert told.code[-1].author.subject == "kim"
        assert other.code == []


async def test_who_follows_a_project_needs_no_instance(member: Member, parts: rig.Parts) -> None:
    """Documents that are created, changed and deleted are told, of that project alone, at once."""
    project, request = parts.project, pb.SubscribeRequest(project=parts.project)
    async with fleet.listening(member, instance_id="", user="bob", project=project) as told:
        await member.replica.open("src/a.py", "one")
        await told.until(lambda: told.code, "the creation")
        created = told.code[0]
        assert (created.name, created.revision) == (parts.name("src/a.py", namespace="default"), 1)
        assert (created.author.subject, created.deleted) == ("ada", False)
        await member.replica.open("src/a.py", "not taken")
        elsewhere = pb.OpenDocumentRequest(name=parts.name(project=rig.new_project()))
        await member.stub.OpenDocument(elsewhere, metadata=member.as_user(), timeout=20)
        delete = pb.DeleteDocumentRequest(name=created.name)
        await member.stub.DeleteDocument(delete, metadata=member.as_user(), timeout=20)
        await told.until(lambda: told.code[-1].deleted, "the deletion")
        assert [one.deleted for one in told.code] == [False, True]
    lab = member.as_user("eve", namespaces=("lab",))
    denied = await rig.refusal(member.stub.Subscribe(request, metadata=lab).read())
    assert denied.code == "NAMESPACE_DENIED"
    request.resume_token = told.token
    request.project = "another"
    foreign = await rig.refusal(member.stub.Subscribe(request, metadata=member.as_user()).read())
    assert foreign.code == "INVALID_RESUME_TOKEN"


async def test_who_follows_a_project_is_told_as_long_as_the_token_holds(
    member: Member, parts: rig.Parts
) -> None:
    """A subscription of no instance ends with the token it was opened with, saying so."""
    token = parts.token("ada", lifetime=4 - authentication.LEEWAY)
    metadata = (("authorization", f"Bearer {token}"),)
    request = pb.SubscribeRequest(project=parts.project)
    stream = member.stub.Subscribe(request, metadata=metadata)
    async with asyncio.timeout(20):
        while not (answer := await stream.read()).HasField("error"):
            pass
    assert answer.error.code == "TOKEN_EXPIRED"


async def test_who_is_told_is_told_as_long_as_the_key_of_the_token_counts(
    instances: Fleet, parts: rig.Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscription ends when the key that signed its token is withdrawn, whoever is told."""
    monkeypatch.setattr(standing, "_LOOK_EVERY", 0.1)
    keys = tmp_path / "keys.json"
    keys.write_bytes(parts.stack.plan.credentials.jwks.read_bytes())
    own = await instances.instance()
    async with instances.replica(jwks_file=keys) as member:
        streams = [
            member.stub.Subscribe(request, metadata=member.as_user())
            for request in (
                pb.SubscribeRequest(project=parts.project),
                pb.SubscribeRequest(instance_id=own),
            )
        ]
        for stream in streams:
            assert (await stream.read()).HasField("heartbeat")
        left = [
            one for one in json.loads(keys.read_text())["keys"] if one["kid"] != "codestudio-users"
        ]
        keys.write_text(json.dumps({"keys": left}))
        for stream in streams:
            async with asyncio.timeout(20):
                while not (answer := await stream.read()).HasField("error"):
                    pass
            assert answer.error.code == "TOKEN_INVALID"


async def test_an_edit_is_labelled_with_its_instance_and_no_other(
    instances: Fleet, member: Member, infrastructure: Stack
) -> None:
    """By SyncCode: the others are told where it came from, and its hash has it as last_change."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    await member.replica.open("a.py", "one")
    name = member.replica.parts.name("a.py")

    async def edit(instance_id: str) -> None:
        change = pb.CodeChange(name=name, offset=pb.OffsetRange(start=0), text="x")
        request = pb.SyncCodeRequest(instance_id=instance_id, changes=[change])
        await member.stub.SyncCode(request, metadata=member.as_user("ada"), timeout=20)

    asked = {"project": member.replica.parts.project}
    async with (
        redis.Redis.from_url(infrastructure.plan.redis_url, decode_responses=True) as valkey,
        fleet.listening(member, instance_id=bob, user="bob", **asked) as other,
        fleet.listening(member, instance_id=ada, **asked) as own,
    ):
        await edit(ada)
        await other.until(lambda: other.code, "the change")
        assert (other.code[0].source_instance, other.code[0].revision) == (ada, 2)
        change = json.loads(await valkey.hget(f"instance:{ada}:state", "last_change"))
        assert (change["path"], change["revision"], change["author"]) == ("a.py", 2, "ada")
        assert (await rig.refusal(edit(bob))).code == "INSTANCE_NOT_YOURS"
        await edit("nobody")
        await own.until(lambda: own.code, "the change without a label")
        assert [one.source_instance for one in own.code] == [""]


async def test_changes_that_were_missed_are_told_as_the_newest(
    instances: Fleet, member: Member
) -> None:
    """Who was away hears once of each document and writer, though the log was cut meanwhile."""
    bob = await instances.instance("bob")
    service = member.replica
    for path in ("a.py", "b.py"):
        await service.open(path)
    async with fleet.listening(member, instance_id=bob, user="bob") as before:
        token = before.token
    for _ in range(3):
        for path in ("a.py", "b.py"):
            async with service.editor(path, user="eve") as editor:
                editor.insert(0, "x")
                await editor.stored()
    revisions = {path: (await service.get(path)).revision for path in ("a.py", "b.py")}
    asked: dict[str, Any] = {"project": service.parts.project, "resume_token": token}
    async with fleet.listening(member, instance_id=bob, user="bob", **asked) as after:
        await after.until(
            lambda: {one.name.path: one.revision for one in after.code} == revisions,
            "both changes",
        )


async def test_only_what_was_asked_for(instances: Fleet, member: Member) -> None:
    """By kind; a project limits changes of code, and nothing else."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    async with (
        fleet.listening(member, instance_id=bob, user="bob", types=[pb.EVENT_TYPE_STATE]) as states,
        fleet.listening(
            member, instance_id=bob, user="bob", types=[pb.EVENT_TYPE_MESSAGE], project="web"
        ) as messages,
    ):
        await member.share(ada)
        await member.send(ada, "*", "hello")
        await states.until(lambda: states.states, "a state")
        await messages.heard(1)
        assert (states.messages, messages.states) == ([], [])


async def test_who_may_speak_and_listen_for_an_instance(instances: Fleet, member: Member) -> None:
    """Its owner and administrators; what is elsewhere is neither heard nor reached."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    lab = await instances.instance("eve", namespace="lab")
    calls = (
        member.send(ada, bob, "as another", user="bob"),
        member.send(ada, "*", "as another", user="bob"),
        member.share(ada, user="bob"),
        member.subscribe(ada, user="bob").read(),
    )
    for call in calls:
        assert (await rig.refusal(call)).code == "INSTANCE_NOT_YOURS"
    for call in (
        member.send(ada, "nobody", "to none"),
        member.send("nobody", ada, "from none"),
        member.subscribe("nobody").read(),
    ):
        assert (await rig.refusal(call)).code == "INSTANCE_NOT_FOUND"
    only = member.as_user("ada", namespaces=("default",))
    request = pb.SendMessageRequest(to=lab, message=fleet.chat("no"), **{"from": ada})
    denied = await rig.refusal(member.stub.SendMessage(request, metadata=only, timeout=20))
    assert (denied.code, denied.metadata["namespace"]) == ("NAMESPACE_DENIED", "lab")
    async with fleet.listening(member, instance_id=lab, user="eve") as elsewhere:
        await member.share(ada)
        await member.send(ada, "*", "for default")
        await member.send(ada, lab, "across")
        await elsewhere.heard(1)
        assert (elsewhere.messages, elsewhere.states) == (["across"], [])
    root = member.as_user("root", "admin")
    stream = member.stub.Subscribe(pb.SubscribeRequest(instance_id=bob), metadata=root)
    assert (await stream.read()).WhichOneof("message") == "heartbeat"
    stream.cancel()


async def test_a_deleted_instance_hears_no_more(instances: Fleet) -> None:
    """Its subscription ends, saying so; a new one of the same name gets none of the old mail."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    async with instances.replica(access_seconds=0.2) as member:
        async with fleet.listening(member, instance_id=bob, user="bob") as old:
            token = old.token
            await member.send(ada, bob, "for the old one")
            await old.heard(1)
            await instances.delete(bob, owner="bob")
            await old.until(lambda: "INSTANCE_NOT_FOUND" in old.errors, "the end")
        await instances.instance("bob", id=bob)
        async with fleet.listening(member, instance_id=bob, user="bob", resume_token=token) as new:
            await member.send(ada, bob, "for the new one")
            await new.heard(1)
            assert new.messages == ["for the new one"]


async def test_a_token_that_is_too_old_says_so(
    instances: Fleet, member: Member, infrastructure: Stack
) -> None:
    """Better an error than a gap: WATCH_EXPIRED, and the way out is to begin again."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    async with fleet.listening(member, instance_id=bob, user="bob") as before:
        token = before.token
    await member.send(ada, bob, "lost")
    client = await nats.connect(infrastructure.plan.nats_url)
    await client.jetstream().purge_stream("MESSAGES")
    await client.close()
    detail = await rig.refusal(member.subscribe(bob, user="bob", resume_token=token).read())
    assert detail.code == "WATCH_EXPIRED"


async def test_a_silent_subscription_is_alive(instances: Fleet, member: Member) -> None:
    """Heartbeats come by themselves, each with a token that is as good as any."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    async with fleet.listening(member, instance_id=bob, user="bob") as listener:
        await listener.until(lambda: listener.beats >= 3, "heartbeats")
    await member.send(ada, bob, "later")
    async with fleet.listening(
        member, instance_id=bob, user="bob", resume_token=listener.token
    ) as after:
        await after.heard(1)
        assert after.messages == ["later"]


async def test_a_slow_reader_loses_nothing(instances: Fleet) -> None:
    """Whoever does not read for a while is told all the same, long after memory forgot it."""
    async with instances.replica(events_kept=5) as member:
        ada, bob = await instances.instance("ada"), await instances.instance("bob")
        stream = member.subscribe(bob, user="bob")
        assert (await stream.read()).HasField("heartbeat")
        padding = "x" * 100_000
        for number in range(60):
            await member.send(ada, bob, f"{number} {padding}")
        heard: list[str] = []
        async with asyncio.timeout(30):
            while len(heard) < 60:
                answer = await stream.read()
                if answer.HasField("message_event"):
                    text = answer.message_event.message.payload["text"]
                    heard.append(text.partition(" ")[0])
        assert heard == [f"{number}" for number in range(60)]
        stream.cancel()


async def test_a_replica_that_goes_passes_its_subscribers_on(instances: Fleet) -> None:
    """Its streams end in-band with where to go on; at another replica nothing is missed."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    async with instances.replica() as second:
        async with instances.replica() as first:
            listener = Listener(first, second, instance_id=bob, user="bob")
            await asyncio.wait_for(listener.started.wait(), 20)
            await second.send(ada, bob, "one")
            await listener.heard(1)
        for number in range(5):
            await second.send(ada, bob, f"{number}")
        await listener.heard(6)
        await listener.close()
        assert listener.errors[0] == "SERVER_SHUTTING_DOWN"
        assert listener.messages == ["one", *(f"{number}" for number in range(5))]


async def test_messages_survive_the_death_of_nats(instances: Fleet, infrastructure: Stack) -> None:
    """NATS is killed twice while somebody writes and two listen: nothing missed, nothing twice."""
    ada, bob, eve = [await instances.instance(name) for name in ("ada", "bob", "eve")]
    async with (
        instances.replica() as first,
        instances.replica() as second,
        fleet.listening(first, second, instance_id=bob, user="bob") as one,
        fleet.listening(second, instance_id=eve, user="eve") as other,
    ):
        sent: list[str] = []

        async def write() -> None:
            for number in range(120):
                request_id, member = str(uuid.uuid4()), (first, second)[number % 2]
                while True:
                    try:
                        await member.send(ada, "*", f"{number}", request_id=request_id)
                    except grpc.aio.AioRpcError as error:
                        if error.code() not in RETRYABLE:
                            raise
                        await asyncio.sleep(0.1)
                    else:
                        break
                sent.append(f"{number}")

        writing = asyncio.create_task(write())
        for count in (20, 60):
            while len(sent) < count:
                assert not writing.done() or writing.result() is None
                await asyncio.sleep(0.02)
            programs.kill(infrastructure, "nats")
        await asyncio.wait_for(writing, 90)
        for listener in (one, other):
            await listener.heard(120, timeout=60)
            assert listener.messages == sent
