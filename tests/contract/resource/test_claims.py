"""Allocations by callers from outside agree with the instances, and none is lost for ever."""

from typing import Any

import grpc
import pytest
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2
from codestudio.resource.v1 import resource_service_pb2 as resource_pb

from tests.contract.resource.conftest import Calls
from tests.integration.chassis import parts
from tests.integration.resource import rig

STOPPED, FAILED = instance_pb2.INSTANCE_STATE_STOPPED, instance_pb2.INSTANCE_STATE_FAILED


async def allocate(
    calls: Calls, name: str, metadata: Any = None, **fields: Any
) -> resource_pb.ResourceAllocation:
    answer: resource_pb.ResourceAllocation = await calls.resource.AllocateResources(
        resource_pb.AllocateResourcesRequest(instance_id=name, **fields),
        metadata=metadata or calls.by_user(roles=["admin"]),
    )
    return answer


async def deallocate(calls: Calls, name: str, metadata: Any = None) -> None:
    await calls.resource.DeallocateResources(
        resource_pb.DeallocateResourcesRequest(instance_id=name),
        metadata=metadata or calls.by_user(roles=["admin"]),
    )


async def used(calls: Calls) -> int:
    answer = await calls.resource.GetResourceUsage(
        resource_pb.GetResourceUsageRequest(), metadata=calls.by_service()
    )
    return int(answer.port_ranges_used)


async def test_for_an_instance_it_is_what_the_instance_has(calls: Calls) -> None:
    """Left open, namespace and resources are the instance's own; again, it is the same."""
    calls.instances.put(
        "red",
        namespace="team",
        resources=resources_pb2.Resources(cpu="750m", memory="3Gi", storage="5Gi"),
    )
    by_service = await allocate(
        calls,
        "red",
        calls.by_service(),
        namespace="team",
        resources=resources_pb2.Resources(cpu="750m", memory="3Gi", storage="5Gi"),
    )
    by_admin = await allocate(calls, "red")
    assert by_admin == by_service
    same = resources_pb2.Resources(cpu="0.75", memory="3072Mi")
    assert await allocate(calls, "red", namespace="team", resources=same) == by_service


@pytest.mark.parametrize(
    "fields",
    [
        {"namespace": "other"},
        {"resources": resources_pb2.Resources(cpu="600m")},
        {"resources": resources_pb2.Resources(memory="1Gi")},
        {"resources": resources_pb2.Resources(storage="1Gi")},
    ],
)
async def test_it_never_contradicts_the_instance(calls: Calls, fields: dict[str, Any]) -> None:
    """Anything but what the record says is refused, and nothing is allocated."""
    code, detail = await parts.refusal(allocate(calls, "red", **fields))
    assert (code, detail.code) == (grpc.StatusCode.FAILED_PRECONDITION, "ALLOCATION_CONTRADICTS")
    assert await used(calls) == 0


@pytest.mark.parametrize(
    "state", [STOPPED, FAILED, instance_pb2.INSTANCE_STATE_DELETING], ids=["stopped", "f", "d"]
)
async def test_what_is_down_has_no_ports(calls: Calls, state: Any) -> None:
    """An instance gets ports by being started, not by an allocation."""
    calls.instances.put("red", state=state)
    code, detail = await parts.refusal(allocate(calls, "red"))
    assert (code, detail.code) == (grpc.StatusCode.FAILED_PRECONDITION, "ALLOCATION_CONTRADICTS")


async def test_what_is_used_is_not_taken_back(calls: Calls) -> None:
    """While an instance is up, or something of it runs, its range is its own; then it is not."""
    await allocate(calls, "red", calls.by_service())
    for state, name in (
        (instance_pb2.INSTANCE_STATE_PENDING, "PENDING"),
        (instance_pb2.INSTANCE_STATE_RUNNING, "RUNNING"),
        (instance_pb2.INSTANCE_STATE_STOPPING, "STOPPING"),
    ):
        calls.instances.put("red", state=state)
        code, detail = await parts.refusal(deallocate(calls, "red"))
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert (detail.code, detail.metadata["state"]) == ("INSTANCE_USES_RESOURCES", name)
    await calls.workload.ApplyWorkload(calls.spec("red", calls.base), metadata=calls.by_service())
    del calls.instances.known["red"]
    code, detail = await parts.refusal(deallocate(calls, "red"))
    assert detail.code == "INSTANCE_USES_RESOURCES"
    await calls.workload.StopWorkload(calls.stop_request("red"), metadata=calls.by_service())
    await deallocate(calls, "red")
    await deallocate(calls, "red")
    assert await used(calls) == 0


async def test_without_the_instances_nothing_is_decided(calls: Calls) -> None:
    """While the Instance service is away, callers from outside are told to come again."""
    calls.instances.refuses["GetInstance"] = (grpc.StatusCode.UNAVAILABLE, "AWAY")
    for call in (allocate(calls, "red"), deallocate(calls, "red")):
        code, _ = await parts.refusal(call)
        assert code is grpc.StatusCode.UNAVAILABLE
    await allocate(calls, "red", calls.by_service())


async def test_a_leaked_range_comes_back(calls: Calls) -> None:
    """A range of an instance that is down, or of none, is taken back; those in use stay."""
    calls.instances.put("up", state=instance_pb2.INSTANCE_STATE_PENDING)
    for name in ("red", "up", "never"):
        await allocate(calls, name, calls.by_service())
    assert await used(calls) == 3
    calls.instances.put("red", state=STOPPED)

    async def holders() -> set[str]:
        answer = await calls.resource.GetResourceUsage(
            resource_pb.GetResourceUsageRequest(), metadata=calls.by_service()
        )
        return {one.instance_id for one in answer.instances}

    async def back() -> bool:
        return not {"red", "never"} & await holders()

    await rig.eventually(back)
    name = "codestudio_port_ranges_comparisons_total"
    enough = calls.metric(name, outcome="compared") + 5

    async def compared() -> bool:
        return calls.metric(name, outcome="compared") >= enough

    await rig.eventually(compared)
    assert await holders() == {"up"}, "a range in use was taken back"


async def test_a_range_may_wait_for_its_instance(calls: Calls) -> None:
    """Allocated for an id without an instance it stays a while, for who creates it."""
    early = await allocate(calls, "soon", namespace="team")
    assert (early.namespace, early.resources.cpu) == ("team", "500m")
    calls.instances.put("soon", namespace="team", state=instance_pb2.INSTANCE_STATE_PENDING)
    started = await allocate(calls, "soon", calls.by_service(), namespace="team")
    assert started.web_port == early.web_port


async def test_instances_that_cannot_be_listed_cost_nobody_a_range(calls: Calls) -> None:
    """As long as the comparison fails, everything stays."""
    calls.instances.refuses["ListInstances"] = (grpc.StatusCode.UNAVAILABLE, "AWAY")
    await allocate(calls, "never", calls.by_service())

    name = "codestudio_port_ranges_comparisons_total"
    before = calls.metric(name, outcome="failed")

    async def compared() -> bool:
        # Long enough for the range to have been taken back, had it been.
        return calls.metric(name, outcome="failed") >= before + 10

    await rig.eventually(compared)
    assert await used(calls) == 1
