"""Real infrastructure, once for all tests here; a database and a world of its own for each."""

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.devstack import ports
from services.devstack.stack import Stack
from tests.integration.instance import rig, world


@pytest.fixture(scope="session")
def infrastructure() -> Iterator[Stack]:
    """Run Valkey, NATS and the Mongo-wire server."""
    directory = Path(tempfile.mkdtemp(prefix="codestudio-instance-"))
    stack = Stack(directory, port_offset=ports.free_offset(), services=(), gateway=False)
    stack.up()
    try:
        yield stack
    finally:
        stack.down()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def parts(infrastructure: Stack) -> AsyncIterator[rig.Parts]:
    """Serve a world, beside an empty database."""
    outside = world.World()
    async with world.serving(outside) as port:
        yield rig.Parts(infrastructure, f"test-{uuid.uuid4().hex[:12]}", outside, port)


@pytest.fixture
async def service(parts: rig.Parts) -> AsyncIterator[rig.Replica]:
    """Run one replica."""
    async with rig.replica(parts) as running:
        yield running
