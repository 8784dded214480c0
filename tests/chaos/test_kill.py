"""kill -9 of any one process, at rest and in the middle of things: it heals soon."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable

import codestudio
import psutil
import pytest

from services.devstack.stack import Stack
from tests import programs
from tests.chaos import truths

PROGRAMS = ("instance", "resource", "quota", "edge", "envoy", "valkey", "nats", "mongo")
MOMENTS = (0.02, 0.25)
"""Seconds after create, stop and delete were asked for: in the first steps, and before the
editor answers."""

pytestmark = [pytest.mark.stack, pytest.mark.editor, pytest.mark.timeout(300)]


def _kill(stack: Stack, program: str) -> float:
    programs.kill(stack, program)
    return time.monotonic()


def _new_id(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:8]}"


async def _insist(act: Callable[[], Awaitable[object]]) -> None:
    """Do as a user does: ask again while the answer is that nobody is there."""
    deadline = time.monotonic() + truths.heal_seconds()
    while True:
        try:
            await act()
        except (codestudio.Unavailable, codestudio.DeadlineExceeded):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return


@pytest.fixture
async def running(client: codestudio.AsyncClient) -> codestudio.AsyncInstance:
    """Give a running instance."""
    instance = await client.instances.create(_new_id("steady"))
    await instance.wait_until_running(timeout=60)
    return instance


@pytest.mark.parametrize("program", PROGRAMS)
async def test_at_rest(
    stack: Stack,
    client: codestudio.AsyncClient,
    running: codestudio.AsyncInstance,
    program: str,
) -> None:
    """Everything answers again; a running editor keeps its process."""
    editors = truths.editors(stack)
    since = _kill(stack, program)
    await truths.healed(stack, client, {running.id: "RUNNING"}, since)
    assert truths.editors(stack) == editors


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("program", PROGRAMS)
async def test_in_the_middle(
    stack: Stack,
    client: codestudio.AsyncClient,
    running: codestudio.AsyncInstance,
    program: str,
    moment: float,
) -> None:
    """A create, a stop and a delete under way all end as asked; nothing leaks or doubles."""
    stopped, deleted = [
        await client.instances.create(_new_id(kind)) for kind in ("stopped", "deleted")
    ]
    await stopped.wait_until_running(timeout=60)
    await deleted.wait_until_running(timeout=60)
    created, request_id = _new_id("created"), str(uuid.uuid4())
    asked = asyncio.gather(
        _insist(lambda: client.instances.create(created, request_id=request_id)),
        _insist(stopped.stop),
        _insist(lambda: client.instances.delete(deleted.id, allow_missing=True)),
    )
    await asyncio.sleep(moment)
    since = _kill(stack, program)
    await asked
    wanted = {running.id: "RUNNING", created: "RUNNING", stopped.id: "STOPPED", deleted.id: ""}
    await truths.healed(stack, client, wanted, since)


@pytest.mark.parametrize("when", ["running", "starting"])
async def test_editor(
    stack: Stack,
    client: codestudio.AsyncClient,
    running: codestudio.AsyncInstance,
    when: str,
) -> None:
    """An editor that is killed is started again, on its own disk."""
    marker = stack.layout.instances / running.id / "workspace" / "kept.txt"
    marker.write_text("kept")
    if when == "starting":
        await running.stop()
        await running.wait_until_stopped(timeout=60)
        await running.start()
        async with asyncio.timeout(60):
            while not stack.editors():
                await asyncio.sleep(0.01)
    for process in stack.editors():
        with contextlib.suppress(psutil.NoSuchProcess):  # a child that ended by itself
            process.kill()
    since = time.monotonic()
    await truths.healed(stack, client, {running.id: "RUNNING"}, since)
    assert marker.read_text() == "kept"


async def test_everything_at_once(
    stack: Stack, client: codestudio.AsyncClient, running: codestudio.AsyncInstance
) -> None:
    """All of the control plane and its stores die together; editors and records do not."""
    editors = truths.editors(stack)
    for program in PROGRAMS:
        since = _kill(stack, program)
    await truths.healed(stack, client, {running.id: "RUNNING"}, since)
    assert truths.editors(stack) == editors


@pytest.mark.parametrize("state", ["PENDING", "STARTING", "RUNNING", "STOPPED"])
async def test_delete_from_every_state(
    stack: Stack, client: codestudio.AsyncClient, running: codestudio.AsyncInstance, state: str
) -> None:
    """Delete works whatever an instance is doing, and leaves nothing."""
    victim = await client.instances.create(_new_id("victim"))
    if state == "STARTING":
        async with asyncio.timeout(10):
            while (await client.instances.status(victim.id)).state.name != "STARTING":
                await asyncio.sleep(0.01)
    if state in {"RUNNING", "STOPPED"}:
        await victim.wait_until_running(timeout=60)
    if state == "STOPPED":
        await victim.stop()
        await victim.wait_until_stopped(timeout=60)
    since = time.monotonic()
    await victim.delete()
    await truths.healed(stack, client, {running.id: "RUNNING", victim.id: ""}, since)
    assert not (stack.layout.instances / victim.id).exists()
