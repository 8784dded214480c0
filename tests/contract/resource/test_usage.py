"""Usage over time, of stopped instances, and after a restart of the service."""

import json
from typing import Any

import grpc
import pytest
import redis.asyncio
from codestudio.instance.v1 import instance_pb2
from codestudio.resource.v1 import resource_service_pb2 as resource_pb
from codestudio.resource.v1 import workload_service_pb2 as workload_pb

from tests.contract.resource.conftest import Calls, Valkey
from tests.integration.chassis import parts
from tests.integration.resource import rig

RESOLUTION = 200_000_000
"""Of the service under test, in nanoseconds."""


async def usage(calls: Calls, metadata: Any = None, **fields: Any) -> resource_pb.ResourceUsage:
    answer: resource_pb.ResourceUsage = await calls.resource.GetResourceUsage(
        resource_pb.GetResourceUsageRequest(**fields), metadata=metadata or calls.by_service()
    )
    return answer


async def start(calls: Calls, name: str, namespace: str = "default") -> None:
    spec = calls.spec(name, calls.base)
    spec.namespace = namespace
    await calls.workload.ApplyWorkload(spec, metadata=calls.by_service())


async def history(calls: Calls, name: str, least: int) -> list[int]:
    """Wait for samples; give their times in nanoseconds."""
    found: list[int] = []

    async def enough() -> bool:
        answer = await usage(calls, instance_id=name, include_history=True)
        found[:] = [one.time.ToNanoseconds() for one in answer.instances[0].history]
        return len(found) >= least

    await rig.eventually(enough)
    return found


async def test_history_is_aligned(calls: Calls) -> None:
    """Times are whole multiples of the resolution, in order, none twice."""
    await start(calls, "red")
    times = await history(calls, "red", 4)
    assert all(time % RESOLUTION == 0 for time in times)
    assert times == sorted(set(times))
    shown = await usage(calls, instance_id="red")
    assert not shown.instances[0].history


async def test_a_stopped_instance_still_tells(calls: Calls) -> None:
    """Namespace, limits and disk of one that is stopped are shown, with no processor or memory."""
    await start(calls, "red", "team")
    await history(calls, "red", 1)
    stop = workload_pb.StopWorkloadRequest(instance_id="red")
    await calls.workload.StopWorkload(stop, metadata=calls.by_service())
    await calls.resource.DeallocateResources(
        resource_pb.DeallocateResourcesRequest(instance_id="red"), metadata=calls.by_service()
    )

    async def quiet() -> bool:
        return (await usage(calls, instance_id="red")).instances[0].processes == 0

    await rig.eventually(quiet)
    for caller in (calls.by_service(), calls.by_user(roles=["admin"])):
        (one,) = (await usage(calls, caller, namespace="team")).instances
        assert (one.instance_id, one.namespace, one.limits.cpu) == ("red", "team", "500m")
        assert one.current.storage_bytes > 0
        assert (one.current.cpu_cores, one.current.memory_bytes) == (0, 0)
    assert not (await usage(calls, namespace="other")).instances
    calls.instances.put("red", namespace="team", state=instance_pb2.INSTANCE_STATE_STOPPED)
    (own,) = (await usage(calls, calls.by_user(), namespace="team")).instances
    assert (own.instance_id, own.namespace) == ("red", "team")
    assert own.current.storage_bytes > 0


async def test_one_that_never_ran_uses_nothing(calls: Calls) -> None:
    """Asked for by name it is there, with its limits; one that is not there is not found."""
    calls.instances.put("new", namespace="team", state=instance_pb2.INSTANCE_STATE_STOPPED)
    for caller in (calls.by_user(), calls.by_user(roles=["admin"])):
        (one,) = (await usage(calls, caller, instance_id="new")).instances
        assert (one.namespace, one.limits.cpu, one.processes) == ("team", "500m", 0)
        assert not one.HasField("current")
        code, _ = await parts.refusal(usage(calls, caller, instance_id="pink"))
        assert code is grpc.StatusCode.NOT_FOUND


async def test_a_restart_of_the_service_loses_no_history(calls: Calls, valkey: Valkey) -> None:
    """The next life has the samples of this one, and a gap for the time in between."""
    await start(calls, "red")
    shown = await history(calls, "red", 3)
    await calls.stop()
    async with redis.asyncio.Redis.from_url(valkey.url) as client:
        saved = await client.lrange("usage_history:red", 0, -1)
    before = [round(json.loads(one)[0] * 1000) * 10**6 for one in saved]
    assert before[: len(shown)] == shown
    await calls.start()
    after = await history(calls, "red", len(before) + 2)
    assert after[: len(before)] == before
    assert all(time % RESOLUTION == 0 for time in after)
    first = next(time for time in after if time > before[-1])
    assert first > before[-1] + RESOLUTION, "what was not sampled was made up"


async def test_the_history_goes_with_its_instance(calls: Calls, valkey: Valkey) -> None:
    """Another instance of the same name does not inherit it."""
    await start(calls, "red")
    await history(calls, "red", 2)
    async with redis.asyncio.Redis.from_url(valkey.url) as client:
        assert await client.exists("usage_history:red")
        delete = workload_pb.DeleteWorkloadRequest(instance_id="red")
        await calls.workload.DeleteWorkload(delete, metadata=calls.by_service())

        async def gone() -> bool:
            return not await client.exists("usage_history:red")

        await rig.eventually(gone)


async def test_who_comes_next_by_that_name_inherits_nothing(calls: Calls) -> None:
    """Made again before the next sample is taken, it has no history, also after a restart."""
    await start(calls, "red")
    before = await history(calls, "red", 4)
    delete = workload_pb.DeleteWorkloadRequest(instance_id="red")
    await calls.workload.DeleteWorkload(delete, metadata=calls.by_service())
    await start(calls, "red")
    after = await history(calls, "red", 2)
    assert not set(before) & set(after)
    await calls.restart()
    assert not set(before) & set(await history(calls, "red", 3))


async def test_samples_go_on_while_redis_refuses_them(
    calls: Calls, valkey: Valkey, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are counted, told of once, and taken all the same; later ones are saved again."""
    await start(calls, "red")
    await history(calls, "red", 1)
    counter = "codestudio_usage_samples_unsaved_total"
    before = calls.metric(counter)
    async with redis.asyncio.Redis.from_url(valkey.url) as client:
        # What a full one answers to such a command is an error of the same kind.
        await client.execute_command("ACL", "SETUSER", "default", "-rpush")
        try:
            taken = len(await history(calls, "red", 1))
            await history(calls, "red", taken + 3)
            assert calls.metric(counter) >= before + 2
            await client.delete("usage_history:red")
        finally:
            await client.execute_command("ACL", "SETUSER", "default", "+rpush")

        async def saved() -> bool:
            return bool(await client.exists("usage_history:red"))

        await rig.eventually(saved)
    assert capsys.readouterr().out.count("samples of usage are not saved") == 1


async def test_how_limits_are_enforced_is_told(calls: Calls) -> None:
    """Each limit of a running instance has its means and words; a stopped one has none."""
    await start(calls, "red")
    (red,) = (await usage(calls, instance_id="red")).instances
    told = {one.resource: one for one in red.enforcement}
    assert set(told) == set(resource_pb.LimitedResource.values()) - {0}
    assert all(one.means and one.message for one in told.values())
    storage = told[resource_pb.LIMITED_RESOURCE_STORAGE]
    assert storage.means == resource_pb.ENFORCEMENT_MEANS_PROCESS_LIMIT
    assert "10Gi" in storage.message
    assert not storage.limited
    await calls.workload.StopWorkload(calls.stop_request("red"), metadata=calls.by_service())
    (red,) = (await usage(calls, instance_id="red")).instances
    assert not red.enforcement
