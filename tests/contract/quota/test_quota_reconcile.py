"""Reconciliation that is asked for, and what is told of it."""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import redis
from codestudio.quota.v1 import quota_service_pb2 as pb

from tests.contract.quota.test_quota_contract import ONE, Stub, refusal, reserve
from tests.integration.quota import rig
from tests.integration.quota.valkey import Valkey

FULL = pb.Amounts(instances=1, cpu="1", memory="1Gi", storage="10Gi")
DISK = pb.Amounts(instances=1, cpu="0", memory="0", storage="10Gi")
ALWAYS = 3600.0


@pytest.fixture
async def service(server: Valkey, tmp_path: Path) -> AsyncIterator[rig.Rig]:
    """Run the service so that nothing is repaired unless asked for, and nothing is too young."""
    _empty(server)
    async with rig.quota_server(
        server.url,
        tmp_path,
        quota_reconcile_seconds=ALWAYS,
        quota_confirm_seconds=0.05,
        quota_grace_seconds=0.0,
    ) as running:
        yield running


def _empty(server: Valkey) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        # As if another replica were comparing: this one's own passes leave it alone.
        client.set("lease:quota-reconcile", "another", px=600_000)


async def wrong(service: rig.Rig, admin: Stub) -> None:
    """Make every kind of difference, in two namespaces."""
    service.instances.add("missing")
    service.instances.add("stopped", state="STOPPED", desired="STOPPED")
    service.instances.add("right")
    service.instances.add("elsewhere", namespace="other")
    for name in ("orphan", "stopped", "right"):
        await admin.ReserveQuota(reserve(name, FULL))


async def test_a_dry_run_tells_and_changes_nothing(service: rig.Rig, admin: Stub) -> None:
    """Every difference is told with what is, what has to be, and why; nothing is repaired."""
    await wrong(service, admin)
    told = await admin.ReconcileQuota(pb.ReconcileQuotaRequest(validate_only=True))
    found = {one.instance_id: one for one in told.repairs}
    assert {name: one.kind for name, one in found.items()} == {
        "missing": pb.QuotaRepair.KIND_RESERVE,
        "orphan": pb.QuotaRepair.KIND_RELEASE,
        "stopped": pb.QuotaRepair.KIND_RESIZE,
        "elsewhere": pb.QuotaRepair.KIND_RESERVE,
    }
    assert [one.namespace for one in told.repairs] == ["other", "team", "team", "team"]
    assert (found["stopped"].before, found["stopped"].after) == (FULL, DISK)
    assert not found["missing"].HasField("before")
    assert found["missing"].after == FULL
    assert found["orphan"].before == FULL
    assert not found["orphan"].HasField("after")
    assert found["orphan"].reason == "there is no such instance"
    assert found["stopped"].reason == "the instance is STOPPED, to be STOPPED"
    assert {one.withheld for one in told.repairs} == {"a dry run repairs nothing"}
    assert (told.applied, told.instances, told.reservations) == (0, 4, 3)
    assert (await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))).reservations == 3
    assert not (await admin.ListQuotaRepairs(pb.ListQuotaRepairsRequest())).repairs


async def test_repairs_are_done_told_and_kept(service: rig.Rig, admin: Stub) -> None:
    """What is repaired is in the answer and in the list, newest first; then nothing is wrong."""
    await wrong(service, admin)
    told = await admin.ReconcileQuota(pb.ReconcileQuotaRequest())
    assert told.applied == len(told.repairs) == 4
    assert all(one.applied and not one.withheld for one in told.repairs)
    quota = await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))
    assert quota.usage == pb.Amounts(instances=3, cpu="2", memory="2Gi", storage="30Gi")
    kept = await admin.ListQuotaRepairs(pb.ListQuotaRepairsRequest())
    assert {(one.namespace, one.instance_id, one.kind) for one in kept.repairs} == {
        (one.namespace, one.instance_id, one.kind) for one in told.repairs
    }
    assert (await admin.ReconcileQuota(pb.ReconcileQuotaRequest())).repairs == []

    service.instances.records.clear()
    await admin.ReconcileQuota(pb.ReconcileQuotaRequest(namespace="other"))
    newest = await admin.ListQuotaRepairs(pb.ListQuotaRepairsRequest(page_size=1))
    assert [(one.instance_id, one.kind) for one in newest.repairs] == [
        ("elsewhere", pb.QuotaRepair.KIND_RELEASE)
    ]
    team = await admin.ListQuotaRepairs(pb.ListQuotaRepairsRequest(namespace="team"))
    assert len(team.repairs) == 3


async def test_one_namespace_is_repaired_alone(service: rig.Rig, admin: Stub) -> None:
    """What is wrong elsewhere stays."""
    await wrong(service, admin)
    told = await admin.ReconcileQuota(pb.ReconcileQuotaRequest(namespace="other"))
    assert [one.instance_id for one in told.repairs] == ["elsewhere"]
    assert (told.instances, told.reservations) == (1, 0)
    assert (await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))).reservations == 3


@pytest.mark.parametrize("validate_only", [True, False])
async def test_wrong_usage_is_told(
    server: Valkey, service: rig.Rig, admin: Stub, validate_only: bool
) -> None:
    """Usage that is not the sum is a repair of the namespace, not of an instance."""
    service.instances.add("fox")
    await admin.ReserveQuota(reserve("fox", FULL))
    with redis.Redis.from_url(server.url) as client:
        client.hset("quota:{team}:usage", "cpu", "77")
    request = pb.ReconcileQuotaRequest(namespace="team", validate_only=validate_only)
    told = await admin.ReconcileQuota(request)
    (recount,) = told.repairs
    assert recount.kind == pb.QuotaRepair.KIND_RECOUNT
    assert (recount.instance_id, recount.before.cpu) == ("", "77m")
    usage = (await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))).usage
    assert recount.applied == (not validate_only)
    assert usage.cpu == ("77m" if validate_only else "1")


async def test_what_is_under_way_is_left_alone(server: Valkey, tmp_path: Path) -> None:
    """A reservation made just now may be of a create under way: told, and not taken back."""
    _empty(server)
    async with (
        rig.quota_server(
            server.url, tmp_path, quota_reconcile_seconds=ALWAYS, quota_confirm_seconds=0.05
        ) as young,
        young.as_user() as stub,
    ):
        await stub.ReserveQuota(reserve("fox"))
        for validate_only in (True, False):
            request = pb.ReconcileQuotaRequest(namespace="team", validate_only=validate_only)
            (told,) = (await stub.ReconcileQuota(request)).repairs
            assert not told.applied
            assert told.withheld.startswith("reserved less than 60 s ago")
        quota = await stub.GetQuota(pb.GetQuotaRequest(namespace="team"))
        assert quota.usage == ONE


async def test_half_a_list_repairs_nothing(service: rig.Rig, admin: Stub) -> None:
    """Where the instances cannot be listed to the end, that is the answer."""
    await wrong(service, admin)
    service.instances.pages_until_fault = 1
    await refusal(admin.ReconcileQuota(pb.ReconcileQuotaRequest()), grpc.StatusCode.UNAVAILABLE)
    assert (await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))).reservations == 3


async def test_for_administrators(service: rig.Rig, admin: Stub) -> None:
    """Users neither repair nor read what was; what is wrong with a request is told."""
    async with service.as_user(role="user") as ada:
        denied = grpc.StatusCode.PERMISSION_DENIED
        await refusal(ada.ReconcileQuota(pb.ReconcileQuotaRequest()), denied)
        await refusal(ada.ListQuotaRepairs(pb.ListQuotaRepairsRequest()), denied)
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    error = await refusal(admin.ReconcileQuota(pb.ReconcileQuotaRequest(namespace="9")), invalid)
    assert [one.field for one in error.violations] == ["namespace"]
    request = pb.ListQuotaRepairsRequest(namespace="9", page_size=1001)
    error = await refusal(admin.ListQuotaRepairs(request), invalid)
    assert [one.field for one in error.violations] == ["namespace", "page_size"]
