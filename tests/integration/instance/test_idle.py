"""Idle stop on real parts, with a runtime that says when an instance was used."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from google.protobuf import duration_pb2

from services.chassis import connectors
from services.instance.store import Store
from tests.integration.instance import rig

RUNNING = instance_pb2.INSTANCE_STATE_RUNNING
SECOND = duration_pb2.Duration(seconds=1)
NEVER = duration_pb2.Duration()


@pytest.fixture
async def quick(parts: rig.Parts) -> AsyncIterator[rig.Replica]:
    """Run a replica that allows limits of a second, with defaults for two namespaces."""
    async with rig.replica(
        parts,
        least_limit_seconds=0.5,
        resync_seconds=0.3,
        keep_alive_most_seconds=60,
        idle_timeouts={"lab": 0.6, "free": 0},
        default_idle_timeout=3600,
    ) as running:
        yield running


@contextlib.asynccontextmanager
async def observed(
    parts: rig.Parts, name: str, used: Callable[[], float] = lambda: 0
) -> AsyncIterator[None]:
    """Have the runtime look at an instance all the time and find it used at some time."""
    since = time.time()

    async def look() -> None:
        while True:
            workload = parts.world.workloads.get(name)
            if workload is not None:
                activity = workload.activity
                activity.observed_since.FromMilliseconds(int(since * 1000))
                activity.observe_time.FromMilliseconds(int(time.time() * 1000))
                activity.last_input_time.FromMilliseconds(int(used() * 1000))
                parts.world.put(name, workload.phase)
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait([looking])


async def keep(service: rig.Replica, name: str, metadata: Any = None, **duration: int) -> Any:
    """Ask for a lease."""
    request = instance_service_pb2.KeepInstanceAliveRequest(id=name)
    if duration:
        request.duration.CopyFrom(duration_pb2.Duration(**duration))
    return await service.stub.KeepInstanceAlive(request, metadata=metadata or service.metadata)


async def refused(call: Any, name: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    assert rig.detail(error.value).code == name


async def test_what_nobody_uses_is_stopped(quick: rig.Replica) -> None:
    """By its own limit or its namespace's; never where that is said; and it says why."""
    parts = quick.parts
    await quick.create(id="own", idle_timeout=SECOND)
    await quick.create(id="default", namespace="lab")
    await quick.create(id="never", namespace="lab", idle_timeout=NEVER)
    await quick.create(id="free", namespace="free")
    names = ("own", "default", "never", "free")
    async with contextlib.AsyncExitStack() as runtime:
        for name in names:
            await runtime.enter_async_context(observed(parts, name))
        for name in ("own", "default"):
            await quick.until(name, "STOPPED")
    stopped = await quick.get("own")
    assert stopped.stop_reason == instance_pb2.STOP_REASON_IDLE
    assert stopped.desired_state == instance_pb2.DESIRED_STATE_STOPPED
    condition = stopped.conditions[-1]
    assert (condition.type, condition.status) == (instance_pb2.CONDITION_TYPE_IN_USE, False)
    assert condition.reason == "Idle"
    for name in ("never", "free"):
        found = await quick.get(name)
        assert found.state == RUNNING
        assert found.effective_idle_timeout == NEVER
    assert (await quick.get("never")).HasField("idle_timeout")
    assert not (await quick.get("free")).HasField("idle_timeout")
    assert (await quick.get("default")).effective_idle_timeout.ToMilliseconds() == 600


async def test_a_restart_without_config_stops_nothing(parts: rig.Parts) -> None:
    """What a service was started with is for new instances until it knows what is configured."""
    async with rig.replica(parts, resync_seconds=0.3) as before:
        await before.create(id="there")
        await before.until("there", "RUNNING")
    async with rig.replica(
        parts, resync_seconds=0.3, least_limit_seconds=0.5, default_max_lifetime=0.6
    ) as after:
        created = await after.create(id="new")
        assert created.effective_max_lifetime.ToMilliseconds() == 600
        await after.until("new", "STOPPED")
        there = await after.get("there")
        assert there.state == RUNNING
        assert not there.effective_max_lifetime.ToMilliseconds()


async def test_a_runtime_that_says_nothing_stops_nothing(quick: rig.Replica) -> None:
    """Nor one that went silent after it had begun to tell."""
    await quick.create(id="silent", idle_timeout=SECOND)
    await quick.create(id="fell-silent", idle_timeout=SECOND)
    await quick.until("fell-silent", "RUNNING")
    async with observed(quick.parts, "fell-silent"):
        await asyncio.sleep(0.1)
    await asyncio.sleep(2.5)
    for name in ("silent", "fell-silent"):
        assert (await quick.get(name)).state == RUNNING


async def test_use_costs_no_writes(quick: rig.Replica) -> None:
    """However often an instance is used, its record stays as it was."""
    await quick.create(id="used", idle_timeout=SECOND)
    await quick.until("used", "RUNNING")
    mongo = connectors.Mongo(quick.parts.settings())
    store = Store(mongo=mongo)
    async with observed(quick.parts, "used", time.time):
        await asyncio.sleep(1.5)
        before = await store.get("used")
        await asyncio.sleep(1.5)
        after = await store.get("used")
    await mongo.close()
    assert before is not None
    assert after is not None
    assert after.rev == before.rev
    assert after.state.value == "RUNNING"


async def test_a_lease_keeps_it(quick: rig.Replica) -> None:
    """It gets longer, never shorter, and ends when asked to; until then nothing is idle."""
    await quick.create(id="kept", idle_timeout=SECOND)
    await quick.until("kept", "RUNNING")
    first = await keep(quick, "kept", seconds=30)
    again = await keep(quick, "kept", seconds=5)
    assert again.keep_alive_until == first.keep_alive_until
    assert again.version == first.version
    longer = await keep(quick, "kept", seconds=60)
    assert longer.keep_alive_until.ToMilliseconds() > first.keep_alive_until.ToMilliseconds()
    async with observed(quick.parts, "kept"):
        await asyncio.sleep(2)
        assert (await quick.get("kept")).state == RUNNING
        ended = await keep(quick, "kept", seconds=0, nanos=0)
        assert ended.keep_alive_until.ToMilliseconds() <= time.time() * 1000
        await quick.until("kept", "STOPPED")
    assert not (await quick.get("kept")).HasField("keep_alive_until")


async def test_who_may_keep_what(quick: rig.Replica) -> None:
    """Its owner and administrators, while it is up, for as long as is allowed."""
    await quick.create(id="mine")
    await quick.create(id="down", desired_state=instance_pb2.DESIRED_STATE_STOPPED)
    await refused(keep(quick, "mine", seconds=61), "INVALID_ARGUMENT")
    await refused(keep(quick, "mine", seconds=-1), "INVALID_ARGUMENT")
    await refused(keep(quick, "mine", nanos=5), "INVALID_ARGUMENT")
    await refused(keep(quick, "mine"), "INVALID_ARGUMENT")
    await refused(keep(quick, "down", seconds=60), "INSTANCE_NOT_RUNNING")
    await refused(keep(quick, "nobody", seconds=60), "INSTANCE_NOT_FOUND")
    await refused(keep(quick, "mine", quick.as_user("bob"), seconds=60), "INSTANCE_NOT_YOURS")
    viewer = quick.as_user("alice", "viewer")
    await refused(keep(quick, "mine", viewer, seconds=60), "PERMISSION_DENIED")
    assert (await keep(quick, "mine", quick.as_user("root", "admin"), seconds=60)).id == "mine"
