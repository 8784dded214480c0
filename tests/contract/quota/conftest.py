"""The quota service in this process, on a Valkey of its own."""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from codestudio.quota.v1 import quota_service_pb2_grpc

from tests.integration.quota import rig
from tests.integration.quota.valkey import Valkey


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    running = Valkey(tmp_path_factory.mktemp("valkey"))
    running.start()
    yield running
    running.kill()


@pytest.fixture
async def service(server: Valkey, tmp_path: Path) -> AsyncIterator[rig.Rig]:
    """Run the service with an empty ledger and the default limits."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    async with rig.quota_server(server.url, tmp_path) as running:
        yield running


@pytest.fixture
async def admin(service: rig.Rig) -> AsyncIterator[quota_service_pb2_grpc.QuotaServiceAsyncStub]:
    """Call it as an administrator, who may do everything."""
    async with service.as_user() as stub:
        yield stub
