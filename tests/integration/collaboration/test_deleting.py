"""DeleteDocument: gone everywhere, once, and never merged with what comes after it."""

import asyncio
import functools

import grpc
import nats
import pytest
from codestudio.collaboration.v1 import collaborate_pb2
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb

from services.chassis import connectors
from services.collaboration import entry, log, names
from services.collaboration.log import NAME
from services.collaboration.rooms import Rooms
from tests.integration.collaboration import rig

_CROSSED = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE)


async def delete(
    replica: rig.Replica, path: str = "a.txt", revision: int = 0, metadata: object = None
) -> None:
    request = pb.DeleteDocumentRequest(name=replica.parts.name(path), revision=revision)
    await replica.stub.DeleteDocument(request, metadata=metadata or replica.metadata, timeout=20)


async def paths(replica: rig.Replica) -> list[str]:
    request = pb.ListDocumentsRequest(namespace="default", project=replica.parts.project)
    listed = await replica.stub.ListDocuments(request, metadata=replica.metadata, timeout=20)
    return [each.name.path for each in listed.documents]


async def test_gone_on_every_replica(parts: rig.Parts) -> None:
    """Who has it open anywhere is told; it is neither found nor listed; its name is free."""
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        first = await one.open("a.txt", "old text\n")
        await two.get("a.txt")
        await delete(one)
        for replica in (one, two):
            refused = await rig.refusal(replica.get("a.txt"))
            assert refused.code in ("DOCUMENT_NOT_FOUND", "DOCUMENT_DELETED")
            assert await paths(replica) == []
        again = await two.open("a.txt", "new\n")
        assert again.epoch != first.epoch
        assert (again.revision, again.length) == (1, 4)
        assert (await one.get("a.txt")).text == "new\n"
        assert await paths(one) == ["a.txt"]


async def test_a_replica_that_has_yet_to_hear_of_it(
    parts: rig.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not take who holds the newer history for one who holds an older one."""
    late: list[tuple[Rooms, entry.Entry]] = []
    entered = Rooms.entered

    def take(rooms: Rooms, one: entry.Entry) -> None:
        late.append((rooms, one)) if one.deleted else entered(rooms, one)

    monkeypatch.setattr(Rooms, "entered", take)
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        first = await one.open("a.txt", "old\n")
        await two.get("a.txt")
        await delete(one)
        now = await one.open("a.txt", "new\n")
        for held, code in ((now.epoch, "DOCUMENT_BUSY"), ("unknown", "EPOCH_MISMATCH")):
            change = pb.CodeChange(name=parts.name("a.txt"), text="x", epoch=held)
            change.offset.start = 0
            order = pb.SyncCodeRequest(instance_id="fox", changes=[change])
            sync = functools.partial(two.stub.SyncCode, order, metadata=two.metadata, timeout=20)
            assert (await rig.refusal(sync())).code == code
            call = two.raw()
            join = collaborate_pb2.Join(name=parts.name("a.txt"), epoch=held)
            request = collaborate_pb2.CollaborateRequest(channel=1, join=join)
            await call.write(request.SerializeToString())
            answer = collaborate_pb2.CollaborateResponse.FromString(await call.read())
            assert answer.error.code == code
            call.cancel()
        assert (await two.get("a.txt")).epoch == first.epoch
        while late:
            entered(*late.pop())
        assert (await two.get("a.txt")).text == "new\n"
        order.changes[0].epoch = now.epoch
        await sync()
        assert (await one.get("a.txt")).text == "xnew\n"


async def test_the_log_of_what_is_gone_is_cut(parts: rig.Parts) -> None:
    """Of a deleted history the log keeps that it was deleted; of what comes after it, all."""
    subject = names.Name("default", parts.project, "a.txt").subject(entry.SUBJECT)
    connection = await nats.connect(parts.stack.plan.nats_url)
    async with connection, rig.replica(parts, quiet_seconds=60) as one:
        await one.open("a.txt", "")
        for _ in range(2):
            async with one.editor("a.txt") as ada:
                for number in range(5):
                    ada.insert(0, str(number))
                    await ada.stored()
            await delete(one)
            await one.open("a.txt", "again ")

        async def left() -> int:
            info = await connection.jetstream().stream_info(NAME, subjects_filter=subject)
            return (info.state.subjects or {}).get(subject, 0)

        async with one.editor("a.txt") as ada:
            ada.insert(0, "and ")
            await ada.stored()
        async with asyncio.timeout(10):
            # Of the first history its deletion, and with the second's, what is behind that.
            while await left() > 8:
                await asyncio.sleep(0.1)
        async with rig.replica(parts) as two:
            assert (await two.get("a.txt")).text == "and again "


async def test_what_is_cut_is_not_read(parts: rig.Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deleted history is cut by what its entries are; what was written in it stays there."""
    monkeypatch.setattr(log, "_DELETIONS_KEPT", 0.0)
    name = names.Name("default", parts.project, "a.txt")
    connector = connectors.Nats(parts.settings())
    code = log.Log(nats=connector, origin="here", timeout=5.0)
    await connector.start()
    try:
        await connector.wait_ready()
        await code.extent()
        for number in range(10):
            await code.store(name, "e", entry.Draft(f"{name.key}-{number}", bytes(100_000)))
        await code.end(name, "e", None, entry.Author("ada", "Ada"))
        before = connector.client.stats["in_bytes"]
        await code.clear(name)
        assert connector.client.stats["in_bytes"] - before < 50_000
        assert await code.last(name) == 0
    finally:
        await connector.stop()


async def test_only_what_was_looked_at(service: rig.Replica) -> None:
    """With a revision, what has changed since is not deleted."""
    opened = await service.open("a.txt", "text\n")
    change = pb.CodeChange(name=service.parts.name("a.txt"), text="x")
    change.offset.CopyFrom(pb.OffsetRange(start=0, length=0))
    request = pb.SyncCodeRequest(instance_id="editor", changes=[change])
    await service.stub.SyncCode(request, metadata=service.metadata, timeout=20)
    refused = await rig.refusal(delete(service, revision=opened.revision))
    assert refused.code == "DOCUMENT_CHANGED"
    found = await service.get("a.txt")
    assert found.text == "xtext\n"
    await delete(service, revision=found.revision)
    assert await paths(service) == []


async def test_deleting_again(service: rig.Replica) -> None:
    """What is not there cannot be deleted."""
    refused = await rig.refusal(delete(service, "none.txt"))
    assert refused.code == "DOCUMENT_NOT_FOUND"


async def test_who_may(service: rig.Replica) -> None:
    """Viewers may not, and who may not use the namespace neither."""
    await service.open("a.txt", "text\n")
    for metadata in (
        service.as_user("eve", "viewer"),
        service.as_user("eve", namespaces=("elsewhere",)),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await delete(service, metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert (await service.get("a.txt")).text == "text\n"


async def test_a_replica_dies_half_way(parts: rig.Parts) -> None:
    """Deleted in the log and not in the database: whoever looks next finishes it."""
    async with rig.replica(parts) as one:
        first = await one.open("a.txt", "old\n")
    async with rig.replica(parts) as two:
        # What a replica does first; then it is killed.
        connection = await nats.connect(parts.stack.plan.nats_url)
        name = names.Name("default", parts.project, "a.txt")
        headers = {entry.EPOCH: first.epoch, entry.ORIGIN: "dead", entry.DELETED: "1"}
        await connection.jetstream().publish(name.subject(entry.SUBJECT), b"", headers=headers)
        await connection.close()
        again = await two.open("a.txt", "new\n")
        assert again.epoch != first.epoch
        assert (await two.get("a.txt")).text == "new\n"


async def test_many_delete_and_open(parts: rig.Parts) -> None:
    """However deletions and openings cross, one document is left, whole, or none."""
    async with rig.replica(parts) as one, rig.replica(parts) as two:

        async def work(replica: rig.Replica, number: int) -> None:
            for _ in range(5):
                try:
                    await replica.open("a.txt", f"text {number}\n")
                    await delete(replica)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in _CROSSED:
                        raise

        await asyncio.gather(*(work(each, n) for n, each in enumerate((one, two) * 3)))
        await one.open("a.txt", "last\n")
        texts = {(await each.get("a.txt")).text for each in (one, two)}
        assert len(texts) == 1
        (text,) = texts
        assert text.count("\n") == 1
