"""What the Instance service does with quota, on the real Quota service."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.chassis import errors, mesh
from services.chassis.settings import ServiceSettings
from services.instance.peers import MeshPeers
from services.instance.record import Desired, Quota, Record, State
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
async def peers(valkey: Valkey, tmp_path: Path) -> AsyncIterator[MeshPeers]:
    """Give the way to a Quota service."""
    async with rig.quota_server(valkey.url, tmp_path) as running:
        settings = ServiceSettings(
            microservice_name="instance-service",
            port=0,
            mesh_address=running.address,
            service_key_file=running.keys.services_key,
        )
        way = mesh.Mesh(settings)
        yield MeshPeers(mesh=way, stop_seconds=5, reserve_seconds=5)
        await way.close()


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


def _told(error: object) -> dict[str, object]:
    assert isinstance(error, errors.ResourceExhausted)
    names = ("code", "message", "details", "instance_id", "metadata", "violations", "service")
    return {name: getattr(error, name) for name in names}
