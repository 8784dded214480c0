"""Real infrastructure, once for all tests here; a project of its own for each."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.devstack import ports
from services.devstack.stack import Stack
from tests.integration.collaboration import rig


@pytest.fixture(scope="session")
def infrastructure() -> Iterator[Stack]:
    """Run Valkey, NATS and the Mongo-wire server."""
    directory = Path(tempfile.mkdtemp(prefix="codestudio-collaboration-"))
    stack = Stack(directory, port_offset=ports.free_offset(), services=(), gateway=False)
    stack.up()
    try:
        yield stack
    finally:
        stack.down()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def parts(infrastructure: Stack) -> rig.Parts:
    return rig.Parts(infrastructure, rig.new_project())


@pytest.fixture
async def service(parts: rig.Parts) -> AsyncIterator[rig.Replica]:
    """Run one replica."""
    async with rig.replica(parts) as running:
        yield running
