"""Real infrastructure, once for all tests here; a project of its own for each."""

import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from services.devstack import ports
from services.devstack.stack import Stack
from tests.integration.collaboration import node_editor, rig


@contextlib.contextmanager
def _running(services: Sequence[str] = (), *, gateway: bool = False) -> Iterator[Stack]:
    directory = Path(tempfile.mkdtemp(prefix="codestudio-collaboration-"))
    stack = Stack(
        directory, port_offset=ports.free_offset(), services=tuple(services), gateway=gateway
    )
    stack.up()
    try:
        yield stack
    finally:
        stack.down()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def infrastructure() -> Iterator[Stack]:
    """Run Valkey, NATS and the Mongo-wire server."""
    with _running() as stack:
        yield stack


@pytest.fixture
def own_infrastructure() -> Iterator[Stack]:
    """Run the same for one test, which may stop them."""
    with _running() as stack:
        yield stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Run two replicas behind Envoy, with everything they stand on."""
    with _running(["collaboration"], gateway=True) as stack:
        yield stack


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
