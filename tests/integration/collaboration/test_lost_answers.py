"""Requests whose answers were lost: who carries them out again, and who does not."""

import asyncio
import hashlib
import json
import time
import uuid

import nats
import pycrdt
import pytest
import redis.asyncio as redis
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb

from services.collaboration import entry, names, once, requests
from tests.integration.collaboration import rig


class Lost:
    """A request that a replica took, and died: nothing is known of it but its note."""

    def __init__(self, parts: rig.Parts) -> None:
        self._parts = parts
        self.request = pb.SyncCodeRequest(instance_id="fox", request_id=str(uuid.uuid4()))
        self.request.changes.add(name=parts.name("a.txt"), text="once").offset.SetInParent()
        self.key = hashlib.sha256(f"ada/{self.request.request_id}".encode()).hexdigest()

    async def noted(self) -> None:
        """Leave the note, as of long ago."""
        note = {"of": requests.fingerprint(self.request), "began": 0, "places": {}}
        async with redis.Redis.from_url(self._parts.stack.plan.redis_url) as client:
            await client.set(f"sync_request:{self.key}", json.dumps(note))

    async def stored(self, epoch: str, *parts: int) -> None:
        """Store some of the two parts of its edit, as of one that is large."""
        doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=7)
        doc.get("content", type=pycrdt.Text).insert(0, "once")
        update = doc.get_update()
        pieces = update[:5], update[5:]
        draft = entry.Draft(self.key, update, requests=(self.key,))
        name = names.Name("default", self._parts.project, "a.txt")
        connection = await nats.connect(self._parts.stack.plan.nats_url)
        for part in parts:
            await connection.jetstream().publish(
                name.subject(entry.SUBJECT),
                pieces[part],
                headers=entry.headers(draft, epoch, "another", part, 2),
            )
        await connection.close()

    async def again(self, service: rig.Replica) -> pb.SyncResult:
        """Send it again."""
        return await service.stub.SyncCode(self.request, metadata=service.metadata, timeout=20)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for an answer that another call may be about to give."""
    monkeypatch.setattr(once, "_WAIT", 0.0)


async def test_many_find_that_it_never_happened(parts: rig.Parts) -> None:
    """At the same moment, on two replicas: one of them makes the edit, the others do not."""
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        await one.open("a.txt", "")
        await two.get("a.txt")
        lost = Lost(parts)
        await lost.noted()
        tried = await asyncio.gather(
            *(lost.again((one, two)[number % 2]) for number in range(8)), return_exceptions=True
        )
        assert any(isinstance(answer, pb.SyncResult) for answer in tried)
        assert (await one.get("a.txt")).text == "once"
        await lost.again(two)
        assert (await two.get("a.txt")).text == "once"


@pytest.mark.parametrize("parts_stored", [(0,), (0, 1)])
async def test_an_edit_of_which_a_part_is_stored(
    service: rig.Replica, parts_stored: tuple[int, ...]
) -> None:
    """It never happened, and is made; with all its parts it did, and is not made again."""
    document = await service.open("a.txt", "")
    lost = Lost(service.parts)
    await lost.stored(document.epoch, *parts_stored)
    await lost.noted()
    answer = await lost.again(service)
    assert answer.results[0].HasField("applied") == (parts_stored == (0,))
    assert (await service.get("a.txt")).text == "once"


@pytest.mark.parametrize("anew", [False, True])
async def test_a_document_was_deleted_since(service: rig.Replica, *, anew: bool) -> None:
    """A kept answer is given again; a lost one would speak of a document that is gone."""
    name = service.parts.name("a.txt")
    first = await service.open("a.txt", "")
    lost = Lost(service.parts)
    answer = await lost.again(service)
    delete = pb.DeleteDocumentRequest(name=name)
    await service.stub.DeleteDocument(delete, metadata=service.metadata, timeout=20)
    if anew:
        await service.open("a.txt", "anew")
    again = await lost.again(service)
    assert again.results == answer.results
    key = f"{name.namespace}/{name.project}/{name.path}"
    await rig.forget_results(service.parts.stack, {key: first.epoch})
    detail = await rig.refusal(lost.again(service))
    assert detail.code == ("DOCUMENT_DELETED" if anew else "DOCUMENT_NOT_FOUND")
    if anew:
        assert (await service.get("a.txt")).text == "anew"


@pytest.mark.parametrize("others", [(), ("b.txt",)])
async def test_an_edit_that_changed_nothing_has_happened_too(
    service: rig.Replica, others: tuple[str, ...]
) -> None:
    """The log does not tell of it. It is not made again, upon what others did since."""
    parts = service.parts
    for path in ("a.txt", *others):
        await service.open(path, "hello")
    order = pb.SyncCodeRequest(
        instance_id="fox",
        request_id=str(uuid.uuid4()),
        conflict_resolution=pb.CONFLICT_RESOLUTION_REJECT,
    )
    nothing = order.changes.add(name=parts.name("a.txt"), base_revision=1)
    nothing.offset.start = 3
    for path in others:
        order.changes.add(name=parts.name(path), text="once", base_revision=1).offset.SetInParent()
    await service.stub.SyncCode(order, metadata=service.metadata, timeout=20)
    await rig.forget_results(parts.stack)
    since = pb.SyncCodeRequest(instance_id="fox")
    since.changes.add(name=parts.name("a.txt"), text="x").offset.length = 5
    await service.stub.SyncCode(since, metadata=service.metadata, timeout=20)
    # As if it had begun just now: nobody may be sure yet that what is not stored never will be.
    async with redis.Redis.from_url(parts.stack.plan.redis_url) as client:
        key = f"sync_request:{hashlib.sha256(f'ada/{order.request_id}'.encode()).hexdigest()}"
        note = json.loads(await client.get(key))
        await client.set(key, json.dumps({**note, "began": time.time()}))
    done = await service.stub.SyncCode(order, metadata=service.metadata, timeout=20)
    assert [one.name.path for one in done.results] == ["a.txt", *others]
    assert (await service.get("a.txt")).text == "x"
    for path in others:
        assert (await service.get(path)).text == "oncehello"
