"""A stack seen from outside: its door, both ways through it, and the people who use it."""

import uuid
from collections.abc import AsyncIterator

import aiohttp
import grpc.aio
import pytest

from services.devstack.stack import Stack
from tests.e2e import scenes
from tests.e2e.people import People
from tests.e2e.ways import Grpc, Http, Rest, Way

_LARGEST = 16 * 1024**2


@pytest.fixture(scope="session")
def people(stack: Stack) -> People:
    """Give whoever a test needs."""
    return People(stack.plan.credentials)


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[Http]:
    """Give plain HTTP to the gateway."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Http(f"http://127.0.0.1:{stack.plan.ports['gateway']}", session)


@pytest.fixture
async def channel(stack: Stack) -> AsyncIterator[grpc.aio.Channel]:
    """Give gRPC to the gateway, with limits so wide that only the gateway's count."""
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{stack.plan.ports['gateway']}",
        options=[
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_send_message_length", _LARGEST),
            ("grpc.max_receive_message_length", _LARGEST),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
        ],
    ) as opened:
        yield opened


@pytest.fixture
def ways(http: Http, channel: grpc.aio.Channel) -> list[Way]:
    """Give both ways, where one scene is too dear to be set up twice."""
    return [Rest(http), Grpc(channel)]


@pytest.fixture(params=["rest", "grpc"])
def way(request: pytest.FixtureRequest, http: Http, channel: grpc.aio.Channel) -> Way:
    """Go in by REST, then by gRPC."""
    return Rest(http) if request.param == "rest" else Grpc(channel)


@pytest.fixture
async def namespace(http: Http, people: People) -> AsyncIterator[str]:
    """Give a namespace nobody else uses; what a test leaves in it is deleted."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    yield name
    await scenes.clear(Rest(http), name, people.admin)
