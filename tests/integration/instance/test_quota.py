"""What the Instance service does with quota, on the real Quota service."""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from codestudio.quota.v1 import quota_service_pb2 as pb
from codestudio.quota.v1 import quota_service_pb2_grpc
from google.protobuf import empty_pb2

from services.chassis import errors, mesh
from services.chassis.settings import ServiceSettings
from services.devstack.stack import Stack
from services.instance.peers import MeshPeers
from services.instance.record import Desired, Quota, Record, State
from tests.integration.instance import rig as instance_rig
from tests.integration.instance import world
from tests.integration.quota import rig
from tests.integration.quota.valkey import Valkey


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """Run a Valkey for the ledger."""
    running = Valkey(tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.fixture
async def quota(valkey: Valkey, tmp_path: Path) -> AsyncIterator[rig.Rig]:
    """Run a Quota service."""
    async with rig.quota_server(valkey.url, tmp_path) as running:
        yield running


@pytest.fixture
async def peers(quota: rig.Rig) -> AsyncIterator[MeshPeers]:
    """Give the way to it."""
    settings = ServiceSettings(
        microservice_name="instance-service",
        port=0,
        mesh_address=quota.address,
        service_key_file=quota.keys.services_key,
    )
    way = mesh.Mesh(settings)
    yield MeshPeers(mesh=way, stop_seconds=5, reserve_seconds=5)
    await way.close()


class SlowWay(world.World):
    """A world whose quota is the real service's, far away."""

    def __init__(self, stub: quota_service_pb2_grpc.QuotaServiceAsyncStub) -> None:
        super().__init__()
        self._stub = stub
        self.near = asyncio.Event()
        """Until then a reservation is on its way."""
        self.granted: list[str] = []
        """What was reserved, whether or not anybody waited for it."""

    async def ReserveQuota(
        self, request: pb.ReserveQuotaRequest, context: object
    ) -> pb.Reservation:
        self.calls["ReserveQuota"] += 1
        return await asyncio.shield(asyncio.create_task(self._reserve(request)))

    async def _reserve(self, request: pb.ReserveQuotaRequest) -> pb.Reservation:
        await self.near.wait()
        answer = await self._stub.ReserveQuota(request)
        self.granted.append(request.instance_id)
        return answer

    async def ReleaseQuota(
        self, request: pb.ReleaseQuotaRequest, context: object
    ) -> empty_pb2.Empty:
        return await self._stub.ReleaseQuota(request)


def _record(instance_id: str, cpu: str) -> Record:
    return Record(
        id=instance_id,
        uid=instance_id,
        owner="ada",
        namespace="team",
        cpu=cpu,
        memory="1Gi",
        storage="10Gi",
        desired=Desired.RUNNING,
        state=State.PENDING,
        created_at=1,
    )


async def test_a_refusal_is_the_same_to_the_letter(peers: MeshPeers) -> None:
    """A reservation alone, one that travels with others and a dry run are refused in one way."""
    small, big = _record("fox", "99"), _record("fox", "101")
    await peers.reserve_quota(small, Quota.RUNNING)
    with pytest.raises(errors.ResourceExhausted) as alone:
        await peers.reserve_quota(big, Quota.RUNNING)
    with pytest.raises(errors.ResourceExhausted) as dry:
        await peers.check_quota(big, Quota.RUNNING)
    together = await asyncio.gather(
        *(
            peers.reserve_quota(dataclasses.replace(big, id=name), Quota.RUNNING)
            for name in ("fox", "owl")
        ),
        return_exceptions=True,
    )
    assert _told(alone.value)["message"] == (
        "Quota of namespace team exceeded: cpu: 99 of 100 in use (99 by this instance), "
        "101 asked for, 1 over the limit"
    )
    assert _told(dry.value) == _told(together[0]) == _told(alone.value)
    assert _told(together[1])["instance_id"] == "owl"
    await peers.check_quota(small, Quota.RUNNING)


@pytest.mark.parametrize("way", ["timed out", "cancelled"])
async def test_a_reservation_nobody_waits_for_any_more_is_released(
    infrastructure: Stack, quota: rig.Rig, way: str
) -> None:
    """It is made after whoever asked has gone, and given back long before a repair would."""
    async with contextlib.AsyncExitStack() as stack:
        stub = await stack.enter_async_context(quota.as_service())
        outside = SlowWay(stub)
        port = await stack.enter_async_context(world.serving(outside))
        database = f"test-{uuid.uuid4().hex[:12]}"
        parts = instance_rig.Parts(infrastructure, database, outside, port)
        # The reconciler does not come to help.
        service = await stack.enter_async_context(
            instance_rig.replica(parts, claim_abandon_seconds=300.0)
        )
        config = instance_pb2.InstanceConfig(id="fox", namespace="team")
        call = service.stub.CreateInstance(
            instance_service_pb2.CreateInstanceRequest(config=config),
            metadata=service.metadata,
            timeout=3 if way == "timed out" else 60,
        )

        async def asked() -> bool:
            return bool(outside.calls["ReserveQuota"])

        async def granted() -> bool:
            return bool(outside.granted)

        async def free() -> bool:
            held = await stub.GetQuota(pb.GetQuotaRequest(namespace="team"))
            return held.reservations == 0

        await instance_rig.until(asked, "the reservation is asked for")
        if way == "cancelled":
            call.cancel()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call
        outside.near.set()
        await instance_rig.until(granted, "the reservation is made")
        await instance_rig.until(free, "it is released", timeout=10)
        assert await service.state("fox") == "GONE"
        assert (await service.create(id="fox", namespace="team")).id == "fox"


def _told(error: object) -> dict[str, object]:
    assert isinstance(error, errors.ResourceExhausted)
    names = ("code", "message", "details", "instance_id", "metadata", "violations", "service")
    return {name: getattr(error, name) for name in names}
