"""Many reservations in one call, and the client that makes one call of many."""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import asyncio

import codestudio
import grpc
import pytest
from codestudio.quota.v1 import quota_service_pb2 as pb
from prometheus_client import REGISTRY

from tests.contract.quota.test_quota_contract import ONE, Stub, refusal, reserve
from tests.integration.quota import rig


def release(name: str, namespace: str = "team") -> pb.ReleaseQuotaRequest:
    return pb.ReleaseQuotaRequest(namespace=namespace, instance_id=name)


async def test_each_succeeds_or_fails_by_itself(admin: Stub) -> None:
    """Results stand in the order of the requests; a fault of one is none of its neighbours'."""
    big = pb.Amounts(instances=1, cpu="99")
    requests = [
        reserve("fox", big),
        reserve("owl", pb.Amounts(instances=1, cpu="2")),
        reserve("Bad", namespace="9"),
        reserve("cat"),
    ]
    answer = await admin.BatchReserveQuota(pb.BatchReserveQuotaRequest(requests=requests))
    assert (answer.reserved, answer.failed) == (1, 3)
    fox, owl, bad, cat = answer.results
    assert (fox.reservation.instance_id, fox.reservation.amounts.cpu) == ("fox", "99")
    assert (owl.error.code, owl.error.metadata["cpu.exceeded_by"]) == ("QUOTA_EXCEEDED", "1")
    assert [one.field for one in bad.error.violations] == ["namespace", "instance_id"]
    assert cat.error.metadata["cpu.exceeded_by"] == "500m"
    listed = await admin.ListQuotas(pb.ListQuotasRequest())
    assert [(one.namespace, one.reservations) for one in listed.quotas] == [("team", 1)]


async def test_later_ones_see_earlier_ones(admin: Stub) -> None:
    """A batch is done in order: the last reservation of an instance counts."""
    small = pb.Amounts(instances=1, cpu="1")
    requests = [reserve("fox"), reserve("fox", small), reserve("owl", small)]
    await admin.BatchReserveQuota(pb.BatchReserveQuotaRequest(requests=requests))
    quota = await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))
    assert (quota.usage.cpu, quota.reservations) == ("2", 2)


async def test_giving_back_many(admin: Stub) -> None:
    """What is held is given back; who holds nothing does not mind; what is wrong is told."""
    requests = [reserve(name) for name in ("fox", "owl", "cat")]
    await admin.BatchReserveQuota(pb.BatchReserveQuotaRequest(requests=requests))
    back = [release("fox"), release("nobody"), release(""), release("owl")]
    answer = await admin.BatchReleaseQuota(pb.BatchReleaseQuotaRequest(requests=back))
    assert (answer.released, answer.failed) == (3, 1)
    assert [one.HasField("error") for one in answer.results] == [False, False, True, False]
    quota = await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))
    assert (quota.usage, quota.reservations) == (ONE, 1)


async def test_the_largest_batch(admin: Stub) -> None:
    """A thousand are done, also more than one pipeline holds; of those 66 fit."""
    requests = [reserve(f"i{number}") for number in range(1000)]
    answer = await admin.BatchReserveQuota(pb.BatchReserveQuotaRequest(requests=requests))
    assert (answer.reserved, answer.failed) == (66, 934)


@pytest.mark.parametrize("count", [0, 1001])
async def test_none_and_too_many_are_refused(admin: Stub, count: int) -> None:
    """A batch holds 1 to 1000."""
    for call in (
        admin.BatchReserveQuota(pb.BatchReserveQuotaRequest(requests=[reserve("fox")] * count)),
        admin.BatchReleaseQuota(pb.BatchReleaseQuotaRequest(requests=[release("fox")] * count)),
    ):
        error = await refusal(call, grpc.StatusCode.INVALID_ARGUMENT)
        assert [one.field for one in error.violations] == ["requests"]


async def test_users_may_not(service: rig.Rig) -> None:
    """Reserving is for services and administrators, many at once too."""
    async with service.as_user(role="user") as ada:
        for call in (
            ada.BatchReserveQuota(pb.BatchReserveQuotaRequest(requests=[reserve("fox")])),
            ada.BatchReleaseQuota(pb.BatchReleaseQuotaRequest(requests=[release("fox")])),
        ):
            await refusal(call, grpc.StatusCode.PERMISSION_DENIED)


async def test_the_client_makes_one_call_of_many(service: rig.Rig) -> None:
    """200 reservations at once travel in a few calls, and each caller gets its own outcome."""
    before = _calls("BatchReserveQuota")
    async with codestudio.AsyncClient(
        f"http://{service.address}", token=service.user_token()
    ) as client:
        outcomes = await asyncio.gather(
            *(client.quotas.reserve("team", f"i{one}", cpu="1500m") for one in range(200)),
            client.quotas.reserve("team", "Bad"),
            return_exceptions=True,
        )
        *asked, bad = outcomes
        held = [one for one in asked if isinstance(one, codestudio.Reservation)]
        refused = [one for one in asked if isinstance(one, codestudio.QuotaExceeded)]
        assert (len(held), len(refused)) == (66, 134)
        assert {one.instance_id for one in refused}.isdisjoint(one.instance_id for one in held)
        assert isinstance(bad, codestudio.InvalidArgument)
        assert [one.field for one in bad.violations] == ["instance_id"]
        assert _calls("BatchReserveQuota") - before < 10
        await asyncio.gather(*(client.quotas.release("team", one.instance_id) for one in held))
        assert (await client.quotas.get("team")).reservations == 0


def _calls(method: str) -> float:
    labels = {
        "grpc_service": "codestudio.quota.v1.QuotaService",
        "grpc_method": method,
        "grpc_code": "OK",
    }
    return REGISTRY.get_sample_value("grpc_server_handled_total", labels) or 0.0
