"""What all tests may ask for: one whole stack with real editors, and a client of it."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import codestudio
import hypothesis
import pytest

from services.devstack import editor, ports
from services.devstack.stack import Stack

# What an example takes depends on what else the machine does, and so is no fault.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Give tests to processes, where there are several (`-n`)."""
    from tests import scheduling  # needs pytest-xdist, which a single process can do without

    return scheduling.ByFolder(config, log)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Run a stack with real editors on ports of its own."""
    command = editor.find(os.environ)
    if command is None:
        pytest.skip("no editor is installed: run scripts/up once")
    directory = Path(tempfile.mkdtemp(prefix="codestudio-chaos-"))
    running = Stack(
        directory,
        port_offset=ports.free_offset(),
        editor_command=str(command),
    )
    try:
        running.up()
        yield running
    finally:
        running.down()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[codestudio.AsyncClient]:
    """Talk to the stack as its administrator."""
    token = stack.plan.credentials.admin_token.read_text().strip()
    async with codestudio.AsyncClient(stack.plan.gateway_url, token=token) as connected:
        yield connected
