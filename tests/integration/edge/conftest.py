"""Envoy, edge, a Valkey and an Instance service; and an editor that tells what it is sent."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from services.chassis import lifecycle
from services.edge import app as edge
from services.edge.settings import EdgeSettings
from tests.integration.edge.people import Person
from tests.integration.envoy.door import Api, Door, serving
from tests.integration.quota.valkey import Valkey


@pytest.fixture(scope="package")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    running = Valkey(tmp_path_factory.mktemp("valkey"))
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="package")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    directory: Path = tmp_path_factory.mktemp("door")
    running = Door(directory)
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def api(door: Door) -> AsyncIterator[Api]:
    async with serving(door) as running:
        yield running


@pytest.fixture
def access_fresh_seconds() -> float:
    """Give how long edge uses an answer unasked; a test may have it longer."""
    return 0.5


@pytest.fixture
async def edge_process(
    door: Door, valkey: Valkey, access_fresh_seconds: float
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Run edge; gives what stops it."""
    settings = EdgeSettings(
        **door.settings("edge", redis_url=valkey.url, access_fresh_seconds=access_fresh_seconds)
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(lifecycle.running(settings, edge.compose(settings)))
        yield stack.aclose


@pytest.fixture
async def person(
    door: Door,
    api: Api,  # noqa: ARG001 - behind everything a person does
    edge_process: Callable[[], Awaitable[None]],  # noqa: ARG001
) -> AsyncIterator[Person]:
    """Somebody with a browser that keeps cookies, not signed in yet."""
    async with Person(door) as somebody:
        yield somebody


class Editor:
    """What stands where an editor would: answers with what it was sent, echoes on WebSockets."""

    def __init__(self) -> None:
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("upgrade") == "websocket":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for message in socket:
                await socket.send_str(f"echo {message.data}")
            return socket
        return web.json_response(
            {
                "method": request.method,
                "path": request.raw_path,
                "headers": {name.lower(): value for name, value in request.headers.items()},
                "body": await request.text(),
            }
        )


@pytest.fixture
async def editor() -> AsyncIterator[Editor]:
    running = Editor()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", running.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    running.port = runner.addresses[0][1]
    yield running
    await runner.cleanup()


class Tired:
    """An editor that closes connections when the next request is on its way already."""

    def __init__(self) -> None:
        self.port = 0
        self.ended: asyncio.Queue[float] = asyncio.Queue()
        """For each connection that was closed on it, how many seconds it had been quiet."""
        self._open: set[asyncio.StreamWriter] = set()
        self._doomed: set[asyncio.StreamWriter] = set()

    def doom(self) -> int:
        """Close each connection there is at its next request; gives how many there are."""
        self._doomed = set(self._open)
        return len(self._doomed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(asyncio.CancelledError), contextlib.closing(writer):
            while True:
                quiet = time.monotonic()
                try:
                    await reader.readuntil(b"\r\n\r\n")
                except asyncio.IncompleteReadError:
                    self.ended.put_nowait(time.monotonic() - quiet)
                    break
                if writer in self._doomed:
                    break
                await asyncio.sleep(
                    0.05
                )  # so that what is asked at once has connections of its own
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        self._open.discard(writer)


@pytest.fixture
async def tired() -> AsyncIterator[Tired]:
    running = Tired()
    async with await asyncio.start_server(running.serve, "127.0.0.1", 0) as server:
        running.port = server.sockets[0].getsockname()[1]
        yield running


@pytest.fixture
async def http(door: Door) -> AsyncIterator[aiohttp.ClientSession]:
    """A program: no cookies of its own, and no page wanted."""
    async with aiohttp.ClientSession(door.url, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session
