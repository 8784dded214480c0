"""The stream Collaborate, with one replica and with two."""

import asyncio
import itertools
import time

import grpc
import pycrdt
import pytest
from codestudio.collaboration.v1 import collaborate_pb2, document_pb2

from services.chassis import authentication
from services.collaboration import ywire
from tests.integration.collaboration import rig
from tests.integration.collaboration.editor import Editor, Refused, Request


def says(client: int, clock: int, state: str) -> bytes:
    """Return an awareness update about one client."""
    return (
        ywire.write_uint(1)
        + ywire.write_uint(client)
        + ywire.write_uint(clock)
        + ywire.write_bytes(state.encode())
    )


async def same(*editors: Editor, text: str | None = None) -> None:
    """Wait until all have the same text, or a certain one."""
    for editor in editors:
        await editor.stored()
    async with asyncio.timeout(30):
        while len({editor.text for editor in editors} | ({text} - {None})) != 1:
            await asyncio.sleep(0.01)


async def test_two_edit_one(service: rig.Replica) -> None:
    """What one types the other sees, and what is acknowledged is in the document."""
    await service.open("a.txt", "hello\n")
    async with service.editor("a.txt") as ada, service.editor("a.txt", user="bob") as bob:
        ada.insert(5, " wörld 🙂")
        await bob.until(lambda: bob.text == "hello wörld 🙂\n")
        bob.delete(0, 5)
        await same(ada, bob, text=" wörld 🙂\n")
        await ada.stored()
        assert (await service.get("a.txt")).text == " wörld 🙂\n"
        assert ada.revision == 3 or bob.revision == 3


async def test_what_is_stored_together_is_acknowledged_once(parts: rig.Parts) -> None:
    """However many edits one entry of the log holds."""
    tick = 0.2
    async with rig.replica(parts, log_tick=tick) as service:
        await service.open("a.txt", "")
        call = service.live.Collaborate(metadata=service.metadata)
        join = collaborate_pb2.Join(name=parts.name("a.txt"))
        await call.write(Request(channel=1, join=join))
        assert (await call.read()).HasField("joined")
        made: list[bytes] = []
        doc: pycrdt.Doc = pycrdt.Doc()
        doc.observe(lambda event: made.append(event.update))
        text = doc.get("content", type=pycrdt.Text)
        began = time.monotonic()
        for sequence in range(1, 101):
            text += "x"
            update = collaborate_pb2.Update(update=made.pop(), sequence=sequence)
            await call.write(Request(channel=1, update=update))
        acks = []
        async with asyncio.timeout(10):
            while not acks or acks[-1] < 100:
                if (answer := await call.read()).HasField("ack"):
                    acks.append(answer.ack.sequence)
        assert len(acks) <= 2 + (time.monotonic() - began) / tick
        call.cancel()


async def test_who_moves_a_cursor_alone_hears_that_the_stream_lives(parts: rig.Parts) -> None:
    """What wakes a stream and gives it nothing to say is no sign of life."""
    async with rig.replica(parts, heartbeat_seconds=0.3) as service:
        await service.open("a.txt", "")
        call = service.live.Collaborate(metadata=service.metadata)
        join = collaborate_pb2.Join(name=parts.name("a.txt"))
        await call.write(Request(channel=1, join=join))
        assert (await call.read()).HasField("joined")

        async def move() -> None:
            for clock in itertools.count(1):
                said = says(7, clock, '{"at": 1}')
                await call.write(
                    Request(channel=1, awareness=collaborate_pb2.Awareness(update=said))
                )
                await asyncio.sleep(0.05)

        moving = asyncio.create_task(move())
        async with asyncio.timeout(3):
            for _ in range(3):
                while not (await call.read()).HasField("heartbeat"):
                    pass
        moving.cancel()
        call.cancel()


async def test_the_port_for_grpc_has_streams_too(service: rig.Replica) -> None:
    """Whoever calls the service itself finds them with everything else, and sees the same."""
    await service.open("a.txt", "")
    bob = service.editor("a.txt", user="bob")
    bob.point_to([service.address])
    async with service.editor("a.txt") as ada, bob:
        for number in range(20):
            ada.insert(0, f"a{number} ")
            bob.insert(len(bob.text), f"b{number} ")
        await same(ada, bob)
        assert "a19 " in bob.text
        assert "b19 " in ada.text


async def test_two_replicas(parts: rig.Parts) -> None:
    """Clients of different replicas edit the same document, and both count the same revisions."""
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        await one.open("a.txt", "")
        async with one.editor("a.txt") as ada, two.editor("a.txt", user="bob") as bob:
            for number in range(50):
                ada.insert(0, f"a{number} ")
                bob.insert(len(bob.text), f"b{number} ")
                await asyncio.sleep(0.002)
            await same(ada, bob)
            for number in range(50):
                assert ada.text.count(f"a{number} ") == 1
                assert ada.text.count(f"b{number} ") == 1
            first, second = await one.get("a.txt"), await two.get("a.txt")
            assert first.text == second.text == ada.text
            assert first.revision == second.revision


async def test_a_stream_ends_with_its_token(service: rig.Replica) -> None:
    """A stream is its caller's for as long as the token it was opened with."""
    await service.open("a.txt", "x")
    async with service.editor("a.txt", lifetime=4 - authentication.LEEWAY) as ada:
        assert ada.text == "x"
        with pytest.raises(Refused) as refused:
            await ada.until(lambda: False, 20)
        assert refused.value.code == "TOKEN_EXPIRED"


async def test_viewers_read_and_write_nothing(service: rig.Replica) -> None:
    """A viewer sees edits; one that writes all the same is sent away, and nobody sees it."""
    await service.open("a.txt", "x")
    async with service.editor("a.txt") as ada:
        viewer = service.editor("a.txt", user="vic", roles=("viewer",))
        async with viewer:
            assert viewer.role == document_pb2.ROLE_VIEWER
            ada.insert(1, "y")
            await viewer.until(lambda: viewer.text == "xy")
            viewer.insert(0, "evil")
            with pytest.raises(Refused) as refused:
                await viewer.until(lambda: False)
            assert refused.value.code == "READ_ONLY"
        await ada.stored()
        assert (await service.get("a.txt")).text == "xy"


async def test_another_epoch_is_never_merged(service: rig.Replica) -> None:
    """A client that holds another history of the document gets a typed error."""
    opened = await service.open("a.txt", "x")
    editor = service.editor("a.txt")
    editor.insert(0, "mine")
    editor.epoch = "another"
    editor.start()
    with pytest.raises(Refused) as refused:
        await editor.online()
    assert refused.value.code == "EPOCH_MISMATCH"
    assert refused.value.detail.metadata["epoch"] == opened.epoch
    await editor.stop()
    assert (await service.get("a.txt")).text == "x"


async def test_offline_edits_are_merged(service: rig.Replica) -> None:
    """What was typed without a connection arrives with the next one, once."""
    await service.open("a.txt", "0123456789")
    async with service.editor("a.txt") as bob:
        ada = service.editor("a.txt")
        async with ada:
            pass
        ada.insert(0, "A")
        bob.insert(len(bob.text), "B")
        await bob.stored()
        async with ada:
            await same(ada, bob, text="A0123456789B")


async def test_a_cut_connection(service: rig.Replica) -> None:
    """Connections that break in the middle of typing lose nothing and double nothing."""
    await service.open("a.txt", "")
    async with service.editor("a.txt") as ada, service.editor("a.txt", user="bob") as bob:
        cuts = 0
        for number in range(60):
            ada.insert(len(ada.text), f"<a{number}>")
            bob.insert(0, f"<b{number}>")
            if number % 20 == 10:
                # One that is not back yet cannot be cut again.
                await ada.until(lambda before=cuts: ada.joins > before)
                ada.cut()
                cuts += 1
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.003)
        await ada.until(lambda: ada.joins > cuts)
        await same(ada, bob)
        assert all(ada.text.count(f"<{who}{n}>") == 1 for who in "ab" for n in range(60))


async def test_a_client_that_is_cut_can_be_stopped(service: rig.Replica) -> None:
    """Also in the same moment: the convergence test waited a minute for each that could not."""
    await service.open("a.txt", "")
    async with service.editor("a.txt") as ada:
        ada.cut()
        stopping = asyncio.create_task(ada.stop())
        done, _ = await asyncio.wait([stopping], timeout=5)
        stopping.cancel()
        assert done


async def test_cursors(parts: rig.Parts) -> None:
    """Who is where is told to all others on every replica, and not to the one who said it.

    Whoever leaves is gone for the others.
    """
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        await one.open("a.txt", "")
        async with (
            one.editor("a.txt") as ada,
            one.editor("a.txt", user="bob") as bob,
            two.editor("a.txt", user="cyd") as cyd,
        ):
            ada.say(says(7, 1, '{"cursor":1}'))
            await bob.until(lambda: says(7, 1, '{"cursor":1}') in bob.awareness)
            await cyd.until(lambda: says(7, 1, '{"cursor":1}') in cyd.awareness)
            assert ada.awareness == []
            async with two.editor("a.txt", user="dan") as dan:
                await dan.until(lambda: says(7, 1, '{"cursor":1}') in dan.awareness)
            await ada.stop()
            await bob.until(lambda: says(7, 1, "null") in bob.awareness)
            await cyd.until(lambda: says(7, 1, "null") in cyd.awareness)


async def test_late_replica_knows_who_is_there(parts: rig.Parts) -> None:
    """A replica that loads a document learns who is in it on the others."""
    async with rig.replica(parts) as one:
        await one.open("a.txt", "")
        async with one.editor("a.txt") as ada, rig.replica(parts) as two:
            ada.say(says(7, 1, '{"cursor":1}'))
            await ada.stored()
            async with two.editor("a.txt", user="bob") as bob:
                await bob.until(lambda: any(b"cursor" in said for said in bob.awareness))


async def test_silence(service: rig.Replica) -> None:
    """A quiet stream beats."""
    await service.open("a.txt", "")
    call = service.live.Collaborate(metadata=service.metadata)
    async with asyncio.timeout(10):
        answer = await call.read()
    assert answer.WhichOneof("message") == "heartbeat"
    call.cancel()


async def test_many_documents_on_one_stream(service: rig.Replica) -> None:
    """A stream carries many documents; what is wrong with one leaves the others alone."""
    for number in range(3):
        await service.open(f"{number}.txt", str(number))
    call = service.live.Collaborate(metadata=service.metadata)
    for number in range(4):
        join = collaborate_pb2.Join(name=service.parts.name(f"{number}.txt"))
        await call.write(Request(channel=number + 1, join=join))
    found = {}
    async with asyncio.timeout(10):
        while len(found) < 4:
            answer = await call.read()
            if not answer.HasField("heartbeat"):
                found[answer.channel] = answer
    assert found[4].error.code == "DOCUMENT_NOT_FOUND"
    for number in range(3):
        doc: pycrdt.Doc = pycrdt.Doc()
        doc.apply_update(found[number + 1].joined.update)
        assert str(doc.get("content", type=pycrdt.Text)) == str(number)
    call.cancel()


async def test_a_token_is_needed(service: rig.Replica) -> None:
    """Nobody streams without one."""
    call = service.live.Collaborate()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_ack_means_stored(parts: rig.Parts) -> None:
    """What is acknowledged is there after the replica is gone, without a word of goodbye."""
    async with rig.replica(parts) as one:
        await one.open("a.txt", "")
        async with one.editor("a.txt") as ada:
            for number in range(100):
                ada.insert(len(ada.text), f"{number},")
            await ada.stored()
            text = ada.text
            async with rig.replica(parts) as two:
                assert (await two.get("a.txt")).text == text


async def test_an_edit_larger_than_a_message_of_nats(parts: rig.Parts) -> None:
    """A paste of three megabytes is stored in parts, and is one edit for everybody."""
    pasted = "0123456789abcdef" * (3 * 1024 * 64)
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        await one.open("a.txt", "")
        async with one.editor("a.txt") as ada, two.editor("a.txt", user="bob") as bob:
            ada.insert(0, pasted)
            await same(ada, bob, text=pasted)
            assert (await two.get("a.txt")).revision == 2
        async with rig.replica(parts) as three:
            assert (await three.get("a.txt")).text == pasted
