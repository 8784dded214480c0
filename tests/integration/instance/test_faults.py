"""What instances do when something around them breaks."""

from __future__ import annotations

import asyncio
import os
import signal

import grpc
import pytest
import redis
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

from tests import counted, programs
from tests.integration.instance import rig, world


async def test_an_editor_that_dies_is_started_again(service: rig.Replica) -> None:
    """An editor that ends by itself comes back, and is counted; a crash loop ends as failed."""
    outside = service.parts.world
    await service.create(id="mortal")
    await service.until("mortal", "RUNNING")
    for deaths in range(1, 5):
        first = outside.workloads["mortal"].runtime_id
        outside.put("mortal", world.EXITED, exit_code=-9)

        async def back(first: str = first, deaths: int = deaths) -> bool:
            # What is read may still be from before the death, then RUNNING as well.
            return (
                outside.workloads["mortal"].runtime_id != first
                and await service.state("mortal") == "RUNNING"
                and (await service.get("mortal")).restarts == deaths
            )

        await rig.until(back, "it runs again, and the death is counted")
    outside.put("mortal", world.EXITED, exit_code=1)
    await service.until("mortal", "FAILED")
    failed = await service.get("mortal")
    assert failed.failure.code == "EDITOR_CRASH_LOOP"
    assert "exit status 1" in failed.failure.message
    assert outside.leftovers == (set(), set(), {"mortal"}, {"mortal"})
    await service.start("mortal")
    await service.until("mortal", "RUNNING")
    assert not (await service.get("mortal")).HasField("failure")


async def test_without_an_editor_it_fails_at_once(service: rig.Replica) -> None:
    """EDITOR_NOT_INSTALLED is no matter of waiting: the start fails, naming it."""
    outside = service.parts.world
    outside.ready_after = None
    await service.create(id="hopeless")

    async def created() -> bool:
        return "hopeless" in outside.workloads

    await rig.until(created, "the workload is there")
    missing = error_pb2.ErrorDetail(code="EDITOR_NOT_INSTALLED", message="run scripts/up")
    outside.put("hopeless", world.EXITED, error=missing)
    await service.until("hopeless", "FAILED", 3)
    failed = (await service.get("hopeless")).failure
    assert failed.code == "EDITOR_NOT_INSTALLED"
    assert failed.message == "run scripts/up"
    assert failed.step == instance_pb2.CONDITION_TYPE_WORKLOAD_CREATED


async def test_a_port_in_use_is_given_up_for_another(service: rig.Replica) -> None:
    """When something else listens on its port, an instance gets another range."""
    outside = service.parts.world
    outside.ready_after = 0.3
    await service.create(id="mover")

    async def created() -> bool:
        return "mover" in outside.workloads

    await rig.until(created, "the workload is there")
    port = outside.ports["mover"]
    outside.put("mover", world.EXITED, error=error_pb2.ErrorDetail(code="PORT_IN_USE"))
    await service.until("mover", "RUNNING")
    assert (await service.get("mover")).ports.web_port == outside.ports["mover"] != port


async def test_a_slow_editor_fails_naming_the_step(parts: rig.Parts) -> None:
    """An editor that does not answer within its budget fails the start."""
    parts.world.ready_after = None
    async with rig.replica(parts, budget_editor=1.0) as service:
        await service.create(id="slow")
        await service.until("slow", "FAILED", 5)
        failure = (await service.get("slow")).failure
        assert failure.code == "EDITOR_START_TIMEOUT"
        assert failure.step == instance_pb2.CONDITION_TYPE_EDITOR_READY


async def test_while_other_services_are_away_a_start_waits(parts: rig.Parts) -> None:
    """A start neither fails nor is forgotten while other services are away."""
    outside = parts.world
    async with rig.replica(parts, budget_resources=0.5, budget_workload=0.5) as service:
        outside.faults["AllocateResources"] = (grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        await service.create(id="patient")
        await asyncio.sleep(2)
        assert await service.state("patient") == "STARTING"
        conditions = (await service.get("patient")).conditions
        assert "ServiceUnavailable" in {one.reason for one in conditions}
        outside.faults.clear()
        await service.until("patient", "RUNNING")


async def test_a_restarted_service_finishes_what_the_last_one_began(parts: rig.Parts) -> None:
    """What was wanted when a replica ended is made true by the next."""
    outside = parts.world
    async with rig.replica(parts) as service:
        outside.faults["ApplyWorkload"] = (grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        await service.create(id="begun")
        await service.create(id="runner", desired_state=instance_pb2.DESIRED_STATE_STOPPED)
        await service.delete("runner")
    outside.faults.clear()
    async with rig.replica(parts) as service:
        await service.until("begun", "RUNNING")
        await service.until("runner", "GONE")
        outside.workloads.clear()  # as after the machine was restarted
    async with rig.replica(parts) as service:

        async def back() -> bool:
            return "begun" in outside.workloads and await service.state("begun") == "RUNNING"

        await rig.until(back, "it was started again")
        assert (await service.get("begun")).restarts == 0


async def test_delete_and_stop_work_in_the_middle_of_a_start(service: rig.Replica) -> None:
    """A delete or stop that comes while a start hangs is carried out."""
    outside = service.parts.world
    outside.ready_after = None
    await service.create(id="half")
    await service.create(id="done")
    await service.until("half", "STARTING")
    await service.stop("half")
    await service.until("half", "STOPPED")
    await service.delete("done")
    await service.until("done", "GONE")
    assert set(outside.reservations) == {"half"}
    assert not outside.ports


async def test_two_replicas_share_the_work(parts: rig.Parts) -> None:
    """With two replicas each sees what the other wrote, and an instance is started once."""
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        await asyncio.gather(
            *(one.create(id=f"one-{n}") for n in range(10)),
            *(two.create(id=f"two-{n}") for n in range(10)),
        )
        for n in range(10):
            await two.until(f"one-{n}", "RUNNING")
            await one.until(f"two-{n}", "RUNNING")
        pids = {one.runtime_id for one in parts.world.workloads.values()}
        assert len(pids) == 20
        assert parts.world.started == 20
        await one.delete("two-1")
        await two.until("two-1", "GONE", 5)


async def test_an_orphan_is_stopped_and_its_disk_kept(service: rig.Replica) -> None:
    """A workload without an instance does not go on running."""
    outside = service.parts.world
    await service.create(id="lost")
    await service.until("lost", "RUNNING")
    outside.workloads["stray"] = type(outside.workloads["lost"])(
        instance_id="stray", phase=world.READY, runtime_id="pid 1"
    )
    outside.disks.add("stray")
    outside.put("stray", world.READY)

    async def stopped() -> bool:
        return outside.workloads["stray"].phase == world.STOPPED

    await rig.until(stopped, "the stray was stopped")
    assert "stray" in outside.disks


async def test_the_state_is_told_while_the_database_is_away(parts: rig.Parts) -> None:
    """Who waits for an instance that changed just now goes on being answered; owners still count.

    What is not known is refused as always, and no decision is made on it.
    """
    stack = parts.stack
    async with rig.replica(parts, cache_seconds=0.01, dependency_timeout=0.5) as service:
        await service.create(id="seen")
        await service.until("seen", "RUNNING")
        with redis.Redis.from_url(stack.plan.redis_url) as other:

            async def told_to_redis() -> bool:
                return b"STATE_RUNNING" in (other.get("instance_state:seen") or b"")  # type: ignore[operator]

            await rig.until(told_to_redis, "the state is in Redis")
        before = counted.cache("instance_state")
        database = programs.pid(stack, "mongo")
        os.kill(database, signal.SIGSTOP)
        try:
            await asyncio.sleep(0.05)  # what is in memory is too old by now
            status = instance_service_pb2.GetInstanceStatusRequest(id="seen")
            told = await service.stub.GetInstanceStatus(status, metadata=service.metadata)
            assert (told.id, told.state) == ("seen", instance_pb2.INSTANCE_STATE_RUNNING)
            assert counted.cache("instance_state") - before == {"hit": 1}
            for request, metadata, code in (
                (status, service.as_user("mallory"), "INSTANCE_NOT_YOURS"),
                (
                    instance_service_pb2.GetInstanceStatusRequest(id="unseen"),
                    service.metadata,
                    "MONGODB_UNAVAILABLE",
                ),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await service.stub.GetInstanceStatus(request, metadata=metadata)
                assert rig.detail(refused.value).code == code
            assert counted.cache("instance_state") - before == {"hit": 2, "miss": 1}
            with redis.Redis.from_url(stack.plan.redis_url) as other:
                other.set("instance_state:seen", "{")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await service.stub.GetInstanceStatus(status, metadata=service.metadata)
            assert rig.detail(refused.value).code == "MONGODB_UNAVAILABLE"
            found = counted.cache("instance_state") - before
            assert found == {"hit": 2, "miss": 1, "error": 1}
        finally:
            os.kill(database, signal.SIGCONT)
