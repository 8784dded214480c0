"""SyncCode: plain-text edits, rebased over what came since."""

import asyncio
import hashlib
import json
import random
import time
import uuid
from typing import Any

import grpc
import nats
import pycrdt
import pytest
import redis.asyncio as redis
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from codestudio.collaboration.v1 import document_pb2
from nats.aio.client import Client

from services.chassis import cancellation
from services.collaboration import entry, history, names, requests, ywire
from services.collaboration.log import NAME
from services.collaboration.rebase import Splice
from services.collaboration.replica import Replica
from services.collaboration.room import Room
from services.collaboration.subscriber import Promise
from tests.integration.collaboration import rig

REJECT = pb.CONFLICT_RESOLUTION_REJECT
UTF16 = document_pb2.OFFSET_UNIT_UTF16


def at(path: str, start: int, length: int, text: str, base: int = 0) -> dict[str, Any]:
    """Return a change by offset."""
    return {
        "path": path,
        "offset": pb.OffsetRange(start=start, length=length),
        "text": text,
        "base_revision": base,
    }


def between(
    path: str, start: tuple[int, int], end: tuple[int, int], text: str, base: int = 0
) -> dict[str, Any]:
    """Return a change by line and column."""
    places = [pb.Position(line=line, column=column) for line, column in (start, end)]
    return {
        "path": path,
        "range": pb.Range(start=places[0], end=places[1]),
        "text": text,
        "base_revision": base,
    }


async def sync(
    service: rig.Replica, *changes: dict[str, Any], metadata: Any = None, **over: Any
) -> pb.SyncResult:
    """Make edits."""
    request = pb.SyncCodeRequest(
        instance_id="fox",
        changes=[pb.CodeChange(name=service.parts.name(one.pop("path")), **one) for one in changes],
        **over,
    )
    return await service.stub.SyncCode(request, metadata=metadata or service.metadata, timeout=20)


async def test_edits_of_one_request_refer_to_one_text(service: rig.Replica) -> None:
    """Several edits, by line and by offset, in code points and in UTF-16."""
    await service.open("a.txt", "eins 🙂 zwei\r\ndrei\n")
    done = await sync(
        service,
        between("a.txt", (1, 0), (1, 4), "DREI"),
        at("a.txt", 0, 4, "EINS!"),
        at("a.txt", 7, 4, "ZWEI"),
    )
    assert (await service.get("a.txt")).text == "EINS! 🙂 ZWEI\r\nDREI\n"
    assert [(one.applied.start, one.applied.length) for one in done.results] == [
        (14, 4),
        (0, 5),
        (8, 4),
    ]
    assert {one.revision for one in done.results} == {2}
    assert not any(one.rebased for one in done.results)
    done = await sync(service, at("a.txt", 9, 4, "x"), unit=UTF16)
    assert (await service.get("a.txt")).text == "EINS! 🙂 x\r\nDREI\n"
    assert done.results[0].applied.start == 9


async def test_rebase(service: rig.Replica) -> None:
    """An edit of an old revision is carried over what came since."""
    await service.open("a.txt", "hello world\n")
    async with service.editor("a.txt", user="bob") as bob:
        bob.insert(0, "🙂🙂 ")
        bob.delete(len(bob.text) - 1, 1)
        await bob.stored()
        done = await sync(service, at("a.txt", 6, 5, "there", base=1))
        assert done.results[0].rebased
        assert done.results[0].applied.start == 9
        await bob.until(lambda: bob.text == "🙂🙂 hello there")
        assert (await service.get("a.txt")).revision == done.results[0].revision


async def test_who_waits_for_each_answer_waits_for_no_tick(parts: rig.Parts) -> None:
    """It gathers what comes together: alone, an edit is stored at once."""
    async with rig.replica(parts, log_tick=1.0) as service:
        await service.open("a.txt", "")
        started = time.monotonic()
        for _ in range(10):
            done = await sync(service, at("a.txt", 0, 0, "x"))
        assert time.monotonic() - started < 5
        assert done.results[0].revision == 11


async def test_reject(service: rig.Replica) -> None:
    """Where others changed the same place, a client may have its edit refused."""
    await service.open("a.txt", "hello world\n")
    await sync(service, at("a.txt", 0, 5, "HELLO"))
    detail = await rig.refusal(
        sync(service, at("a.txt", 3, 4, "x", base=1), conflict_resolution=REJECT)
    )
    assert (detail.code, detail.metadata["revision"]) == ("CONFLICT", "2")
    done = await sync(service, at("a.txt", 6, 5, "x", base=1), conflict_resolution=REJECT)
    assert done.results[0].rebased
    assert (await service.get("a.txt")).text == "HELLO x\n"


async def test_all_or_nothing(service: rig.Replica) -> None:
    """One edit that cannot be leaves every document as it is; each mistake is named."""
    await service.open("a.txt", "a🙂\n")
    await service.open("b.txt", "b\n")
    detail = await rig.refusal(
        sync(
            service,
            at("a.txt", 0, 1, "x"),
            at("b.txt", 9, 0, "x"),
            between("a.txt", (7, 0), (0, 9), "x"),
            at("a.txt", 2, 0, "x"),
            unit=UTF16,
        )
    )
    assert [one.field for one in detail.violations] == [
        "changes[2].range.start",
        "changes[2].range.end",
        "changes[3].offset.start",
        "changes[1].offset.start",
    ]
    detail = await rig.refusal(sync(service, at("a.txt", 0, 1, "x"), at("none.txt", 0, 0, "x")))
    assert detail.code == "DOCUMENT_NOT_FOUND"
    detail = await rig.refusal(sync(service, at("a.txt", 0, 2, "x"), at("a.txt", 1, 1, "y")))
    assert [one.field for one in detail.violations] == ["changes[1]"]
    assert (await service.get("a.txt")).text == "a🙂\n"
    assert (await service.get("b.txt")).text == "b\n"


async def test_all_or_nothing_is_stored(parts: rig.Parts) -> None:
    """Where the edits of one document cannot be stored, those of no other are, for nobody."""
    connection = await nats.connect(parts.stack.plan.nats_url)
    jetstream = connection.jetstream()
    async with connection, rig.replica(parts, log_give_up=0.5) as one, rig.replica(parts) as two:
        for path in ("a.txt", "b.txt"):
            await one.open(path, "")
        order = at("a.txt", 0, 0, "a"), at("b.txt", 0, 0, "b" * 100_000)
        request_id = str(uuid.uuid4())
        config = (await jetstream.stream_info(NAME)).config
        await jetstream.update_stream(config, max_msg_size=50_000)
        try:
            async with two.editor("a.txt") as ada:
                detail = await rig.refusal(sync(one, *map(dict, order), request_id=request_id))
                assert detail.code == "NATS_UNAVAILABLE"
                # Stored behind it: what came before would be here too.
                ada.insert(0, "x")
                await ada.stored()
        finally:
            await jetstream.update_stream(config, max_msg_size=-1)
        for replica in (one, two):
            assert (await replica.get("a.txt")).text == "x"
            assert (await replica.get("b.txt")).text == ""
        done = await sync(one, *map(dict, order))
        assert [found.applied.length for found in done.results] == [1, 100_000]
        for replica in (one, two):
            async with asyncio.timeout(10):
                while (await replica.get("b.txt")).text != "b" * 100_000:
                    await asyncio.sleep(0.01)
            assert (await replica.get("a.txt")).text == "ax"


async def test_orders_of_several_documents_at_once(parts: rig.Parts) -> None:
    """They wait for each other without end nowhere, each happens, and no editor loses a letter."""
    async with (
        rig.replica(parts) as one,
        rig.replica(parts) as two,
    ):
        paths = ["a.txt", "b.txt", "c.txt"]
        for path in paths:
            await one.open(path, "")
        async with one.editor("a.txt") as ada:
            orders = []
            for number in range(30):
                some = random.sample(paths, 2)
                replica = random.choice((one, two))
                changes = [at(path, 0, 0, f"<{number}>") for path in some]
                orders.append(asyncio.ensure_future(sync(replica, *changes)))
                ada.insert(len(ada.text), ".")
                await asyncio.sleep(0.003)
            await asyncio.gather(*orders)
            await ada.stored()
        texts = [(await one.get(path)).text for path in paths]
        for number in range(30):
            assert sum(text.count(f"<{number}>") for text in texts) == 2
            assert max(text.count(f"<{number}>") for text in texts) == 1
        assert texts[0].count(".") == 30
        # Whatever the number of orders, each replica wrote as one client beside the editor.
        state = (await one.get("a.txt", include_state=True)).state
        doc = history.replay(state, [])
        assert len(ywire.read_state_vector(doc.get_state())) <= 4


async def test_others_have_a_turn_between_two_documents_of_an_order(
    service: rig.Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many documents are replayed for it, nobody waits for more than one of them."""
    paths = [f"{number}.txt" for number in range(5)]
    for path in paths:
        await service.open(path, "")
    turns = 0
    seen = []
    fork = Room.fork

    def counted(room: Room) -> Replica:
        seen.append(turns)
        return fork(room)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(Room, "fork", counted)
    other = asyncio.create_task(others())
    await sync(service, *(at(path, 0, 0, "x") for path in paths))
    await cancellation.cancel([other], grace=5.0)
    assert len(set(seen)) == len(paths)


async def test_what_changes_during_an_order_is_no_less_a_conflict(
    service: rig.Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that others change while the next is replayed is looked at again."""
    for path in ("a.txt", "b.txt"):
        await service.open(path, "hello")
    forked: list[Room] = []
    fork = Room.fork

    def changed(room: Room) -> Replica:
        if forked:
            forked[0].edit([Splice(0, 5, "bye")], entry.Author("bob", "Bob"), Promise())
        forked.append(room)
        return fork(room)

    monkeypatch.setattr(Room, "fork", changed)
    order = at("a.txt", 2, 2, "x", base=1), at("b.txt", 2, 2, "x", base=1)
    detail = await rig.refusal(sync(service, *map(dict, order), conflict_resolution=REJECT))
    assert (detail.code, detail.metadata["path"]) == ("CONFLICT", "a.txt")
    assert (await service.get("b.txt")).text == "hello"


async def test_bases(service: rig.Replica) -> None:
    """A base that is not there yet is an error, and so are two bases of one document."""
    await service.open("a.txt", "a\n")
    detail = await rig.refusal(sync(service, at("a.txt", 0, 0, "x", base=5)))
    assert [one.field for one in detail.violations] == ["changes[0].base_revision"]
    await sync(service, at("a.txt", 0, 0, "x"))
    detail = await rig.refusal(
        sync(service, at("a.txt", 0, 0, "x", base=1), at("a.txt", 1, 0, "x", base=2))
    )
    assert [one.field for one in detail.violations] == ["changes[1].base_revision"]


async def test_a_base_of_another_epoch(service: rig.Replica) -> None:
    """A revision of a document that was begun anew says nothing of the one that is there now."""
    epoch = (await service.open("a.txt", "of the one")).epoch
    await service.open("b.txt", "beside")
    await sync(service, {**at("a.txt", 0, 0, "x", base=1), "epoch": epoch})
    delete = pb.DeleteDocumentRequest(name=service.parts.name("a.txt"))
    await service.stub.DeleteDocument(delete, metadata=service.as_user(), timeout=20)
    now = (await service.open("a.txt", "of the other")).epoch
    for base in (0, 1, 2):
        old = {**at("a.txt", 0, 3, "", base), "epoch": epoch}
        for changes in ([old], [at("b.txt", 0, 0, "x"), old]):
            detail = await rig.refusal(sync(service, *map(dict, changes)))
            assert (detail.code, detail.metadata["epoch"]) == ("EPOCH_MISMATCH", now)
            assert detail.metadata["path"] == "a.txt"
    both = at("a.txt", 0, 1, ""), {**at("a.txt", 1, 1, ""), "epoch": now}
    detail = await rig.refusal(sync(service, *map(dict, both)))
    assert [one.field for one in detail.violations] == ["changes[1].epoch"]
    await sync(service, {**at("a.txt", 0, 2, "", base=1), "epoch": now})
    assert (await service.get("a.txt")).text == " the other"
    assert (await service.get("b.txt")).text == "beside"


async def test_a_base_that_is_forgotten(parts: rig.Parts) -> None:
    """When nobody knows any more what came since, the client is told to read again."""
    async with rig.replica(parts, snapshot_entries=2, quiet_seconds=60) as service:
        await service.open("a.txt", "")
        for number in range(8):
            await sync(service, at("a.txt", 0, 0, str(number)))
            await asyncio.sleep(0.3)

        async def forgotten() -> bool:
            try:
                await sync(service, at("a.txt", 0, 0, "x", base=1))
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.ABORTED
            return False

        async with asyncio.timeout(20):
            while not await forgotten():
                await asyncio.sleep(0.5)


async def test_a_repeated_request_happens_once(parts: rig.Parts) -> None:
    """Whoever is asked again, at the same time or later, on any replica, gives the same answer."""
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        await one.open("a.txt", "")
        request_id = str(uuid.uuid4())
        done = await asyncio.gather(
            *(
                sync(replica, at("a.txt", 0, 0, "once"), request_id=request_id)
                for replica in (one, two) * 3
            )
        )
        assert len({answer.results[0].SerializeToString() for answer in done}) == 1
        assert (await one.get("a.txt")).text == "once"
        detail = await rig.refusal(sync(two, at("a.txt", 0, 0, "other"), request_id=request_id))
        assert detail.code == "REQUEST_ID_REUSED"
        # One that was refused did not happen, and may be tried again.
        request_id = str(uuid.uuid4())
        await rig.refusal(sync(one, at("b.txt", 0, 0, "b"), request_id=request_id))
        await one.open("b.txt", "")
        await sync(one, at("b.txt", 0, 0, "b"), request_id=request_id)


async def test_an_answer_that_was_lost(parts: rig.Parts) -> None:
    """A request that happened, and whose answer nobody knows, is found in the log."""
    async with rig.replica(parts) as service:
        await service.open("a.txt", "")
        request_id = str(uuid.uuid4())
        first = await sync(service, at("a.txt", 0, 0, "once"), request_id=request_id)
        await rig.forget_results(parts.stack)
        again = await sync(service, at("a.txt", 0, 0, "once"), request_id=request_id)
        assert again.results[0].revision == first.results[0].revision
        assert not again.results[0].HasField("applied")
        assert (await service.get("a.txt")).text == "once"


async def test_a_lost_answer_of_which_the_log_has_nothing_any_more(parts: rig.Parts) -> None:
    """That it happened is known beyond the log; where nobody can know, nothing is done again."""
    async with rig.replica(parts, snapshot_entries=1, quiet_seconds=0.1) as service:
        await service.open("a.txt", "")
        request_id = str(uuid.uuid4())
        key = hashlib.sha256(f"ada/{request_id}".encode()).hexdigest()
        once = pb.SyncCodeRequest(instance_id="fox", request_id=request_id)
        once.changes.add(name=parts.name("a.txt"), text="once").offset.SetInParent()
        client = redis.Redis.from_url(parts.stack.plan.redis_url)
        connection = await nats.connect(parts.stack.plan.nats_url)
        async with client, connection:
            # As if its replica had died between the edit and the answer.
            note = {"of": requests.fingerprint(once), "began": time.time(), "places": {}}
            await client.set(f"sync_request:{key}", json.dumps(note))
            entry_of_it = {entry.EPOCH: (await service.get("a.txt")).epoch, entry.REQUESTS: key}
            subject = names.Name("default", parts.project, "a.txt").subject(entry.SUBJECT)
            stored = await connection.jetstream().publish(
                subject, update_of("once"), headers=entry_of_it
            )
            async with asyncio.timeout(20):
                while await oldest(connection, subject) <= stored.seq:
                    await sync(service, at("a.txt", 0, 0, "."))
                    await asyncio.sleep(0.2)
            note["began"] = 0
            await client.set(f"sync_request:{key}", json.dumps(note))
            done = await service.stub.SyncCode(once, metadata=service.metadata, timeout=20)
            assert done.results[0].revision > 1
            assert (await service.get("a.txt")).text.count("once") == 1

            other = pb.SyncCodeRequest(instance_id="fox", request_id=str(uuid.uuid4()))
            other.changes.add(name=parts.name("a.txt"), text="twice").offset.SetInParent()
            note = {"of": requests.fingerprint(other), "began": 0, "places": {}, "stream": "lost"}
            key = hashlib.sha256(f"ada/{other.request_id}".encode()).hexdigest()
            await client.set(f"sync_request:{key}", json.dumps(note))
            detail = await rig.refusal(
                service.stub.SyncCode(other, metadata=service.metadata, timeout=20)
            )
            assert detail.code == "OUTCOME_UNKNOWN"
            assert detail.metadata["request_id"] == other.request_id
            assert "twice" not in (await service.get("a.txt")).text


def update_of(inserted: str) -> bytes:
    """Return an edit of a client of its own, as a Yjs update."""
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    doc.get("content", type=pycrdt.Text).insert(0, inserted)
    return doc.get_update()


async def oldest(connection: Client, subject: str) -> int:
    """Return the place of a document's oldest entry in the log."""
    found = await connection.jetstream().get_msg(NAME, seq=1, subject=subject, next=True)
    return found.seq or 0


async def test_an_order_that_was_half_stored(parts: rig.Parts) -> None:
    """What is in the log is not made again; the rest is, and only then it is a success."""
    async with rig.replica(parts) as service:
        ada = service.as_user("ada,lovelace")
        for path in ("a.txt", "b.txt"):
            await service.open(path, "")
        request_id = str(uuid.uuid4())
        await sync(service, at("a.txt", 0, 0, "a"), request_id=request_id, metadata=ada)
        whole = pb.SyncCodeRequest(instance_id="fox", request_id=request_id)
        for path, text in (("b.txt", "b"), ("a.txt", "a")):
            change = whole.changes.add(name=parts.name(path), text=text)
            change.offset.SetInParent()
        # As if its replica had died between the two documents.
        key = hashlib.sha256(f"ada,lovelace/{request_id}".encode()).hexdigest()
        note = {"of": requests.fingerprint(whole), "began": 0, "places": {}}
        async with redis.Redis.from_url(parts.stack.plan.redis_url) as client:
            await client.set(f"sync_request:{key}", json.dumps(note))
        for _ in range(2):
            done = await service.stub.SyncCode(whole, metadata=ada, timeout=20)
            assert [one.name.path for one in done.results] == ["b.txt", "a.txt"]
            assert all(one.revision > 0 for one in done.results)
            assert (await service.get("a.txt")).text == "a"
            assert (await service.get("b.txt")).text == "b"


async def test_a_revision_another_replica_told(parts: rig.Parts) -> None:
    """A base is known on every replica, however new it is."""
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        await one.open("a.txt", "")
        base = 1
        for number in range(30):
            replica = (one, two)[number % 2]
            done = await sync(replica, at("a.txt", number, 0, "x", base=base))
            base = done.results[0].revision
        assert (await two.get("a.txt")).text == "x" * 30


async def test_who_may(service: rig.Replica) -> None:
    """Viewers edit nothing, and nobody edits in another namespace."""
    await service.open("a.txt", "")
    viewer = service.as_user("vic", "viewer")
    detail = await rig.refusal(sync(service, at("a.txt", 0, 0, "x"), metadata=viewer))
    assert detail.code == "PERMISSION_DENIED"
    stranger = service.as_user("eve", namespaces=("other",))
    detail = await rig.refusal(sync(service, at("a.txt", 0, 0, "x"), metadata=stranger))
    assert detail.code == "NAMESPACE_DENIED"
