"""The load of one room: clients that type and clients that listen, on one of three protocols.

python -m tests.bench.load '{"kind": "yjs", "url": …, "clients": 50, …}' prints what was measured.

It runs in a process of its own, so that what it costs is not the server's. Every edit carries a
number; a frame is searched for numbers as bytes, whatever was merged into it. Of WebSockets only
a few are searched, the others are read and thrown away: at a hundred thousand deliveries a second
the load would otherwise be the bottleneck.
"""

import asyncio
import contextlib
import heapq
import json
import os
import random
import re
import struct
import sys
import time
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any, cast

import grpc
import psutil
import pycrdt
from codestudio.collaboration.v1 import collaborate_pb2, document_pb2

_NUMBER = re.compile(rb"<(\d{7})>")
_SEARCHED = 10
"""WebSocket clients whose frames are searched."""
_WARM_UP = 2.0
_LAST = 3.0
"""Seconds to wait at the end for what is still under way."""


class Measure:
    """What was sent when, and how long each edit took to each client."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.latencies: list[float] = []
        self.begun_at = 0.0
        self.ends_at = float("inf")
        self.frames = 0

    def next(self) -> bytes:
        """Give the text of the next edit."""
        self.sent.append(time.perf_counter())
        return b"<%07d>" % (len(self.sent) - 1)

    def received(self, frame: bytes) -> None:
        """Take note of a frame."""
        now = time.perf_counter()
        if self.begun_at <= now < self.ends_at:
            self.frames += 1
        for number in _NUMBER.findall(frame):
            sent = self.sent[int(number)]
            if self.begun_at <= sent < self.ends_at:
                self.latencies.append(now - sent)


class Typist:
    """Makes edits of one client."""

    def __init__(self, measure: Measure, send: Callable[[bytes], None]) -> None:
        self._measure = measure
        self._doc: pycrdt.Doc = pycrdt.Doc(client_id=random.getrandbits(50) + 1)
        self._text = self._doc.get("content", type=pycrdt.Text)
        self._length = 0
        self._subscription = self._doc.observe(lambda event: send(event.update))

    def type(self) -> None:
        """Make an edit; it goes out at once."""
        text = self._measure.next().decode()
        self._text.insert(self._length, text)
        self._length += len(text)


class Socket(asyncio.Protocol):
    """A WebSocket, no more of it than the load needs."""

    def __init__(self, request: bytes, frame: Callable[[bytes], None] | None) -> None:
        self._request = request
        self._frame = frame
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.open = asyncio.get_running_loop().create_future()
        self.first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is of a class of its own.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.open.done():
            self._buffer += data
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.open.set_exception(ConnectionError(head[:200].decode()))
                return
            self.open.set_result(None)
            self._buffer, data = b"", rest
        if self._frame is None:
            return
        self._buffer += data
        while True:
            frame, self._buffer = _take(self._buffer)
            if frame is None:
                return
            self._frame(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.open.done():
            self.open.set_exception(exc or ConnectionError("closed"))

    def send(self, message: bytes) -> None:
        """Send a message; masked with zeros, which leaves it as it is."""
        length = len(message)
        if length < 126:
            head = struct.pack("!BB", 0x82, 0x80 | length)
        elif length < 65536:
            head = struct.pack("!BBH", 0x82, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x82, 0x80 | 127, length)
        assert self._transport is not None
        self._transport.write(head + b"\0\0\0\0" + message)


def _take(buffer: bytes) -> tuple[bytes | None, bytes]:
    if len(buffer) < 2:
        return None, buffer
    length, at = buffer[1] & 0x7F, 2
    if length == 126:
        if len(buffer) < 4:
            return None, buffer
        length, at = int.from_bytes(buffer[2:4]), 4
    elif length == 127:
        if len(buffer) < 10:
            return None, buffer
        length, at = int.from_bytes(buffer[2:10]), 10
    if len(buffer) < at + length:
        return None, buffer
    return buffer[at : at + length], buffer[at + length :]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _sized(content: bytes) -> bytes:
    return _varint(len(content)) + content


async def websockets(plan: dict[str, Any], measure: Measure) -> list[Typist]:
    """Connect all clients by WebSocket; gives those that type."""
    url = urllib.parse.urlsplit(plan["url"])
    target = url.path + (f"?{url.query}" if url.query else "")
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    # Hocuspocus names the document in every message, and wants to hear a token first.
    room = _sized(plan["room"].encode()) if plan["kind"] == "hocuspocus" else b""
    loop = asyncio.get_running_loop()
    typists = []
    for number in range(plan["clients"]):
        searched = number % max(1, plan["clients"] // _SEARCHED) == 0
        _, socket = await loop.create_connection(
            lambda searched=searched: Socket(request, measure.received if searched else None),
            url.hostname,
            url.port,
        )
        await socket.open
        if room:
            socket.send(room + b"\x02\x00" + _sized(b"token"))
        socket.send(room + b"\x00\x00\x01\x00")
        if number < plan["typing"]:
            typists.append(
                Typist(
                    measure,
                    lambda update, socket=socket: socket.send(room + b"\x00\x02" + _sized(update)),
                )
            )
    plan["searched"] = len(range(0, plan["clients"], max(1, plan["clients"] // _SEARCHED)))
    return typists


async def streams(
    plan: dict[str, Any], measure: Measure, stack: contextlib.AsyncExitStack
) -> list[Typist]:
    """Connect all clients by Collaborate; gives those that type."""
    namespace, project, path = plan["room"].split("/", 2)
    name = document_pb2.DocumentName(namespace=namespace, project=project, path=path)
    metadata = (("authorization", f"Bearer {plan['token']}"),)
    join = collaborate_pb2.CollaborateRequest(
        channel=1, join=collaborate_pb2.Join(name=name)
    ).SerializeToString()
    typists = []
    for number in range(plan["clients"]):
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(plan["url"], options=[("grpc.use_local_subchannel_pool", 1)])
        )
        call = channel.stream_stream(
            "/codestudio.collaboration.v1.CollaborationService/Collaborate"
        )
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        stream = call(_requests(queue), metadata=metadata)
        queue.put_nowait(join)
        await stream.read()
        reading = asyncio.create_task(_receive(stream, measure))
        stack.callback(reading.cancel)
        if number < plan["typing"]:
            typists.append(Typist(measure, _sender(queue)))
    plan["searched"] = plan["clients"]
    return typists


def _sender(queue: asyncio.Queue[bytes]) -> Callable[[bytes], None]:
    count = 0

    def send(update: bytes) -> None:
        nonlocal count
        count += 1
        message = collaborate_pb2.Update(update=update, sequence=count)
        request = collaborate_pb2.CollaborateRequest(channel=1, update=message)
        queue.put_nowait(request.SerializeToString())

    return send


async def _requests(queue: asyncio.Queue[bytes]):  # type: ignore[no-untyped-def]
    while True:
        yield await queue.get()


async def _receive(stream: Any, measure: Measure) -> None:
    while (frame := await stream.read()) is not grpc.aio.EOF:
        measure.received(frame)


async def _type(typists: Sequence[Typist], rate: float, until: float) -> None:
    """Have everybody type, at random moments of their own, until a time."""
    some = random.Random(1)
    due = [(time.perf_counter() + some.uniform(0, 1 / rate), n) for n in range(len(typists))]
    heapq.heapify(due)
    while True:
        moment, number = due[0]
        now = time.perf_counter()
        if now >= until:
            return
        if moment > now:
            await asyncio.sleep(moment - now)
            continue
        typists[number].type()
        heapq.heapreplace(due, (moment + 1 / rate, number))


def _spent(pids: Sequence[int]) -> list[float]:
    return [sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids]


async def measure(plan: dict[str, Any]) -> dict[str, Any]:
    """Run the load; gives what was measured."""
    found = Measure()
    async with contextlib.AsyncExitStack() as stack:
        if plan["kind"] == "collaborate":
            typists = await streams(plan, found, stack)
        else:
            typists = await websockets(plan, found)
        found.begun_at = time.perf_counter() + _WARM_UP
        found.ends_at = found.begun_at + plan["seconds"]
        typing = asyncio.create_task(_type(typists, plan["rate"], found.ends_at))
        await asyncio.sleep(_WARM_UP)
        cpu = _spent(plan["pids"])
        own = time.process_time()
        await typing
        spent = [after - before for before, after in zip(cpu, _spent(plan["pids"]), strict=True)]
        own = time.process_time() - own
        memory = [psutil.Process(pid).memory_info().rss for pid in plan["pids"]]
        await asyncio.sleep(_LAST)
    edits = sum(found.begun_at <= one < found.ends_at for one in found.sent)
    return _summary(plan, found, edits, spent, own, memory)


def _summary(
    plan: dict[str, Any],
    found: Measure,
    edits: int,
    spent: list[float],
    own: float,
    memory: list[int],
) -> dict[str, Any]:
    # Some servers give an edit back to who made it: of those searched, at most all. What arrived
    # there in time stands for all clients: a server that falls behind does less, not better.
    expected = edits * plan["searched"]
    deliveries = max(1, round(len(found.latencies) / plan["searched"] * plan["clients"]))
    ordered = sorted(found.latencies) or [float("nan")]

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 1)

    return {
        "edits_per_second": round(edits / plan["seconds"]),
        "deliveries_per_second": round(deliveries / plan["seconds"]),
        "arrived": round(len(found.latencies) / expected, 3) if expected else 0,
        "p50_ms": at(0.5),
        "p95_ms": at(0.95),
        "p99_ms": at(0.99),
        "cpu_us_per_delivery": round(spent[0] / deliveries * 1e6, 2),
        "cores": [round(one / plan["seconds"], 2) for one in spent],
        "load_cores": round(own / plan["seconds"], 2),
        "edits_per_frame": round(len(found.latencies) / max(1, found.frames), 1),
        "memory_mib": round(memory[0] / 2**20),
    }


def main() -> None:
    """Run as its own process."""
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    print(json.dumps(asyncio.run(measure(json.loads(sys.argv[1])))))
    # Streams and sockets are left to the system: closing them nicely takes longer than the run.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
