"""The load of rooms: clients that type and clients that listen, on one of three protocols.

python -m tests.bench.load '{"kind": "yjs", "url": …, "clients": 50, …}' prints what was measured.

It runs in a process of its own, so that what it costs is not the server's. Every edit carries a
number; a message is searched for numbers as bytes, whatever was merged into it. Only a few clients
search, the others read and throw away: at a hundred thousand deliveries a second the load would
otherwise be the bottleneck.
"""

import asyncio
import contextlib
import heapq
import json
import os
import random
import re
import sys
import time
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

import psutil
import pycrdt
from codestudio.collaboration.v1 import collaborate_pb2, document_pb2

from services.collaboration import ywire
from tests.bench import wire

_NUMBER = re.compile(rb"<(\d{7})>")
_SEARCHED = 10
"""Clients of a room whose messages are searched."""
_METHOD = "/codestudio.collaboration.v1.CollaborationService/Collaborate"
_WARM_UP = 2.0
_LAST = 3.0
"""Seconds to wait at the end for what is still under way."""


Send = Callable[[bytes], None]
"""Sends an update of a client."""


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


async def websocket(plan: dict[str, Any], room: str, on_message: wire.OnMessage | None) -> Send:
    """Connect a client by WebSocket; gives what sends its edits."""
    url = urllib.parse.urlsplit(plan["url"].replace("{room}", room))
    target = url.path + (f"?{url.query}" if url.query else "")
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    _, socket = await asyncio.get_running_loop().create_connection(
        lambda: wire.Socket(request, on_message), url.hostname, url.port
    )
    await socket.open
    prefix = b""
    if plan["kind"] == "hocuspocus":
        # It names the document in every message, and wants to hear a token first.
        prefix = ywire.write_bytes(room.encode())
        socket.send(prefix + b"\x02\x00" + ywire.write_bytes(b"token"))
    socket.send(prefix + b"\x00\x00\x01\x00")
    return lambda update: socket.send(prefix + b"\x00\x02" + ywire.write_bytes(update))


async def stream(plan: dict[str, Any], room: str, on_message: wire.OnMessage | None) -> Send:
    """Connect a client by Collaborate; gives what sends its edits."""
    namespace, project, path = room.split("/", 2)
    name = document_pb2.DocumentName(namespace=namespace, project=project, path=path)
    join = collaborate_pb2.CollaborateRequest(channel=1, join=collaborate_pb2.Join(name=name))
    metadata = [("authorization", f"Bearer {plan['token']}")]
    host, port = plan["url"].split(":")
    _, stream = await asyncio.get_running_loop().create_connection(
        lambda: wire.Stream(plan["url"], _METHOD, metadata, on_message), host, int(port)
    )
    stream.send(join.SerializeToString())
    await stream.open
    return _sender(stream)


async def connect(plan: dict[str, Any], measure: Measure) -> list[Typist]:
    """Connect all clients of all rooms; gives those that type."""
    client = stream if plan["kind"] == "collaborate" else websocket
    typists = []
    for room in plan["rooms"]:
        for number in range(plan["clients"]):
            reader = measure.received if number in _searched(plan) else None
            send = await client(plan, room, reader)
            if number < plan["typing"]:
                typists.append(Typist(measure, send))
    return typists


def _sender(stream: wire.Stream) -> Send:
    count = 0

    def send(update: bytes) -> None:
        nonlocal count
        count += 1
        message = collaborate_pb2.Update(update=update, sequence=count)
        request = collaborate_pb2.CollaborateRequest(channel=1, update=message)
        stream.send(request.SerializeToString())

    return send


def _searched(plan: dict[str, Any]) -> range:
    """Return the numbers of those clients of a room whose messages are searched."""
    return range(0, plan["clients"], max(1, plan["clients"] // _SEARCHED))


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
    typists = await connect(plan, found)
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
    searched = len(_searched(plan))
    expected = edits * searched
    deliveries = max(1, round(len(found.latencies) / searched * plan["clients"]))
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
