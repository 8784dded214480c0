"""Keys, a server on the chassis, and a Valkey that may be killed."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.chassis import parts
from tests.integration.quota.valkey import Valkey


@pytest.fixture
def keys(tmp_path: Path) -> parts.Keys:
    directory = tmp_path / "secrets"
    directory.mkdir()
    return parts.Keys(directory)


@pytest.fixture
async def served(keys: parts.Keys) -> AsyncIterator[parts.Served]:
    async with parts.serving(keys) as server:
        yield server


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    directory = tmp_path / "valkey"
    directory.mkdir()
    running = Valkey(directory)
    running.start()
    yield running
    running.kill()
