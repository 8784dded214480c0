"""Resource and Workload service over gRPC: what callers may ask and what they are told."""

from typing import Any

import grpc
import pytest
from codestudio.common.v1 import resources_pb2
from codestudio.resource.v1 import (
    resource_service_pb2 as resource_pb,
)
from codestudio.resource.v1 import (
    workload_service_pb2 as workload_pb,
)

from tests.contract.resource.conftest import Calls
from tests.integration.chassis import parts


async def allocate(calls: Calls, name: str, **fields: Any) -> resource_pb.ResourceAllocation:
    return await calls.resource.AllocateResources(
        resource_pb.AllocateResourcesRequest(instance_id=name, **fields),
        metadata=calls.by_service(),
    )


async def test_allocation_with_defaults(calls: Calls) -> None:
    """Namespace and resources left out get the configured defaults; again is the same."""
    first = await allocate(calls, "red")
    assert first == await allocate(calls, "red")
    assert first.namespace == "default"
    assert (first.web_port, first.callback_port_range.start) == (calls.base, calls.base + 50)
    assert first.callback_port_range.end == calls.base + 99
    assert (first.resources.cpu, first.resources.memory) == ("500m", "2Gi")
    assert first.allocated_at.seconds > 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"instance_id": ""}, "instance_id"),
        ({"instance_id": "../red"}, "instance_id"),
        ({"instance_id": "Red"}, "instance_id"),
        ({"instance_id": "r" * 300}, "instance_id"),
        ({"namespace": "a/b"}, "namespace"),
        ({"web_port": 80}, "web_port"),
        ({"web_port": 8001}, "web_port"),
        ({"web_port": -1}, "web_port"),
        ({"web_port": 70000}, "web_port"),
        ({"resources": resources_pb2.Resources(cpu="-1")}, "resources.cpu"),
        ({"resources": resources_pb2.Resources(memory="2Gb")}, "resources.memory"),
        ({"resources": resources_pb2.Resources(storage="0")}, "resources.storage"),
        ({"unusable_web_port": -1}, "unusable_web_port"),
    ],
)
async def test_bad_input_names_the_field(calls: Calls, fields: dict[str, Any], field: str) -> None:
    """Every wrong field is INVALID_ARGUMENT with its name."""
    code, detail = await parts.refusal(allocate(calls, fields.pop("instance_id", "red"), **fields))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [one.field for one in detail.violations] == [field]


@pytest.mark.parametrize(
    ("field", "within", "beyond"),
    [("cpu", "4", "4001m"), ("memory", "8Gi", "9Gi"), ("storage", "1Ti", "2Ti")],
)
async def test_nobody_allocates_by_hand_more_than_an_instance_may_have(
    calls: Calls, field: str, within: str, beyond: str
) -> None:
    """The limits in force; a service's word is for what was admitted before."""

    def asked(amount: str) -> resource_pb.AllocateResourcesRequest:
        resources = resources_pb2.Resources(**{field: amount})
        return resource_pb.AllocateResourcesRequest(instance_id="ahead", resources=resources)

    admin = calls.by_user(roles=["admin"])
    code, detail = await parts.refusal(
        calls.resource.AllocateResources(asked(beyond), metadata=admin)
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [one.field for one in detail.violations] == [f"resources.{field}"]
    await calls.resource.AllocateResources(asked(within), metadata=admin)
    await calls.resource.AllocateResources(asked(beyond), metadata=calls.by_service())


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ApplyWorkload", workload_pb.ApplyWorkloadRequest(instance_id="..")),
        ("StopWorkload", workload_pb.StopWorkloadRequest(instance_id="../red")),
        ("DeleteWorkload", workload_pb.DeleteWorkloadRequest(instance_id=".trash")),
        ("GetWorkload", workload_pb.GetWorkloadRequest(instance_id="")),
        ("GetWorkloadLogs", workload_pb.GetWorkloadLogsRequest(instance_id="/etc")),
    ],
)
async def test_no_id_becomes_a_path_unchecked(calls: Calls, method: str, request_: Any) -> None:
    """Every method checks ids before anything else."""
    code, detail = await parts.refusal(
        getattr(calls.workload, method)(request_, metadata=calls.by_service())
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "instance_id" in [one.field for one in detail.violations]


async def test_users_cannot_reach_workloads(calls: Calls) -> None:
    """The internal service is for services."""
    code, _ = await parts.refusal(
        calls.workload.StopWorkload(
            workload_pb.StopWorkloadRequest(instance_id="red"), metadata=calls.by_user()
        )
    )
    assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_workloads_life_is_watched(calls: Calls) -> None:
    """Snapshot, synced, then every state it comes to, and its removal."""
    await calls.workload.ApplyWorkload(calls.spec("red", calls.base), metadata=calls.by_service())
    watch = calls.workload.WatchWorkloads(
        workload_pb.WatchWorkloadsRequest(), metadata=calls.by_service()
    )
    first = await watch.read()
    assert first.workload.instance_id == "red"
    assert first.workload.spec_hash
    assert (await watch.read()).synced
    last = first.workload
    while last.phase != workload_pb.WORKLOAD_PHASE_READY:
        last = (await watch.read()).workload
    assert last.endpoint == f"127.0.0.1:{calls.base}"
    assert last.ready_time.seconds > 0
    logs = await calls.workload.GetWorkloadLogs(
        workload_pb.GetWorkloadLogsRequest(instance_id="red"), metadata=calls.by_service()
    )
    assert logs.lines[0].startswith("editor of red")
    stopped = await calls.workload.StopWorkload(
        workload_pb.StopWorkloadRequest(instance_id="red"), metadata=calls.by_service()
    )
    assert stopped.phase == workload_pb.WORKLOAD_PHASE_STOPPED
    await calls.workload.DeleteWorkload(
        workload_pb.DeleteWorkloadRequest(instance_id="red"), metadata=calls.by_service()
    )
    while not (message := await watch.read()).removed_instance_id:
        assert message.workload.instance_id == "red"
    watch.cancel()
    code, detail = await parts.refusal(
        calls.workload.GetWorkload(
            workload_pb.GetWorkloadRequest(instance_id="red"), metadata=calls.by_service()
        )
    )
    assert (code, detail.code) == (grpc.StatusCode.NOT_FOUND, "WORKLOAD_NOT_FOUND")


async def test_why_it_ended_is_told(calls: Calls) -> None:
    """EXITED carries exit code and error."""
    await calls.workload.ApplyWorkload(
        calls.spec("red", calls.base, TINY="fails"), metadata=calls.by_service()
    )
    watch = calls.workload.WatchWorkloads(
        workload_pb.WatchWorkloadsRequest(), metadata=calls.by_service()
    )
    async for message in watch:
        if message.workload.phase == workload_pb.WORKLOAD_PHASE_EXITED:
            assert message.workload.exit_code == 1
            assert message.workload.error.code == "EDITOR_NOT_STARTED"
            assert message.workload.error.service == "resource-service"
            break
    watch.cancel()


async def usage(calls: Calls, metadata: Any, **fields: Any) -> resource_pb.ResourceUsage:
    return await calls.resource.GetResourceUsage(
        resource_pb.GetResourceUsageRequest(**fields), metadata=metadata
    )


async def test_usage_shows_only_what_the_caller_may_see(calls: Calls) -> None:
    """Services and admins see all; a user what the Instance service shows that user."""
    for slot, name in enumerate(("blue", "red")):
        port = calls.base + 100 * slot
        await allocate(calls, name, web_port=port)
        await calls.workload.ApplyWorkload(calls.spec(name, port), metadata=calls.by_service())
    everything = await usage(calls, calls.by_service())
    assert [one.instance_id for one in everything.instances] == ["blue", "red"]
    assert (everything.port_ranges_used, everything.port_ranges_total) == (2, 3)
    assert everything.resolution.nanos == 200_000_000
    red = everything.instances[1]
    assert red.processes >= 1
    assert red.current.memory_bytes > 0
    assert red.memory_ratio == pytest.approx(red.current.memory_bytes / 2**31)
    assert red.limits.cpu == "500m"
    total = sum(one.current.memory_bytes for one in everything.instances)
    assert everything.total.memory_bytes == pytest.approx(total)
    admin = await usage(calls, calls.by_user(roles=["admin"]))
    assert [one.instance_id for one in admin.instances] == ["blue", "red"]
    own = await usage(calls, calls.by_user())
    assert [one.instance_id for one in own.instances] == ["red"]
    one = await usage(calls, calls.by_user(), instance_id="red", include_history=True)
    assert [each.instance_id for each in one.instances] == ["red"]
    code, _ = await parts.refusal(usage(calls, calls.by_user(), instance_id="blue"))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    code, detail = await parts.refusal(usage(calls, calls.by_service(), instance_id="pink"))
    assert (code, detail.code) == (grpc.StatusCode.NOT_FOUND, "INSTANCE_NOT_FOUND")
    other = await usage(calls, calls.by_service(), namespace="other")
    assert list(other.instances) == []
