"""Changing instances through the service, on the real database."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from codestudio.common.v1 import resources_pb2
from google.protobuf import duration_pb2

from tests.integration.instance import rig


async def _settled(service: rig.Replica, instance_id: str) -> Any:
    async def settled() -> bool:
        return not (await service.get(instance_id)).reconciling

    await rig.until(settled, f"{instance_id} is reconciled")
    return await service.get(instance_id)


async def _refused(call: Any, code: grpc.StatusCode, name: str) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    detail = rig.detail(refused.value)
    assert (refused.value.code(), detail.code) == (code, name), refused.value
    return detail


async def test_a_running_instance_is_changed_and_goes_on(service: rig.Replica) -> None:
    """Resources are in force at once, an environment from the next start; every part agrees."""
    outside = service.parts.world
    await service.create(id="grows")
    await service.until("grows", "RUNNING")
    before = await service.get("grows")
    assert before.effective_resources == before.resources
    changed = await service.update(
        "grows",
        "resources.cpu",
        "environment",
        "labels",
        "idle_timeout",
        resources=resources_pb2.Resources(cpu="750m"),
        environment={"A": "1"},
        labels={"size": "big"},
        idle_timeout=duration_pb2.Duration(seconds=600),
        etag=before.etag,
    )
    assert (changed.resources.cpu, changed.resources.memory) == ("750m", before.resources.memory)
    after = await _settled(service, "grows")
    assert after.effective_resources == after.resources == changed.resources
    assert list(after.pending_fields) == ["environment"]
    assert (after.labels, after.idle_timeout.seconds) == ({"size": "big"}, 600)
    assert outside.reservations["grows"].cpu == "750m"
    assert outside.workloads["grows"].resources.cpu == "750m"
    assert (outside.started, after.restarts) == (1, 0)

    await service.stop("grows")
    await service.until("grows", "STOPPED")
    stopped = await service.get("grows")
    assert not stopped.HasField("effective_resources")
    assert not stopped.pending_fields
    await service.start("grows")
    await service.until("grows", "RUNNING")
    started = await service.get("grows")
    assert not started.pending_fields
    assert outside.environments["grows"] == {"A": "1"}


async def test_a_refused_change_changes_nothing(service: rig.Replica) -> None:
    """Over quota, with an old etag, or wrong in itself: everything stays as it was."""
    outside = service.parts.world
    await service.create(id="stays")
    await service.until("stays", "RUNNING")
    before = await service.get("stays")
    bigger = resources_pb2.Resources(cpu="3")
    outside.faults["ReserveQuota"] = (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    await _refused(
        service.update("stays", resources=bigger, display_name="New"),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "QUOTA_EXCEEDED",
    )
    del outside.faults["ReserveQuota"]
    assert await _settled(service, "stays") == before
    assert outside.reservations["stays"].cpu == before.resources.cpu
    await _refused(
        service.update("stays", resources=bigger, etag="old"),
        grpc.StatusCode.ABORTED,
        "ETAG_MISMATCH",
    )
    detail = await _refused(
        service.update(
            "stays", "resources.cpu", "state", resources=resources_pb2.Resources(cpu="9")
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_ARGUMENT",
    )
    assert {one.field for one in detail.violations} == {"instance.resources.cpu", "update_mask"}
    await _refused(
        service.update("stays", display_name="x", metadata=service.as_user("bob")),
        grpc.StatusCode.PERMISSION_DENIED,
        "INSTANCE_NOT_YOURS",
    )
    await _refused(
        service.update("nobody", display_name="x"), grpc.StatusCode.NOT_FOUND, "INSTANCE_NOT_FOUND"
    )
    would = await service.update("stays", resources=bigger, validate_only=True)
    assert would.resources.cpu == "3"
    assert await service.get("stays") == before


async def test_a_shortened_lifetime_counts_at_once(service: rig.Replica) -> None:
    """max_lifetime runs from the start of the instance, whenever it was set."""
    await service.create(id="brief")
    await service.until("brief", "RUNNING")
    changed = await service.update(
        "brief", "max_lifetime", max_lifetime=duration_pb2.Duration(seconds=3600)
    )
    assert changed.max_lifetime.seconds == 3600
    never = await service.update("brief", "max_lifetime")
    assert not never.HasField("max_lifetime")
    assert await service.state("brief") == "RUNNING"
