"""Real infrastructure, once for all tests here; a project of its own for each."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.devstack import ports
from services.devstack.stack import Stack
from tests.integration.collaboration import node_editor, rig


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


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Run two replicas behind Envoy, with everything they stand on."""
    directory = Path(tempfile.mkdtemp(prefix="codestudio-collaboration-"))
    running = Stack(
        directory, port_offset=ports.free_offset(), services=("collaboration",), gateway=True
    )
    running.up()
    try:
        yield running
    finally:
        running.down()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def parts(infrastructure: Stack) -> rig.Parts:
    return rig.Parts(infrastructure, rig.new_project())


@pytest.fixture
async def service(parts: rig.Parts) -> AsyncIterator[rig.Replica]:
    """Run one replica."""
    async with rig.replica(parts) as running:
        yield running


@pytest.fixture(scope="session")
def node_folder() -> Path:
    return node_editor.installed()


@pytest.fixture(scope="session", params=["3.1.0", "2.1.0"])
def each_node_folder(request: pytest.FixtureRequest) -> Path:
    """Give the packages with each y-websocket that is in use."""
    return node_editor.installed(**{"y-websocket": request.param})
