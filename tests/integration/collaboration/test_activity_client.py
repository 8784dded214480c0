"""Messages, states and events through the client and the command, on the real service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator

import codestudio
import prometheus_client
import pytest

from services.chassis import context
from services.devstack import ports
from services.devstack.stack import Stack
from tests.integration.collaboration import fleet, rig
from tests.integration.collaboration.fleet import Fleet, Member


@pytest.fixture
async def instances(infrastructure: Stack, parts: rig.Parts) -> AsyncIterator[Fleet]:
    async with fleet.fleet(infrastructure, parts) as running:
        yield running


@pytest.fixture
async def member(instances: Fleet) -> AsyncIterator[Member]:
    async with instances.replica() as running:
        yield running


@contextlib.asynccontextmanager
async def client(port: int, parts: rig.Parts, user: str) -> AsyncIterator[codestudio.AsyncClient]:
    """Give a client of a replica, as somebody."""
    async with codestudio.AsyncClient(
        f"http://127.0.0.1:{port}", token=parts.token(user), timeout=20
    ) as made:
        yield made


async def take(events: codestudio.AsyncSubscription, count: int) -> list[codestudio.Event]:
    """Read so many events."""
    async with asyncio.timeout(20):
        return [await anext(events) for _ in range(count)]


async def test_everything_an_instance_is_told(
    instances: Fleet, member: Member, parts: rig.Parts
) -> None:
    """Messages, states and changes of code come as what they are, with their facts."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    port = member.replica.port
    await member.replica.open("src/a.py")
    async with (
        client(port, parts, "ada") as adas,
        client(port, parts, "bob") as bobs,
        bobs.events.subscribe(bob, project=parts.project) as events,
    ):
        assert events.resume_token
        receipt = await adas.messages.send(ada, bob, {"text": "hello", "n": 1}, type="note")
        (told,) = await take(events, 1)
        assert isinstance(told, codestudio.MessageEvent)
        assert (told.message_id, told.source, told.to) == (receipt.message_id, ada, bob)
        assert (told.type, told.payload) == ("note", {"text": "hello", "n": 1.0})
        assert told.time == receipt.time is not None
        await adas.messages.broadcast(ada)
        (told,) = await take(events, 1)
        assert isinstance(told, codestudio.MessageEvent)
        assert (told.type, told.payload, told.to) == ("chat", {}, "")
        at = await adas.states.share(ada, current_file="src/a.py", line=3, column=7, status="hm")
        (told,) = await take(events, 1)
        assert isinstance(told, codestudio.StateEvent)
        assert (told.instance_id, told.current_file, told.line, told.column, told.status) == (
            ada,
            "src/a.py",
            3,
            7,
            "hm",
        )
        assert told.time is not None
        assert abs((told.time - at).total_seconds()) < 0.001
        async with member.replica.editor("src/a.py", user="eve") as editor:
            editor.insert(0, "x")
            await editor.stored()
        (told,) = await take(events, 1)
        assert isinstance(told, codestudio.CodeEvent)
        assert (told.namespace, told.project, told.path) == ("default", parts.project, "src/a.py")
        assert (told.author, told.source_instance) == (codestudio.Author("eve", "Eve"), "")
        assert told.revision == (await member.replica.get("src/a.py")).revision


async def test_a_subscription_outlives_its_replica(instances: Fleet, parts: rig.Parts) -> None:
    """A service that restarts is come back to: nothing missed, nothing twice, no error."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    port = ports.any_free_port()
    async with instances.replica() as other, client(port, parts, "bob") as bobs:
        async with instances.replica(port=port):
            events = bobs.events.subscribe(bob, types=[codestudio.ActivityType.MESSAGE])
            await events.start()
            await other.send(ada, bob, "one")
            await take(events, 1)
        for number in range(5):
            await other.send(ada, bob, f"{number}")
        # A reader that gives up for a while does not end the subscription.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.2)
        async with instances.replica(port=port):
            told = await take(events, 5)
            assert [
                one.payload["text"] for one in told if isinstance(one, codestudio.MessageEvent)
            ] == [f"{number}" for number in range(5)]
            await events.aclose()


async def test_a_subscription_outlives_a_service_that_is_slow(
    instances: Fleet, parts: rig.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on where a replica did not learn in time whose the instance is."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    port = ports.any_free_port()
    async with instances.replica() as other, client(port, parts, "bob") as bobs:
        async with instances.replica(port=port):
            events = bobs.events.subscribe(bob, types=[codestudio.ActivityType.MESSAGE])
            await events.start()
        reading = asyncio.create_task(take(events, 1))
        with monkeypatch.context() as shortened:
            shortened.setattr(context, "DEFAULT_TIMEOUT", 0.2)
            before = out_of_time()
            async with silent() as mesh, instances.replica(port=port, mesh_address=mesh):
                async with asyncio.timeout(20):
                    while out_of_time() == before:
                        await asyncio.sleep(0.05)
        await other.send(ada, bob, "one")
        async with instances.replica(port=port):
            (told,) = await reading
            assert isinstance(told, codestudio.MessageEvent)
            assert told.payload == {"text": "one"}
        await events.aclose()


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Give the address of something that takes connections and says nothing."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    server.close()
    for writer in held:
        writer.close()


def out_of_time() -> float:
    """Tell how many subscriptions were refused because others were slow."""
    labels = {
        "grpc_service": "codestudio.collaboration.v1.CollaborationService",
        "grpc_method": "Subscribe",
        "grpc_code": "DEADLINE_EXCEEDED",
    }
    found = prometheus_client.REGISTRY.get_sample_value("grpc_server_handled_total", labels)
    return found or 0.0


async def test_what_cannot_begin_is_refused_at_once(
    instances: Fleet, member: Member, parts: rig.Parts
) -> None:
    """A foreign instance, none at all, a token that is none: raised where it is entered."""
    ada = await instances.instance("ada")
    async with client(member.replica.port, parts, "bob") as bobs:
        with pytest.raises(codestudio.PermissionDenied):
            await bobs.events.subscribe(ada).start()
        with pytest.raises(codestudio.NotFound):
            async with bobs.events.subscribe("nobody"):
                pass
        with pytest.raises(codestudio.InvalidArgument) as caught:
            await bobs.events.subscribe("nobody", resume_token="nonsense").start()
        assert caught.value.code == "INVALID_RESUME_TOKEN"


async def test_a_client_for_ordinary_code(
    instances: Fleet, member: Member, parts: rig.Parts
) -> None:
    """The twin sends, shares and listens without asyncio."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")

    def talk() -> list[str]:
        url = f"http://127.0.0.1:{member.replica.port}"
        with (
            codestudio.Client(url, token=parts.token("ada"), timeout=20) as adas,
            codestudio.Client(url, token=parts.token("bob"), timeout=20) as bobs,
            bobs.events.subscribe(bob) as events,
        ):
            adas.messages.send(ada, bob, {"text": "hello"})
            adas.states.share(ada, status="editing")
            adas.messages.broadcast(ada, {"text": "all"})
            return [type(next(events)).__name__ for _ in range(3)]

    told = await asyncio.to_thread(talk)
    assert sorted(told) == ["MessageEvent", "MessageEvent", "StateEvent"]


async def command(port: int, token: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start the command."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "codestudio.cli", *arguments),
        env={
            **os.environ,
            "CODESTUDIO_GATEWAY": f"http://127.0.0.1:{port}",
            "CODESTUDIO_TOKEN": token,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_command(instances: Fleet, member: Member, parts: rig.Parts) -> None:
    """`message listen` shows what `message send` and `message broadcast` say."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    port = member.replica.port
    listening = await command(port, parts.token("bob"), "message", "listen", bob, "-o", "json")
    assert listening.stdout is not None
    try:
        sent: list[str] = []

        async def said(*arguments: str) -> None:
            done = await command(port, parts.token("ada"), "message", *arguments, "-o", "json")
            output, trouble = await done.communicate()
            assert done.returncode == 0, trouble.decode()
            sent.append(json.loads(output)["message_id"])

        async def hear() -> dict[str, object]:
            assert listening.stdout is not None
            while True:
                line = await asyncio.wait_for(listening.stdout.readline(), 30)
                event: dict[str, object] = json.loads(line)["message_event"]
                return event

        # Until it listens, nothing is for it: so say it again until it does.
        first = asyncio.create_task(hear())
        while not first.done():
            await said("send", "--from", ada, bob, "hello")
            await asyncio.wait([first], timeout=0.5)
        event = await first
        assert event["message_id"] in sent
        assert (event["from"], event["to"]) == (ada, bob)
        assert event["message"] == {"type": "chat", "payload": {"text": "hello"}}
        await said("broadcast", "--from", ada, "--json", '{"a": [1]}', "--type", "note")
        while (event := await hear())["to"]:
            pass
        assert event["message"] == {"type": "note", "payload": {"a": [1.0]}}
    finally:
        listening.kill()
        await listening.wait()
    refused = await command(port, parts.token("bob"), "message", "send", "--from", ada, bob, "no")
    _, trouble = await refused.communicate()
    assert refused.returncode == 4
    assert b"INSTANCE_NOT_YOURS" in trouble
    wrong = await command(port, "t", "message", "listen", bob, "--type", "rumour")
    _, trouble = await wrong.communicate()
    assert wrong.returncode == 2
    assert b"state, message or code" in trouble
