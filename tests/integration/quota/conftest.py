"""A Valkey for all tests of the ledger, empty for each, and the ledger on it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from services.chassis import connectors
from services.chassis.settings import ServiceSettings
from services.quota.amounts import Amounts
from services.quota.ledger import Ledger
from services.quota.store import Store
from tests.integration.quota.valkey import Valkey

LIMITS = Amounts(instances=50, cpu=100_000, memory=2**38, storage=2**40)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    running = Valkey(tmp_path_factory.mktemp("valkey"))
    running.start()
    yield running
    running.kill()


@pytest.fixture
def valkey(server: Valkey) -> Valkey:
    """Give the server, empty."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """Give a server that may be killed."""
    running = Valkey(tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.fixture
async def connector(valkey: Valkey) -> AsyncIterator[connectors.Redis]:
    settings = ServiceSettings(
        microservice_name="test", port=0, redis_url=valkey.url, redis_pool_min=0
    )
    connected = connectors.Redis(settings)
    yield connected
    await connected.close()


@pytest.fixture
def store(connector: connectors.Redis) -> Store:
    return Store(redis=connector)


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store=store, default_limits=lambda: LIMITS)
