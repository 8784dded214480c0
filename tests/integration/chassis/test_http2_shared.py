"""A proxy has the calls of many users on one connection: what one does harms no other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import pytest
from hyperframe import frame
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.chassis import http2
from services.chassis.http2 import connection, wire

_MOST = 1024**2
_LARGE = 3 * 1024**2


class Proxy:
    """A client that says what it is told to, in the pieces it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.http = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, validate_outbound_headers=False)
        )
        self.http.initiate_connection()
        self.events: list[Any] = []
        self._reader = reader
        self._reading = asyncio.create_task(self._read())
        self.flush()

    def call(self, method: str, *, kind: str = "application/grpc", **over: Any) -> int:
        """Begin a call; nothing is sent before `flush`."""
        stream = self.http.get_next_available_stream_id()
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":authority": "here",
            ":path": f"/test.Shared/{method}",
            "content-type": kind,
        }
        given = {**headers, **over.pop("headers", {})}
        self.http.send_headers(stream, list(given.items()), **over)
        return stream

    def send(self, stream: int, content: bytes) -> None:
        """Send content of a call."""
        self.http.send_data(stream, content)

    def reset(self, stream: int) -> None:
        """Cancel a call."""
        self.http.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)

    def flush(self) -> None:
        """Send all that was said, at once."""
        self.writer.write(self.http.data_to_send())

    def of(self, stream: int, kind: type[Any]) -> list[Any]:
        """Give what was heard of a call."""
        return [
            one
            for one in self.events
            if isinstance(one, kind) and getattr(one, "stream_id", 0) == stream
        ]

    async def hears(self, stream: int, kind: type[Any], count: int = 1) -> Any:
        """Wait for something of a call."""
        async with asyncio.timeout(5):
            while len(found := self.of(stream, kind)) < count:
                await asyncio.sleep(0.005)
        return found[-1]

    async def status(self, stream: int) -> str:
        """Give how a call ended."""
        async with asyncio.timeout(5):
            while True:
                for kind in (h2.events.ResponseReceived, h2.events.TrailersReceived):
                    for one in self.of(stream, kind):
                        if found := dict(one.headers).get(b"grpc-status"):
                            return str(found.decode())
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Go."""
        self._reading.cancel()
        self.writer.transport.abort()
        await asyncio.sleep(0)

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(65536):
                self.events += self.http.receive_data(data)
                self.flush()


class Shared:
    """A server, its connections, and a user who is to notice nothing."""

    def __init__(self, server: http2.Server) -> None:
        self.server = server
        self.connections: list[connection.Connection] = []
        self.begun = self.ended = 0

    def connection(self) -> connection.Connection:
        """Make a connection."""
        self.connections.append(self.server.connection())
        return self.connections[-1]

    @property
    def running(self) -> int:
        """How many calls the connections know."""
        return sum(len(one._calls) for one in self.connections)


@contextlib.asynccontextmanager
async def serving(interceptors: Any = ()) -> AsyncIterator[tuple[Shared, int]]:
    """Serve an echo, one that waits, and one that refuses."""
    shared = Shared(http2.Server(interceptors, most_bytes=_MOST))

    async def echo(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for message in requests:
            yield message

    async def wait(_: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        shared.begun += 1
        try:
            yield b"here"
            await asyncio.sleep(60)
        finally:
            shared.ended += 1

    async def refuse(_: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")
        yield b""

    handlers = {
        name: grpc.stream_stream_rpc_method_handler(handler)
        for name, handler in (("Echo", echo), ("Wait", wait), ("Refuse", refuse))
    }
    generic = grpc.method_handlers_generic_handler("test.Shared", handlers)
    shared.server.add_generic_rpc_handlers((generic,))
    listener = await asyncio.get_running_loop().create_server(shared.connection, "127.0.0.1", 0)
    yield shared, listener.sockets[0].getsockname()[1]
    listener.close()
    shared.server.close()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Proxy]:
    """Connect a proxy."""
    proxy = Proxy(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield proxy
    finally:
        await proxy.close()


def no_grpc_and_over(proxy: Proxy) -> None:
    """A request of another kind, without a body."""
    proxy.call("Echo", headers={":method": "GET"}, end_stream=True)


def no_grpc_and_cancelled(proxy: Proxy) -> None:
    """The same, cancelled in the same breath."""
    proxy.reset(proxy.call("Echo", kind="text/plain"))


def begun_and_cancelled(proxy: Proxy) -> None:
    """Calls cancelled in the same breath."""
    for _ in range(50):
        proxy.reset(proxy.call("Wait"))


def cancelled_upload(proxy: Proxy) -> None:
    """A call cancelled where its window would be widened."""
    stream = proxy.call("Wait")
    begun = b"\0" + _MOST.to_bytes(4)
    for content in (begun + bytes(16_000), *[bytes(16_000)] * 2):
        proxy.send(stream, content)
    proxy.flush()
    stream = proxy.call("Echo")
    proxy.send(stream, begun)
    for _ in range(9):
        proxy.send(stream, bytes(1000))
    proxy.reset(stream)
    proxy.call("Wait")


def uploads_that_are_refused(proxy: Proxy) -> None:
    """Calls that are over while most of what they send is under way."""
    streams = [proxy.call("Refuse") for _ in range(12)]
    proxy.flush()
    raw = [frame.DataFrame(one, data=bytes(16_000)).serialize() for one in streams] * 15
    proxy.writer.write(b"".join(raw))


def empty_ends(proxy: Proxy) -> None:
    """Many calls that end by an empty frame, as is usual."""
    for _ in range(12_000):
        stream = proxy.call("Echo")
        proxy.http.end_stream(stream)
        proxy.reset(stream)


def large_headers(proxy: Proxy) -> None:
    """As large as a proxy lets through, and what it adds."""
    proxy.call("Refuse", headers={f"x-{n:03}": "a" * 700 for n in range(100)})


@pytest.mark.parametrize(
    "harm",
    [
        no_grpc_and_over,
        no_grpc_and_cancelled,
        begun_and_cancelled,
        cancelled_upload,
        uploads_that_are_refused,
        empty_ends,
        large_headers,
    ],
)
async def test_what_one_does_harms_no_other(harm: Callable[[Proxy], None]) -> None:
    """A call on the same connection goes on, and nothing is kept of the others."""
    async with serving() as (shared, port), connected(port) as proxy:
        other = proxy.call("Echo")
        proxy.send(other, wire.message(b"before"))
        proxy.flush()
        await proxy.hears(other, h2.events.DataReceived)
        harm(proxy)
        proxy.flush()
        await asyncio.sleep(0.3)
        proxy.send(other, wire.message(b"after"))
        proxy.flush()
        await proxy.hears(other, h2.events.DataReceived, 2)
        assert not proxy.of(other, h2.events.StreamReset)
        assert shared.running <= 3


async def test_what_is_cancelled_while_draining_harms_no_other() -> None:
    """A call that would be refused was cancelled in the same breath."""
    async with serving() as (shared, port), connected(port) as proxy:
        other = proxy.call("Echo")
        proxy.send(other, wire.message(b"before"))
        proxy.flush()
        await proxy.hears(other, h2.events.DataReceived)
        shared.connections[0]._refusing = True  # the client has not heard of it yet
        proxy.reset(proxy.call("Wait"))
        refused = proxy.call("Wait")
        proxy.send(other, wire.message(b"after"))
        proxy.flush()
        await proxy.hears(other, h2.events.DataReceived, 2)
        reset = await proxy.hears(refused, h2.events.StreamReset)
        assert reset.error_code == h2.errors.ErrorCodes.REFUSED_STREAM


async def test_more_calls_than_a_connection_takes() -> None:
    """Those past it are to be made on another one; the others are served."""
    async with serving() as (shared, port), connected(port) as proxy:
        proxy.http.remote_settings.max_concurrent_streams = 2**31 - 1
        streams = [proxy.call("Wait") for _ in range(1200)]
        proxy.flush()
        for stream in streams[:1000]:
            await proxy.hears(stream, h2.events.DataReceived)
        for stream in streams[1000:]:
            await proxy.hears(stream, h2.events.StreamReset)
        assert shared.running == 1000


async def test_a_message_that_cannot_be_taken_is_answered_at_once() -> None:
    """Also where it comes with the call itself: the call ends, and with it what runs."""
    async with serving() as (shared, port), connected(port) as proxy:
        oversized, compressed = proxy.call("Wait"), proxy.call("Wait")
        proxy.send(oversized, b"\0" + (_MOST + 1).to_bytes(4) + b"x")
        proxy.send(compressed, b"\1\0\0\0\1x")
        proxy.flush()
        assert await proxy.status(oversized) == "8"
        assert await proxy.status(compressed) == "13"
        await asyncio.sleep(0.1)
        assert shared.running == 0
        assert shared.begun == shared.ended


async def test_who_says_that_he_goes_finishes_what_he_has() -> None:
    """GOAWAY announces only that nothing new is begun."""
    async with serving() as (_, port), connected(port) as proxy:
        stream = proxy.call("Echo")
        proxy.send(stream, wire.message(b"before"))
        proxy.flush()
        await proxy.hears(stream, h2.events.DataReceived)
        proxy.writer.write(frame.GoAwayFrame().serialize())
        await asyncio.sleep(0.1)
        proxy.send(stream, wire.message(b"after"))
        proxy.flush()
        await proxy.hears(stream, h2.events.DataReceived, 2)
        proxy.http.end_stream(stream)
        proxy.flush()
        assert await proxy.status(stream) == "0"


async def test_closing_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads nothing is cut off, and what runs for it ends at once."""
    monkeypatch.setattr(connection, "_PING_PATIENCE", 0.3)
    async with serving() as (shared, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        http.initiate_connection()
        http.increment_flow_control_window(2**30)
        http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**30})
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "here"),
            (":path", "/test.Shared/Wait"),
            ("content-type", "application/grpc"),
        ]
        http.send_headers(1, headers)
        writer.write(http.data_to_send())
        async with asyncio.timeout(5):
            while not shared.running:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        call, _ = shared.connections[0]._calls[1]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(call.write(bytes(64 * 1024**2)), 2)
        shared.server.close()
        async with asyncio.timeout(2):
            while shared.running or shared.server._connections:
                await asyncio.sleep(0.01)
        assert shared.ended == 1
        writer.transport.abort()


async def test_traced() -> None:
    """Tracing reads metadata by name, as the gRPC library gives it."""
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    make: Any = aio_server_interceptor
    async with serving([make(tracer_provider=provider)]) as (_, port), connected(port) as proxy:
        stream = proxy.call("Echo", headers={"x-one": "1"})
        proxy.send(stream, wire.message(b"a"))
        proxy.flush()
        await proxy.hears(stream, h2.events.DataReceived)
        proxy.http.end_stream(stream)
        proxy.flush()
        assert await proxy.status(stream) == "0"
    assert [one.name for one in spans.get_finished_spans()] == ["/test.Shared/Echo"]
