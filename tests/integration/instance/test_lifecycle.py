"""What becomes of an instance, from its creation to its end."""

from __future__ import annotations

import grpc
import pytest
from codestudio.instance.v1 import instance_pb2

from tests.integration.instance import rig


async def test_created_it_runs_and_deleted_nothing_is_left(service: rig.Replica) -> None:
    """An instance runs within moments of its creation, stops, starts, and goes without a trace."""
    outside = service.parts.world
    made = await service.create(namespace="team", labels={"course": "cs101"})
    assert made.state == instance_pb2.INSTANCE_STATE_PENDING
    assert made.resources.cpu == "500m"
    await service.until(made.id, "RUNNING")
    running = await service.get(made.id)
    assert running.ports.web_port == outside.ports[made.id]
    assert [one.status for one in running.conditions] == [True] * 5
    assert not running.reconciling
    assert outside.reservations[made.id].cpu == "500m"

    await service.stop(made.id)
    await service.until(made.id, "STOPPED")
    stopped = await service.get(made.id)
    assert stopped.stop_reason == instance_pb2.STOP_REASON_USER
    assert not stopped.ports.web_port
    held = outside.reservations[made.id]
    assert (held.instances, held.cpu, held.memory, held.storage) == (1, "", "", "10Gi")
    assert outside.disks == {made.id}

    await service.start(made.id)
    await service.until(made.id, "RUNNING")
    assert outside.reservations[made.id].cpu == "500m"

    await service.delete(made.id)
    await service.until(made.id, "GONE")
    assert outside.leftovers == (set(), set(), set(), set())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await service.delete(made.id)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    await service.delete(made.id, allow_missing=True)
