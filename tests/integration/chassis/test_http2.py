"""Streams over HTTP/2: as clients of the gRPC library find them, and as none should send."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import grpc
import pytest
from aiohttp import web

from services.chassis import http2
from services.chassis.http2 import connection

_SERVICE = "test.Streams"
_MOST = 4 * 1024**2
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS, _PING, _GOAWAY = 4, 6, 7


def _frame(kind: int, payload: bytes, stream: int = 0) -> bytes:
    return len(payload).to_bytes(3) + struct.pack("!BBI", kind, 0, stream) + payload


def _head(head: bytes) -> tuple[int, int]:
    return int.from_bytes(head[:3]), head[3]


@dataclasses.dataclass
class Served:
    """A server, and what its handlers were told."""

    server: http2.Server
    listener: asyncio.Server
    port: int
    channel: grpc.aio.Channel
    begun: asyncio.Event
    cancelled: asyncio.Event
    calls: list[Any]

    def call(self, method: str, **options: Any) -> Any:
        """Call a method that streams bytes both ways."""
        return self.channel.stream_stream(f"/{_SERVICE}/{method}")(**options)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Serve some streams beside a page, on one port."""
    server = http2.Server([], most_bytes=_MOST)
    begun, cancelled = asyncio.Event(), asyncio.Event()
    calls: list[Any] = []

    async def echo(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        given = dict(context.invocation_metadata())
        context.set_trailing_metadata((("x-told", given.get("x-said", "")), ("x-bin", b"\0\1")))
        async for message in requests:
            yield message

    async def wait(_: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        calls.append(context)
        yield b"here"
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async def refuse(_: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await context.abort(grpc.StatusCode.NOT_FOUND, "grüße 🙂", (("x-why", "gone"),))
        yield b""

    async def fail(_: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        raise RuntimeError("a secret")
        yield b""

    async def one(_: bytes, _context: Any) -> bytes:
        return b""

    handlers = {
        name: grpc.stream_stream_rpc_method_handler(handler)
        for name, handler in (("Echo", echo), ("Wait", wait), ("Refuse", refuse), ("Fail", fail))
    }
    handlers["One"] = grpc.unary_unary_rpc_method_handler(one)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    application = web.Application()
    application.router.add_get("/", _page)
    runner = web.AppRunner(application)
    await runner.setup()
    assert runner.server is not None
    pages: Callable[[], asyncio.Protocol] = runner.server
    listener = await asyncio.get_running_loop().create_server(
        lambda: http2.Door(pages, server.connection), "127.0.0.1", 0
    )
    port = listener.sockets[0].getsockname()[1]
    options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield Served(server, listener, port, channel, begun, cancelled, calls)
    server.close()
    listener.close()
    await runner.cleanup()


async def test_messages_go_both_ways(served: Served) -> None:
    """Of any size that is taken, with metadata at both ends."""
    call = served.call("Echo", metadata=(("x-said", "hello"),))
    for size in (0, 1, 16 * 1024, 100_000, _MOST):
        await call.write(bytes(size))
        assert await call.read() == bytes(size)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() == grpc.StatusCode.OK
    told = dict(await call.trailing_metadata())
    assert (told["x-told"], told["x-bin"]) == ("hello", b"\0\1")


async def test_a_refusal_is_told_before_anything_else(served: Served) -> None:
    """With its message in any language, and what comes with it."""
    call = served.call("Refuse")
    assert await call.code() == grpc.StatusCode.NOT_FOUND
    assert await call.details() == "grüße 🙂"
    assert dict(await call.trailing_metadata())["x-why"] == "gone"


async def test_what_fails_tells_nothing(served: Served) -> None:
    """Nobody is told the server's own errors; other calls go on."""
    call = served.call("Fail")
    assert await call.code() == grpc.StatusCode.UNKNOWN
    assert "secret" not in await call.details()


@pytest.mark.parametrize("method", ["One", "Nothing"])
async def test_only_bidirectional_streams_are_served(served: Served, method: str) -> None:
    """Everything else is on the other port."""
    assert await served.call(method).code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_message_too_large_ends_its_call_only(served: Served) -> None:
    """Another call on the same connection goes on."""
    other, call = served.call("Echo"), served.call("Echo")
    await other.write(b"a")
    assert await other.read() == b"a"
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await call.write(bytes(_MOST + 1))
    assert await call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await other.write(b"b")
    assert await other.read() == b"b"
    other.cancel()


async def test_compression_is_refused(served: Served) -> None:
    """Nobody was offered it."""
    call = served.channel.stream_stream(f"/{_SERVICE}/Echo")(compression=grpc.Compression.Gzip)
    assert await call.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_deadline(served: Served) -> None:
    """A call that takes too long is ended on both sides."""
    call = served.call("Wait", timeout=3)
    assert await call.read() == b"here"
    assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(served.cancelled.wait(), 5)


async def test_who_goes_is_no_longer_served(served: Served) -> None:
    """Neither by a call that is cancelled nor by a connection that is closed."""
    call = served.call("Wait")
    await asyncio.wait_for(served.begun.wait(), 5)
    call.cancel()
    await asyncio.wait_for(served.cancelled.wait(), 5)
    served.begun.clear()
    served.cancelled.clear()
    again = served.call("Wait")
    assert await again.read() == b"here"
    await served.channel.close()
    await asyncio.wait_for(served.cancelled.wait(), 5)


async def test_a_client_that_reads_nothing_delays_itself_only(served: Served) -> None:
    """Its window is full; then nothing more is taken for it, while others are served."""
    slow, call = served.call("Wait"), served.call("Echo")
    assert await slow.read() == b"here"
    pushed = 0
    while served.calls[0].push(bytes(1000)):
        pushed += 1
        await asyncio.sleep(0)
    assert 10 < pushed < 100_000
    writing = asyncio.create_task(served.calls[0].write(bytes(1000)))
    await call.write(b"a")
    assert await call.read() == b"a"
    assert not writing.done()
    assert not served.calls[0].push(b"between the pieces of another")
    for _ in range(pushed + 1):
        assert await slow.read() == bytes(1000)
    await asyncio.wait_for(writing, 5)
    assert served.calls[0].push(b"again")
    assert await slow.read() == b"again"
    slow.cancel()
    call.cancel()


async def test_a_call_that_does_not_read_takes_little(served: Served) -> None:
    """Its client waits, and another call on the same connection does not."""
    silent, call = served.call("Wait"), served.call("Echo")
    assert await silent.read() == b"here"
    sent = 0

    async def send() -> None:
        nonlocal sent
        while True:
            await silent.write(bytes(100_000))
            sent += 100_000

    sending = asyncio.create_task(send())
    await call.write(b"a")
    assert await call.read() == b"a"
    await asyncio.sleep(0.5)
    before = sent
    await asyncio.sleep(0.5)
    assert sent == before < 4 * 1024**2
    sending.cancel()
    silent.cancel()
    call.cancel()


async def test_who_is_to_go_elsewhere_is_told(served: Served) -> None:
    """What runs goes on; what is new is refused as never begun, which clients repeat elsewhere."""
    call = served.call("Echo")
    await call.write(b"a")
    assert await call.read() == b"a"
    served.listener.close()
    served.server.refuse()
    assert await served.call("Echo", timeout=5).code() == grpc.StatusCode.UNAVAILABLE
    await call.write(b"b")
    assert await call.read() == b"b"
    served.server.close()
    assert await call.code() == grpc.StatusCode.UNAVAILABLE


async def test_both_versions_on_one_port(served: Served) -> None:
    """Pages are there by HTTP/1, even for who sends the first letters one by one."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{served.port}/") as answer,
    ):
        assert await answer.text() == "a page"
    async with _connected(served) as (reader, writer):
        for letter in _PREFACE + _frame(_SETTINGS, b""):
            writer.write(bytes((letter,)))
            await writer.drain()
            await asyncio.sleep(0.001)
        _, kind = _head(await reader.readexactly(9))
        assert kind == _SETTINGS


@pytest.mark.parametrize(
    "sent",
    [
        _PREFACE + b"nonsense" * 100_000,
        _PREFACE + _frame(_PING, bytes(8)) * 50_000,
        _PREFACE + _frame(_SETTINGS, b"") + _frame(0, b"of no call", 99),
    ],
    ids=["nonsense", "pings", "data of no call"],
)
async def test_who_breaks_the_protocol_is_cut_off(served: Served, sent: bytes) -> None:
    """Told so, and nobody else notices."""
    call = served.call("Echo")
    await call.write(b"a")
    assert await call.read() == b"a"
    kinds = []
    async with _connected(served) as (reader, writer):
        writer.write(sent)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(20):
                while True:
                    length, kind = _head(await reader.readexactly(9))
                    kinds.append(kind)
                    await reader.readexactly(length)
    assert kinds[-1] == _GOAWAY
    await call.write(b"b")
    assert await call.read() == b"b"
    call.cancel()


async def test_who_is_no_grpc_is_told(served: Served) -> None:
    """A plain request of HTTP/2 gets the status that the protocol asks for."""
    process = await asyncio.create_subprocess_exec(
        *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}"),
        *("--http2-prior-knowledge", f"http://127.0.0.1:{served.port}/"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert said == b"415 2"


async def test_a_peer_that_vanished_is_found(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that answers no ping is gone, whatever TCP believes; one that does stays."""
    monkeypatch.setattr(connection, "_PING_EVERY", 0.2)
    monkeypatch.setattr(connection, "_PING_PATIENCE", 3.0)
    call = served.call("Echo")
    await call.write(b"a")
    assert await call.read() == b"a"
    async with _connected(served) as (reader, writer):
        writer.write(_PREFACE + _frame(_SETTINGS, b""))
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(30):
                while await reader.read(1000):
                    pass
    await asyncio.sleep(1.0)
    await call.write(b"b")
    assert await call.read() == b"b"
    call.cancel()


@contextlib.asynccontextmanager
async def _connected(
    served: Served,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def _page(_: web.Request) -> web.Response:
    return web.Response(text="a page")
