"""One Envoy for the tests of this directory, and an Instance service behind it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import grpc.aio
import pytest

from tests.integration.envoy.door import Api, Door, serving


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
async def http(door: Door) -> AsyncIterator[aiohttp.ClientSession]:
    """A client without a cookie jar, so that tests say what they send."""
    async with aiohttp.ClientSession(door.url, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
async def channel(door: Door) -> AsyncIterator[grpc.aio.Channel]:
    """The public door, by gRPC."""
    async with grpc.aio.insecure_channel(door.address) as channel:
        yield channel


@pytest.fixture
async def mesh(door: Door) -> AsyncIterator[grpc.aio.Channel]:
    """The mesh listener."""
    async with grpc.aio.insecure_channel(door.mesh) as channel:
        yield channel
