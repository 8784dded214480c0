"""A runtime with tiny editors, a Valkey, and nothing left behind."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from services.resource.runtimes.local import LocalRuntime
from tests.integration.quota.valkey import Valkey
from tests.integration.resource import rig


@pytest.fixture
def stack_id() -> Iterator[str]:
    name = rig.stack_id()
    yield name
    rig.kill_all(name)


@pytest.fixture
def port_base() -> int:
    return rig.free_base()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return rig.tiny_editor(tmp_path)


@pytest.fixture
async def runtime(tmp_path: Path, tiny: Path, stack_id: str) -> AsyncIterator[LocalRuntime]:
    async with rig.running(tmp_path / "data", tiny, stack_id, stop_grace=1.0) as running:
        yield running


@pytest.fixture
def real_editor() -> Path:
    found = rig.real_editor()
    if found is None:
        pytest.skip("no editor is installed: run scripts/up once")
    return found


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
