"""Documents as they are used: a large one, recorded sessions, a second replica."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

import grpc
import psutil
import pycrdt
from codestudio.collaboration.v1 import (
    collaborate_pb2,
    collaboration_service_pb2,
    collaboration_service_pb2_grpc,
    document_pb2,
)

from services.devstack.layout import REPOSITORY
from tests.bench import fanout, load
from tests.bench.figures import milliseconds
from tests.bench.target import Target

DATA = REPOSITORY.parent / "shared" / "data"
_OPTIONS = (("grpc.max_receive_message_length", 80 * 2**20), ("grpc.use_local_subchannel_pool", 1))

_SECONDS = 10
_MEGABYTE = "0123456789abcde\n" * 65536


async def measure(target: Target) -> dict[str, Any]:
    """Measure all of it."""
    found: dict[str, Any] = {}
    found["join of a document of 1 MB"] = await join(target)
    found["replay of rustcode"] = await replay(target)
    found["a second replica"] = await second_replica(target)
    found["by y-websocket's protocol"] = await beside(target)
    return found


class _Client:
    """One stream with one document."""

    def __init__(self, target: Target, name: document_pb2.DocumentName, program: str) -> None:
        port = target.stack.plan.ports.web(program)
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)
        self._stub = collaboration_service_pb2_grpc.CollaborationServiceStub(self._channel)
        self._queue: asyncio.Queue[collaborate_pb2.CollaborateRequest] = asyncio.Queue()
        self.call: Any = self._stub.Collaborate(self._requests(), metadata=target.metadata)
        self.acked = asyncio.Event()
        self.sent = 0
        self._queue.put_nowait(
            collaborate_pb2.CollaborateRequest(channel=1, join=collaborate_pb2.Join(name=name))
        )

    async def _requests(self):  # type: ignore[no-untyped-def]
        while True:
            yield await self._queue.get()

    def send(self, update: bytes) -> None:
        """Send edits."""
        self.sent += 1
        message = collaborate_pb2.Update(update=update, sequence=self.sent)
        self._queue.put_nowait(collaborate_pb2.CollaborateRequest(channel=1, update=message))

    async def close(self) -> None:
        """Close the stream."""
        self.call.cancel()
        await self._channel.close()


def _name(path: str = "a.txt") -> document_pb2.DocumentName:
    return document_pb2.DocumentName(project=f"bench-{uuid.uuid4().hex[:8]}", path=path)


def _stub(target: Target, program: str = "collaboration") -> tuple[grpc.aio.Channel, Any]:
    port = target.stack.plan.ports[program]
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)
    return channel, collaboration_service_pb2_grpc.CollaborationServiceStub(channel)


async def _open(target: Target, name: document_pb2.DocumentName, content: str = "") -> None:
    channel, stub = _stub(target)
    request = collaboration_service_pb2.OpenDocumentRequest(name=name, initial_content=content)
    await stub.OpenDocument(request, metadata=target.metadata, timeout=30)
    await channel.close()


async def join(target: Target) -> dict[str, Any]:
    """Measure how long it takes to have a document of a megabyte, loaded there or not."""
    name = _name()
    await _open(target, name, _MEGABYTE)
    found = {}
    for label, program in (("loaded", "collaboration"), ("first on a replica", "collaboration-2")):
        times = []
        for _ in range(1 if program.endswith("2") else 10):
            started = time.perf_counter()
            client = _Client(target, name, program)
            answer = await client.call.read()
            times.append(time.perf_counter() - started)
            assert answer.WhichOneof("message") == "joined", answer
            await client.close()
        found[label] = milliseconds(times)
    return found


def _there(name: str) -> bool:
    return (DATA / f"{name}.json.gz").exists()


def _recording(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress((DATA / f"{name}.json.gz").read_bytes()))
    return found


async def replay(target: Target) -> dict[str, Any]:
    """Measure how fast a recorded session of one writer goes in, by both ways."""
    if not _there("rustcode"):
        return {"skipped": "the recordings are not there"}
    recording = _recording("rustcode")
    patches = [one for txn in recording["txns"] for one in txn["patches"]]
    return {
        "edits": len(patches),
        "SyncCode, one edit a call": await _by_sync_code(target, recording, patches[:3000]),
        "Collaborate": await _by_collaborate(target, recording, patches),
    }


async def _by_sync_code(
    target: Target, recording: dict[str, Any], patches: Sequence[Any]
) -> dict[str, Any]:
    """Make one edit after the other: each refers to the text with the one before."""
    name = _name()
    await _open(target, name, recording.get("startContent", ""))
    channel, stub = _stub(target)
    started = time.perf_counter()
    for at, deleted, inserted in patches:
        change = collaboration_service_pb2.CodeChange(name=name, text=inserted)
        change.offset.start, change.offset.length = at, deleted
        request = collaboration_service_pb2.SyncCodeRequest(instance_id="bench", changes=[change])
        await stub.SyncCode(request, metadata=target.metadata, timeout=30)
    seconds = time.perf_counter() - started
    await channel.close()
    return {"edits_per_second": round(len(patches) / seconds), "seconds": round(seconds, 1)}


async def _by_collaborate(
    target: Target, recording: dict[str, Any], patches: Sequence[Any]
) -> dict[str, Any]:
    name = _name()
    await _open(target, name, recording.get("startContent", ""))
    client = _Client(target, name, "collaboration")
    answer = await client.call.read()
    doc: pycrdt.Doc = pycrdt.Doc()
    doc.apply_update(answer.joined.update)
    made = _made(doc, patches)
    assert str(doc.get("content", type=pycrdt.Text)) == recording["endContent"]
    started = time.perf_counter()
    for number, update in enumerate(made):
        client.send(update)
        if number % 100 == 0:
            await asyncio.sleep(0)
    while True:
        answer = await client.call.read()
        if answer.ack.sequence >= client.sent:
            break
    seconds = time.perf_counter() - started
    await client.close()
    channel, stub = _stub(target, "collaboration-2")
    request = collaboration_service_pb2.GetDocumentRequest(name=name)
    kept = await stub.GetDocument(request, metadata=target.metadata, timeout=30)
    await channel.close()
    assert kept.text == recording["endContent"]
    return {
        "edits_per_second": round(len(made) / seconds),
        "seconds_until_all_is_stored": round(seconds, 1),
    }


def _made(doc: pycrdt.Doc, patches: Sequence[Any]) -> list[bytes]:
    """Make a recording's edits in a document; gives them as updates."""
    text = doc.get("content", type=pycrdt.Text)
    made: list[bytes] = []
    subscription = doc.observe(lambda event: made.append(event.update))
    for at, deleted, inserted in patches:
        before = str(text)
        start = len(before[:at].encode())
        with doc.transaction():
            if deleted:
                del text[start : start + len(before[at : at + deleted].encode())]
            if inserted:
                text.insert(start, inserted)
    doc.unobserve(subscription)
    return made


async def beside(target: Target) -> dict[str, Any]:
    """Measure a join and a replay by y-websocket's protocol, on the product and on others."""
    found: dict[str, Any] = {}
    for name, start in fanout.SERVERS.items():
        with start(target) as server:
            if server.kind == "collaborate":
                continue
            found[name] = {"join of a document of 1 MB": await _join_by_socket(server)}
            if _there("rustcode"):
                found[name]["replay of rustcode"] = await _replay_by_socket(server)
    return found


def _room() -> str:
    return f"default/bench-{uuid.uuid4().hex[:8]}/a.txt"


async def _join_by_socket(server: fanout.Server) -> dict[str, Any]:
    """Measure how long it takes from connecting until all of a document is there."""
    room = _room()
    doc: pycrdt.Doc = pycrdt.Doc()
    doc.get("content", type=pycrdt.Text).insert(0, _MEGABYTE)
    writer = await load.websocket(server.plan, room, None)
    writer(doc.get_update())
    times = []
    for _ in range(11):
        whole = asyncio.Event()

        def take(message: bytes, whole: asyncio.Event = whole) -> None:
            if len(message) > len(_MEGABYTE):
                whole.set()

        started = time.perf_counter()
        await load.websocket(server.plan, room, take)
        await asyncio.wait_for(whole.wait(), 60)
        times.append(time.perf_counter() - started)
    # The first came while the document was still on its way in.
    return milliseconds(times[1:])


async def _replay_by_socket(server: fanout.Server) -> dict[str, Any]:
    """Measure how long it takes until another client has all of a recorded session."""
    room = _room()
    patches = [one for txn in _recording("rustcode")["txns"] for one in txn["patches"]]
    end = "<end of the session>"
    made = _made(pycrdt.Doc(), [*patches, (0, 0, end)])
    done = asyncio.Event()

    def take(message: bytes) -> None:
        if end.encode() in message:
            done.set()

    await load.websocket(server.plan, room, take)
    writer = await load.websocket(server.plan, room, None)
    started = time.perf_counter()
    for number, update in enumerate(made):
        writer(update)
        if number % 100 == 0:
            await asyncio.sleep(0)
    await asyncio.wait_for(done.wait(), 600)
    seconds = time.perf_counter() - started
    return {"edits_per_second": round(len(made) / seconds), "seconds": round(seconds, 1)}


async def second_replica(target: Target) -> dict[str, Any]:
    """Measure what edits on one replica cost another, that has the document or has not."""
    found = {}
    for label, joined in (("document not open there", False), ("open there, one client", True)):
        name = _name()
        await _open(target, name)
        writer = _Client(target, name, "collaboration")
        await writer.call.read()
        other = _Client(target, name, "collaboration-2") if joined else None
        doc: pycrdt.Doc = pycrdt.Doc()
        text = doc.get("content", type=pycrdt.Text)
        subscription = doc.observe(lambda event, to=writer: to.send(event.update))
        pids = [target.stack.pid(one) for one in ("collaboration", "collaboration-2")]
        before = [sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids]
        started = time.perf_counter()
        while time.perf_counter() - started < _SECONDS:
            text.insert(len(text), "x")
            await asyncio.sleep(0.005)
        spent = [
            sum(psutil.Process(pid).cpu_times()[:2]) - was
            for pid, was in zip(pids, before, strict=True)
        ]
        doc.unobserve(subscription)
        found[label] = {
            "edits_per_second": round(writer.sent / _SECONDS),
            "cores_of_the_first": round(spent[0] / _SECONDS, 3),
            "cores_of_the_second": round(spent[1] / _SECONDS, 3),
        }
        await writer.close()
        if other is not None:
            await other.close()
    return found
