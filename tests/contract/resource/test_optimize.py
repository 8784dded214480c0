"""Right-sizing of real processes, carried out through the Instance service."""

from typing import Any

import grpc
import pytest
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2
from codestudio.resource.v1 import resource_service_pb2 as resource_pb

from tests.contract.resource.conftest import Calls
from tests.integration.chassis import parts
from tests.integration.resource import rig

SCALE_UP_CPU = resource_pb.OPTIMIZATION_TYPE_SCALE_UP_CPU
SCALE_DOWN_CPU = resource_pb.OPTIMIZATION_TYPE_SCALE_DOWN_CPU
SCALE_DOWN_MEMORY = resource_pb.OPTIMIZATION_TYPE_SCALE_DOWN_MEMORY
APPLIED = resource_pb.OPTIMIZATION_OUTCOME_APPLIED


async def optimize(
    calls: Calls, metadata: Any = None, **fields: Any
) -> resource_pb.OptimizationResult:
    answer: resource_pb.OptimizationResult = await calls.resource.OptimizeResourceAllocation(
        resource_pb.OptimizeResourceAllocationRequest(**fields),
        metadata=metadata or calls.by_user(roles=["admin"]),
    )
    return answer


async def start(calls: Calls, name: str, slot: int = 0, **environment: str) -> None:
    port = calls.base + 100 * slot
    await calls.workload.ApplyWorkload(
        calls.spec(name, port, **environment), metadata=calls.by_service()
    )


async def advice(calls: Calls, kind: Any, name: str) -> resource_pb.Optimization:
    """Wait for a recommendation of a kind for an instance."""
    found: list[resource_pb.Optimization] = []

    async def there() -> bool:
        answer = await optimize(calls)
        found[:] = [
            one for one in answer.optimizations if (one.type, one.instance_id) == (kind, name)
        ]
        return bool(found)

    await rig.eventually(there)
    return found[0]


async def test_a_busy_instance_grows(calls: Calls) -> None:
    """A process that uses a whole core of half a one is given more, with its evidence."""
    calls.instances.put(
        "red", resources=resources_pb2.Resources(cpu="250m", memory="64Mi", storage="10Gi")
    )
    await start(calls, "red", TINY="busy")
    one = await advice(calls, SCALE_UP_CPU, "red")
    assert one.outcome == resource_pb.OPTIMIZATION_OUTCOME_RECOMMENDED
    assert one.current_limit == "250m"
    assert one.current > 0.8
    assert one.evidence.samples >= 3
    assert one.evidence.lowest <= one.evidence.mean <= one.evidence.highest
    assert 0 < one.evidence.window.ToMilliseconds() <= 1000
    assert not calls.instances.updates


async def test_applied_again_nothing_more_happens(calls: Calls) -> None:
    """An idle instance shrinks once; the same call again finds nothing to do."""
    await start(calls, "red")
    await advice(calls, SCALE_DOWN_MEMORY, "red")
    first = await optimize(calls, calls.by_user(), apply=True)
    outcomes = {one.type: one.outcome for one in first.optimizations}
    assert outcomes[SCALE_DOWN_MEMORY] == APPLIED
    assert first.estimated_improvement.memory_bytes_freed > 0
    assert (
        first.estimated_improvement.utilization_after
        > first.estimated_improvement.utilization_before
    )
    assert calls.instances.known["red"].resources.memory == "512Mi"
    memory = _changes_of_memory(calls)
    again = await optimize(calls, calls.by_user(), apply=True)
    assert SCALE_DOWN_MEMORY not in {one.type for one in again.optimizations}
    assert _changes_of_memory(calls) == memory


def _changes_of_memory(calls: Calls) -> int:
    return sum("resources.memory" in one.update_mask.paths for one in calls.instances.updates)


async def test_what_is_not_in_force_says_so(calls: Calls) -> None:
    """A size that the runtime cannot change while it runs counts from the next start."""
    calls.instances.in_force = False
    await start(calls, "red")
    await advice(calls, SCALE_DOWN_MEMORY, "red")
    result = await optimize(calls, instance_id="red", apply=True)
    (one,) = [each for each in result.optimizations if each.type == SCALE_DOWN_MEMORY]
    assert one.outcome == resource_pb.OPTIMIZATION_OUTCOME_AT_NEXT_START
    assert "next start" in one.message


async def test_an_accepted_change_is_no_refusal(calls: Calls) -> None:
    """Whoever cannot look whether it is in force says so, and that it is accepted."""
    calls.instances.in_force = False
    await start(calls, "red")
    await advice(calls, SCALE_DOWN_MEMORY, "red")
    original = calls.instances._meet

    async def meet(method: str, context: Any) -> None:
        red = calls.instances.known["red"]
        if method == "UpdateInstance" and _changes_of_memory(calls):
            red.reconciling = True
        if method == "GetInstance" and red.resources.memory == "512Mi":
            # Accepted, still on its way into force; whoever looks again is not answered.
            calls.instances.refuses["GetInstance"] = (grpc.StatusCode.UNAVAILABLE, "MONGODB_GONE")
        await original(method, context)

    calls.instances._meet = meet  # type: ignore[method-assign]
    result = await optimize(calls, apply=True)
    (one,) = [each for each in result.optimizations if each.type == SCALE_DOWN_MEMORY]
    assert calls.instances.known["red"].resources.memory == "512Mi"
    assert one.outcome == resource_pb.OPTIMIZATION_OUTCOME_AT_NEXT_START
    assert "MONGODB_GONE" in one.message


async def test_a_refusal_is_told_one_by_one(calls: Calls) -> None:
    """What the quota refuses is REFUSED with its words, and the call succeeds."""
    await start(calls, "red")
    await advice(calls, SCALE_DOWN_MEMORY, "red")
    refusal = (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    calls.instances.refuses["UpdateInstance"] = refusal
    result = await optimize(calls, apply=True)
    assert result.optimizations
    for one in result.optimizations:
        assert one.outcome == resource_pb.OPTIMIZATION_OUTCOME_REFUSED
        assert one.message.startswith("QUOTA_EXCEEDED: ")


async def test_somebody_elses_change_is_kept(calls: Calls) -> None:
    """A size that was changed since it was looked at is not changed back."""
    await start(calls, "red")
    await advice(calls, SCALE_DOWN_MEMORY, "red")
    original = calls.instances._meet

    async def meet(method: str, context: Any) -> None:
        if method == "UpdateInstance" and calls.instances.known["red"].etag == "1":
            calls.instances.put(
                "red",
                etag="7",
                resources=resources_pb2.Resources(cpu="1", memory="7Gi", storage="10Gi"),
            )
        await original(method, context)

    calls.instances._meet = meet  # type: ignore[method-assign]
    result = await optimize(calls, apply=True)
    (one,) = [each for each in result.optimizations if each.type == SCALE_DOWN_MEMORY]
    assert one.outcome == resource_pb.OPTIMIZATION_OUTCOME_REFUSED
    assert calls.instances.known["red"].resources.memory == "7Gi"


async def test_users_see_their_own_only(calls: Calls) -> None:
    """A user's call is about that user's instances, an admin's about all; a viewer has none."""
    await start(calls, "red")
    await start(calls, "blue", 1)
    await advice(calls, SCALE_DOWN_MEMORY, "red")
    await advice(calls, SCALE_DOWN_MEMORY, "blue")
    own = await optimize(calls, calls.by_user())
    assert {one.instance_id for one in own.optimizations} == {"red"}
    everything = await optimize(calls)
    assert {one.instance_id for one in everything.optimizations} == {"red", "blue"}
    code, _ = await parts.refusal(optimize(calls, calls.by_user(), instance_id="blue", apply=True))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    code, _ = await parts.refusal(optimize(calls, calls.by_user(roles=["viewer"])))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert not calls.instances.updates


@pytest.mark.parametrize("state", ["STOPPED", "STARTING"])
async def test_only_what_runs_is_sized(calls: Calls, state: str) -> None:
    """What is not RUNNING is not looked at."""
    await start(calls, "red")
    await advice(calls, SCALE_DOWN_MEMORY, "red")
    number = instance_pb2.InstanceState.Value(f"INSTANCE_STATE_{state}")
    calls.instances.put("red", state=number)
    result = await optimize(calls, instance_id="red")
    assert not result.optimizations
    code, detail = await parts.refusal(optimize(calls, namespace="A/B", instance_id=".."))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert {one.field for one in detail.violations} == {"instance_id", "namespace"}
