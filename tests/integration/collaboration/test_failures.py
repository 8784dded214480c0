"""How such systems fail, each provoked once: see docs/services/collaboration.md."""

import asyncio
import contextlib

import codestudio
import grpc
import nats
import pycrdt
import pytest
from codestudio.collaboration.v1 import collaborate_pb2
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb

from services.collaboration import entry, ywire
from services.collaboration.log import NAME
from services.devstack.stack import Stack
from tests import counted
from tests.integration.collaboration import rig
from tests.integration.collaboration.editor import Request

_CHECKPOINTS = "codestudio_collaboration_snapshots_total"


async def test_edits_while_nothing_can_be_stored(own_infrastructure: Stack) -> None:
    """Clients of one replica go on seeing each other; only what is stored is acknowledged."""
    parts = rig.Parts(own_infrastructure, rig.new_project())
    async with rig.replica(parts, dependency_timeout=1.0) as one:
        await one.open("a.txt", "")
        async with one.editor("a.txt") as ada, one.editor("a.txt", user="bob") as bob:
            ada.insert(0, "before ")
            await ada.stored()
            await asyncio.to_thread(own_infrastructure.stop, "nats")
            acked = ada.acked
            ada.insert(7, "meanwhile")
            await bob.until(lambda: bob.text == "before meanwhile")
            await asyncio.sleep(0.5)
            assert ada.acked == acked
            await asyncio.to_thread(own_infrastructure.start, "nats")
            await ada.stored()
        async with rig.replica(parts) as two:
            assert (await two.get("a.txt")).text == "before meanwhile"


async def test_giving_up(own_infrastructure: Stack) -> None:
    """After a while clients are sent away; what they hold, they bring when it works again."""
    parts = rig.Parts(own_infrastructure, rig.new_project())
    async with rig.replica(parts, dependency_timeout=0.5, log_give_up=1.0) as one:
        await one.open("a.txt", "")
        async with one.editor("a.txt") as ada:
            await ada.stored()
            await asyncio.to_thread(own_infrastructure.stop, "nats")
            ada.insert(0, "kept")
            async with asyncio.timeout(20):
                while ada.online_now:
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(own_infrastructure.start, "nats")
            await ada.stored()
        assert (await one.get("a.txt")).text == "kept"


async def test_a_log_that_is_gone(own_infrastructure: Stack) -> None:
    """When the stream is lost with all it held, what clients hold is what there is."""
    parts = rig.Parts(own_infrastructure, rig.new_project())
    token = parts.token("bob")
    async with rig.replica(parts, quiet_seconds=0.2) as one:
        await one.open("a.txt", "seed ")
        async with (
            one.editor("a.txt") as ada,
            codestudio.AsyncClient(f"http://{one.live_address}", token=token) as client,
            client.documents.open(parts.project, "a.txt") as bob,
        ):
            ada.insert(5, "typed")
            await ada.stored()
            connection = await nats.connect(parts.stack.plan.nats_url)
            await connection.jetstream().delete_stream(NAME)
            await connection.close()
            await ada.until(lambda: ada.joins > 1)
            ada.insert(0, "more ")
            await ada.stored()
            bob.insert(0, "and ")
            await bob.flush(20)
        async with rig.replica(parts) as two:
            assert sorted((await two.get("a.txt")).text.split()) == ["and", "more", "seed", "typed"]


async def test_the_log_is_trimmed(parts: rig.Parts) -> None:
    """Behind snapshots the log is cut; what is left and the snapshot are the whole document."""
    async with rig.replica(parts, snapshot_entries=10, log_tick=0) as service:
        await service.open("a.txt", "")
        subject = f"{entry.SUBJECT}.default.{parts.project}.>"
        connection = await nats.connect(parts.stack.plan.nats_url)
        jetstream = connection.jetstream()
        async with service.editor("a.txt") as ada:
            for number in range(200):
                ada.insert(len(ada.text), f"{number},")
                await asyncio.sleep(0.01)
            await ada.stored()
            text = ada.text

            async def kept() -> int:
                info = await jetstream.stream_info(NAME, subjects_filter=subject)
                return sum((info.state.subjects or {}).values())

            async with asyncio.timeout(20):
                while await kept() > 60:
                    await asyncio.sleep(0.1)
        await connection.close()
        async with rig.replica(parts) as two:
            found = await two.get("a.txt")
            assert found.text == text
            assert found.revision == (await service.get("a.txt")).revision


async def test_edits_out_of_order(parts: rig.Parts) -> None:
    """An edit that comes before its predecessor is asked for again, and never half stored.

    It is acknowledged by nothing, and a checkpoint made while it waits takes none of it away.
    """
    async with rig.replica(parts, quiet_seconds=0.2) as service:
        await service.open("a.txt", "")
        doc: pycrdt.Doc = pycrdt.Doc()
        made: list[bytes] = []
        subscription = doc.observe(lambda event: made.append(event.update))
        text = doc.get("content", type=pycrdt.Text)
        for word in ("one ", "two ", "three"):
            text.insert(len(text), word)
        doc.unobserve(subscription)
        call = service.live.Collaborate(metadata=service.metadata)

        async def send(number: int) -> None:
            update = collaborate_pb2.Update(update=made[number], sequence=number + 1)
            await call.write(Request(channel=1, update=update))

        async def answer(kind: str) -> collaborate_pb2.CollaborateResponse:
            async with asyncio.timeout(10):
                while (found := await call.read()).WhichOneof("message") != kind:
                    assert found.WhichOneof("message") in ("heartbeat", "update")
            return found

        async def join() -> None:
            await call.write(
                Request(channel=1, join=collaborate_pb2.Join(name=service.parts.name("a.txt")))
            )
            await answer("joined")

        async def checkpoint(before: float) -> None:
            async with asyncio.timeout(20):
                while counted.value(_CHECKPOINTS) == before:
                    await asyncio.sleep(0.02)

        await join()
        await send(2)
        resync = await answer("resync")
        assert doc.client_id not in ywire.read_state_vector(resync.resync.state_vector)
        await join()
        await send(1)
        await answer("resync")
        before = counted.value(_CHECKPOINTS)
        async with service.editor("a.txt", user="bob") as bob:
            bob.insert(0, "bob ")
            await bob.stored()
            await checkpoint(before)
            assert bob.text == "bob "
            await join()
            before = counted.value(_CHECKPOINTS)
            await send(0)
            assert (await answer("ack")).ack.sequence == 1
            # Now the others fit: they were waiting, and are stored with the one they waited for.
            await bob.until(lambda: len(bob.text) == len("bob one two three"))
            assert "one two three" in bob.text
            assert (await service.get("a.txt")).text == bob.text
        await checkpoint(before)
        async with rig.replica(parts) as two:
            assert (await two.get("a.txt")).text == bob.text
        call.cancel()


async def test_duplicates_cost_nothing(service: rig.Replica) -> None:
    """An edit that is known is no revision, and is acknowledged all the same."""
    await service.open("a.txt", "")
    async with service.editor("a.txt") as ada:
        ada.insert(0, "x")
        await ada.stored()
        revision = ada.revision
        for _ in range(5):
            ada.resend()
        await ada.stored()
        assert (await service.get("a.txt")).revision == revision


async def test_client_ids_do_not_pile_up(service: rig.Replica) -> None:
    """Edits that come as plain text are all made under one id."""
    await service.open("a.txt", "")
    for number in range(40):
        change = pb.CodeChange(name=service.parts.name("a.txt"), text=f"{number},")
        change.offset.start = 0
        await service.stub.SyncCode(
            pb.SyncCodeRequest(instance_id="fox", changes=[change]), metadata=service.metadata
        )
    found = await service.get("a.txt", include_state=True)
    doc: pycrdt.Doc = pycrdt.Doc()
    doc.apply_update(found.state)
    assert len(ywire.read_state_vector(doc.get_state())) <= 2


async def test_client_ids_do_not_pile_up_while_documents_come_and_go(parts: rig.Parts) -> None:
    """A replica goes on under the same ids in a document that it let go of meanwhile."""
    names = ("a.txt", "b.txt")
    async with rig.replica(parts, unload_seconds=0.05, quiet_seconds=0.05) as service:
        for name in names:
            await service.open(name, "")
        for number in range(5):
            for gone in (False, True):
                async with asyncio.timeout(20):
                    while (service.loaded() == 0) is not gone:
                        await asyncio.sleep(0.05)
            for some in (names[:1], names):  # of one document, and of two in one step
                changes = [pb.CodeChange(name=parts.name(one), text=f"{number},") for one in some]
                for change in changes:
                    change.offset.start = 0
                await service.stub.SyncCode(
                    pb.SyncCodeRequest(instance_id="fox", changes=changes),
                    metadata=service.metadata,
                )
        found = await service.get("a.txt", include_state=True)
        doc: pycrdt.Doc = pycrdt.Doc()
        doc.apply_update(found.state)
        assert len(ywire.read_state_vector(doc.get_state())) <= 3
        assert sorted(found.text.split(",")) == sorted(["", *2 * "01234"])


async def test_many_documents_take_bounded_memory(parts: rig.Parts) -> None:
    """However many were touched, only so many stay; all of them come back."""
    async with rig.replica(parts, rooms_kept=20, quiet_seconds=0.1) as service:
        for number in range(200):
            await service.open(f"{number}.txt", str(number))
        async with asyncio.timeout(20):
            while service.loaded() > 20:
                await asyncio.sleep(0.1)
        for number in range(200):
            assert (await service.get(f"{number}.txt")).text == str(number)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\xff\xff\xff", "INVALID_MESSAGE"),
        (b"\x08\x01\x1a\x05\x0a\x03\xff\xff\xff", "INVALID_UPDATE"),
        (b"\x08\x01\x1a\x0a\x0a\x08\xce\xb2\xa8\x49\xc9\x97\x84\xb9", "INVALID_UPDATE"),
        (b"\x08\x01\x22\x05\x0a\x03\x07\x01\x01", "INVALID_AWARENESS"),
    ],
)
async def test_hostile_streams(service: rig.Replica, message: bytes, code: str) -> None:
    """What no client sends closes the one that did, with a typed error; others go on."""
    await service.open("a.txt", "x")
    async with service.editor("a.txt") as ada:
        call = service.raw()
        join = collaborate_pb2.Join(name=service.parts.name("a.txt"))
        await call.write(Request(channel=1, join=join).SerializeToString())
        await call.write(message)
        async with asyncio.timeout(10):
            while True:
                answer = collaborate_pb2.CollaborateResponse.FromString(await call.read())
                if answer.WhichOneof("message") == "error":
                    break
        assert answer.error.code == code
        call.cancel()
        ada.insert(1, "y")
        await ada.stored()
        assert (await service.get("a.txt")).text == "xy"


async def test_a_hundred_megabytes(service: rig.Replica) -> None:
    """A frame of that size is refused before it is read, and harms nobody."""
    await service.open("a.txt", "x")
    async with service.editor("a.txt") as ada:
        call = service.raw()
        async with asyncio.timeout(30):
            # The connection may refuse it while it is being written.
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call.write(b"\x08\x01\x1a" + bytes(100 * 1024 * 1024))
            code = await call.code()
        assert code.name in ("RESOURCE_EXHAUSTED", "INTERNAL")
        ada.insert(1, "y")
        await ada.stored()


async def test_a_document_that_is_full(parts: rig.Parts) -> None:
    """Past its limit a document takes no more, and says so; reading goes on."""
    async with rig.replica(parts, document_max_bytes=50_000) as service:
        await service.open("a.txt", "")
        async with service.editor("a.txt") as ada:
            for _ in range(20):
                ada.insert(0, "x" * 10_000)
            with pytest.raises(Exception, match="DOCUMENT_TOO_LARGE"):
                await ada.until(lambda: False, 10)
        async with asyncio.timeout(10):
            while len((await service.get("a.txt")).text) != 40_000:
                await asyncio.sleep(0.05)
