"""The path service on Valkey and NATS, once for all tests here; files of its own for each."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from services.devstack import ports
from services.devstack.stack import Stack
from tests.integration.path import rig


@pytest.fixture(scope="session")
def infrastructure() -> Iterator[Stack]:
    """Run Valkey and NATS (and the database nobody here needs)."""
    directory = Path(tempfile.mkdtemp(prefix="codestudio-path-"))
    stack = Stack(directory, port_offset=ports.free_offset(), services=(), gateway=False)
    stack.up()
    try:
        yield stack
    finally:
        stack.down()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def service(infrastructure: Stack, tmp_path: Path) -> AsyncIterator[rig.Rig]:
    """Run the service with nothing kept."""
    plan = infrastructure.plan
    with redis.Redis.from_url(plan.redis_url) as client:
        client.flushall()
    async with rig.serving(tmp_path, redis_url=plan.redis_url, nats_url=plan.nats_url) as running:
        yield running
