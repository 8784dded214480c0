"""Real infrastructure, once for all tests here; a database and an empty Redis for each."""

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from services.devstack import ports
from services.devstack.stack import Stack
from tests.integration.config import rig


@pytest.fixture(scope="session")
def infrastructure() -> Iterator[Stack]:
    """Run Valkey, NATS and the Mongo-wire server."""
    directory = Path(tempfile.mkdtemp(prefix="codestudio-config-"))
    stack = Stack(directory, port_offset=ports.free_offset(), services=(), gateway=False)
    stack.up()
    try:
        yield stack
    finally:
        stack.down()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def parts(infrastructure: Stack, tmp_path: Path) -> rig.Parts:
    """Give an empty database, an empty Redis, and documents that may be changed."""
    with redis.Redis.from_url(infrastructure.plan.redis_url) as client:
        client.flushall()
    shutil.copytree("deploy/config", tmp_path / "base")
    (tmp_path / "secrets").mkdir()
    return rig.Parts(infrastructure, f"test-{uuid.uuid4().hex[:12]}", tmp_path)


@pytest.fixture
async def service(parts: rig.Parts) -> AsyncIterator[rig.Replica]:
    """Run one replica."""
    async with rig.replica(parts) as running:
        yield running
