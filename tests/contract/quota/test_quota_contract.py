"""Every call of the contract, through a real server with the chassis."""

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest
import redis
from codestudio.common.v1 import error_pb2
from codestudio.quota.v1 import quota_service_pb2 as pb
from codestudio.quota.v1 import quota_service_pb2_grpc
from google.protobuf import field_mask_pb2

from tests.integration.quota import rig
from tests.integration.quota.valkey import Valkey

Stub: TypeAlias = "quota_service_pb2_grpc.QuotaServiceAsyncStub"

ONE = pb.Amounts(instances=1, cpu="1500m", memory="2Gi", storage="10Gi")
DEFAULT = pb.Amounts(instances=100, cpu="100", memory="200Gi", storage="1Ti")


async def refusal(call: Awaitable[object], status: grpc.StatusCode) -> error_pb2.ErrorDetail:
    """Give the detail of the error the call must end with."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is status
    return rig.detail(refused.value)


def reserve(
    name: str, amounts: pb.Amounts = ONE, namespace: str = "team"
) -> pb.ReserveQuotaRequest:
    return pb.ReserveQuotaRequest(namespace=namespace, instance_id=name, amounts=amounts)


async def test_unknown_namespace_has_the_default_limits(admin: Stub) -> None:
    """A namespace nobody wrote needs no creation."""
    quota = await admin.GetQuota(pb.GetQuotaRequest(namespace="new"))
    assert quota.limits == DEFAULT
    assert quota.usage == pb.Amounts(cpu="0", memory="0", storage="0")
    assert quota.is_default
    assert not quota.HasField("update_time")


async def test_reserve_and_release(admin: Stub) -> None:
    """A reservation shows as usage until it is released; both may be repeated."""
    first = await admin.ReserveQuota(reserve("fox"))
    again = await admin.ReserveQuota(reserve("fox"))
    assert first == again
    assert first.amounts == ONE
    assert (first.namespace, first.instance_id) == ("team", "fox")
    quota = await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))
    assert (quota.usage, quota.reservations) == (ONE, 1)
    for _ in range(2):
        await admin.ReleaseQuota(pb.ReleaseQuotaRequest(namespace="team", instance_id="fox"))
    quota = await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))
    assert quota.reservations == 0


async def test_stopped_instances_hold_only_their_disk(admin: Stub) -> None:
    """Quantities left out are none."""
    await admin.ReserveQuota(reserve("fox"))
    disk = await admin.ReserveQuota(reserve("fox", pb.Amounts(instances=1, storage="10Gi")))
    assert disk.amounts == pb.Amounts(instances=1, cpu="0", memory="0", storage="10Gi")


async def test_refusal_is_for_people_and_programs(admin: Stub) -> None:
    """QUOTA_EXCEEDED says which limit, what is in use, what was asked, by how much it is over."""
    await admin.ReserveQuota(reserve("fox", pb.Amounts(instances=1, cpu="99")))
    error = await refusal(admin.ReserveQuota(reserve("owl")), grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert error.code == "QUOTA_EXCEEDED"
    assert error.message == (
        "Quota of namespace team exceeded: cpu: 99 of 100 in use, 1500m asked for, "
        "500m over the limit"
    )
    assert dict(error.metadata) == {
        "namespace": "team",
        "resources": "cpu",
        "cpu.limit": "100",
        "cpu.used": "99",
        "cpu.requested": "1500m",
        "cpu.exceeded_by": "500m",
    }
    assert (error.instance_id, error.service) == ("owl", "quota-service")


async def test_check_is_a_dry_run(admin: Stub) -> None:
    """A check tells every shortage, reserves nothing, and counts the instance's own only once."""
    await admin.ReserveQuota(reserve("fox", pb.Amounts(instances=1, cpu="99")))
    asked = pb.Amounts(instances=200, cpu="2")
    answer = await admin.CheckQuota(pb.CheckQuotaRequest(namespace="team", amounts=asked))
    assert not answer.allowed
    assert list(answer.shortages) == [
        pb.QuotaShortage(
            resource="instances", limit="100", used="1", requested="200", exceeded_by="101"
        ),
        pb.QuotaShortage(resource="cpu", limit="100", used="99", requested="2", exceeded_by="1"),
    ]
    own = pb.CheckQuotaRequest(
        namespace="team", instance_id="fox", amounts=pb.Amounts(instances=1, cpu="100")
    )
    assert (await admin.CheckQuota(own)).allowed
    own.amounts.cpu = "101"
    (shortage,) = (await admin.CheckQuota(own)).shortages
    assert (shortage.used, shortage.held, shortage.exceeded_by) == ("99", "99", "1")
    assert (await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))).usage.cpu == "99"


async def test_a_refusal_is_the_same_to_the_letter(admin: Stub) -> None:
    """A reservation alone, one of a batch and a check are refused in the same words."""
    await admin.ReserveQuota(reserve("fox", pb.Amounts(instances=1, cpu="99")))
    asked = reserve("fox", pb.Amounts(instances=200, cpu="101", memory="1500Mi"))
    alone = await refusal(admin.ReserveQuota(asked), grpc.StatusCode.RESOURCE_EXHAUSTED)
    batch = await admin.BatchReserveQuota(pb.BatchReserveQuotaRequest(requests=[asked]))
    check = await admin.CheckQuota(
        pb.CheckQuotaRequest(namespace="team", instance_id="fox", amounts=asked.amounts)
    )
    refused = [alone, batch.results[0].error, check.refusal]
    for one in refused:
        one.ClearField("timestamp")
        one.ClearField("request_id")
    assert refused == [alone] * 3
    assert "(99 by this instance)" in alone.message
    asked.amounts.CopyFrom(ONE)
    allowed = pb.CheckQuotaRequest(namespace="team", instance_id="fox", amounts=asked.amounts)
    assert not (await admin.CheckQuota(allowed)).HasField("refusal")


def update(*paths: str, etag: str = "", **limits: object) -> pb.UpdateQuotaRequest:
    return pb.UpdateQuotaRequest(
        quota=pb.Quota(namespace="team", limits=pb.Amounts(**limits), etag=etag),
        update_mask=field_mask_pb2.FieldMask(paths=paths) if paths else None,
    )


@pytest.mark.parametrize(
    ("request_", "limits"),
    [
        (update(cpu="2", memory="1G"), pb.Amounts(cpu="2", memory="1G")),
        (update("limits.cpu", cpu="2", memory="1G"), pb.Amounts(cpu="2")),
        (update("limits.instances"), pb.Amounts(instances=-1)),
        (update("limits.cpu", cpu="0"), pb.Amounts(cpu="0")),
        (update("limits", cpu="2"), pb.Amounts(cpu="2")),
        (update("*", cpu="2"), pb.Amounts(cpu="2")),
        (update("limits.cpu"), pb.Amounts()),
    ],
    ids=["set ones", "masked", "no instances", "no CPU", "all", "star", "default again"],
)
async def test_update_writes_what_the_mask_names(
    admin: Stub, request_: pb.UpdateQuotaRequest, limits: pb.Amounts
) -> None:
    """The mask decides; without one, the limits that are set. Named and unset: the default."""
    expected = pb.Amounts()
    expected.CopyFrom(DEFAULT)
    expected.MergeFrom(limits)
    if limits.instances == -1:
        expected.instances = 0
    expected.memory = {"1G": "1000000000"}.get(expected.memory, expected.memory)
    quota = await admin.UpdateQuota(request_)
    assert quota.limits == expected
    assert quota.is_default == (limits == pb.Amounts())
    assert await admin.GetQuota(pb.GetQuotaRequest(namespace="team")) == quota


async def test_no_instances_without_a_mask_is_told_of_the_mask(admin: Stub) -> None:
    """A limit of 0 instances cannot be told from none by itself: the refusal says what to do."""
    asked = admin.UpdateQuota(update(instances=0))
    error = await refusal(asked, grpc.StatusCode.INVALID_ARGUMENT)
    (wrong,) = error.violations
    assert wrong.field == "quota.limits"
    assert "update_mask names limits.instances" in wrong.description
    quota = await admin.UpdateQuota(update("limits.instances", instances=0))
    assert quota.limits.instances == 0


async def test_a_limit_that_is_reset_is_the_default_again(admin: Stub) -> None:
    """What is reset loses its own limit, instances too; what is set beside it is set."""
    await admin.UpdateQuota(update(instances=3, cpu="4", memory="8Gi"))
    asked = update(storage="1Gi")
    asked.reset.extend(["instances", "memory"])
    expected = pb.Amounts()
    expected.CopyFrom(DEFAULT)
    expected.MergeFrom(pb.Amounts(cpu="4", storage="1Gi"))
    assert (await admin.UpdateQuota(asked)).limits == expected
    last = pb.UpdateQuotaRequest(quota=pb.Quota(namespace="team"), reset=["cpu", "storage"])
    quota = await admin.UpdateQuota(last)
    assert quota.is_default
    assert quota.limits == DEFAULT


async def test_stale_etag_is_refused(admin: Stub) -> None:
    """An update made on limits that have changed since changes nothing."""
    before = await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))
    changed = await admin.UpdateQuota(update(etag=before.etag, cpu="5"))
    assert changed.etag != before.etag
    error = await refusal(
        admin.UpdateQuota(update(etag=before.etag, cpu="6")), grpc.StatusCode.ABORTED
    )
    assert error.code == "ETAG_MISMATCH"
    assert (await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))).limits.cpu == "5"


async def test_list_pages_are_stable(admin: Stub) -> None:
    """Namespaces that come and go between pages neither repeat nor hide others."""
    for name in ("a", "c", "e", "g"):
        await admin.ReserveQuota(reserve("fox", namespace=name))
    first = await admin.ListQuotas(pb.ListQuotasRequest(page_size=2))
    await admin.ReserveQuota(reserve("fox", namespace="b"))
    await admin.ReleaseQuota(pb.ReleaseQuotaRequest(namespace="c", instance_id="fox"))
    rest = await admin.ListQuotas(
        pb.ListQuotasRequest(page_size=2, page_token=first.next_page_token)
    )
    assert [quota.namespace for quota in first.quotas] == ["a", "c"]
    assert [quota.namespace for quota in rest.quotas] == ["e", "g"]
    assert not rest.next_page_token


@pytest.mark.parametrize(
    ("method", "request_", "fields"),
    [
        ("GetQuota", pb.GetQuotaRequest(), ["namespace"]),
        ("GetQuota", pb.GetQuotaRequest(namespace="Team"), ["namespace"]),
        ("GetQuota", pb.GetQuotaRequest(namespace="a" * 300), ["namespace"]),
        ("GetQuota", pb.GetQuotaRequest(namespace="{x}"), ["namespace"]),
        ("UpdateQuota", pb.UpdateQuotaRequest(), ["quota.namespace", "quota.limits"]),
        ("UpdateQuota", update(cpu="-1"), ["quota.limits.cpu"]),
        ("UpdateQuota", update(cpu="1.5m"), ["quota.limits.cpu"]),
        ("UpdateQuota", update(memory="2Gb"), ["quota.limits.memory"]),
        ("UpdateQuota", update(storage="9Pi"), ["quota.limits.storage"]),
        ("UpdateQuota", update(instances=-1), ["quota.limits.instances"]),
        ("UpdateQuota", update("usage.cpu", cpu="1"), ["update_mask"]),
        ("UpdateQuota", update("limits.gpu", "cpu", cpu="1"), ["update_mask", "update_mask"]),
        (
            "UpdateQuota",
            pb.UpdateQuotaRequest(quota=pb.Quota(namespace="team"), reset=["gpu"]),
            ["reset"],
        ),
        (
            "UpdateQuota",
            pb.UpdateQuotaRequest(
                quota=pb.Quota(namespace="team", limits=pb.Amounts(cpu="1")), reset=["cpu"]
            ),
            ["reset"],
        ),
        ("ListQuotas", pb.ListQuotasRequest(page_size=1001), ["page_size"]),
        ("ListQuotas", pb.ListQuotasRequest(page_size=-1), ["page_size"]),
        ("ListQuotas", pb.ListQuotasRequest(page_token="?"), ["page_token"]),
        ("CheckQuota", pb.CheckQuotaRequest(namespace="team"), ["amounts"]),
        (
            "CheckQuota",
            pb.CheckQuotaRequest(namespace="team", instance_id="-", amounts=ONE),
            ["instance_id"],
        ),
        (
            "ReserveQuota",
            reserve("Fox", pb.Amounts(cpu="x", memory="2Gb", storage="-1"), namespace="9"),
            [
                "namespace",
                "instance_id",
                "amounts.cpu",
                "amounts.memory",
                "amounts.storage",
                "amounts.instances",
            ],
        ),
        ("ReleaseQuota", pb.ReleaseQuotaRequest(), ["namespace", "instance_id"]),
    ],
)
async def test_bad_input_names_every_field(
    admin: Stub, method: str, request_: object, fields: list[str]
) -> None:
    """What is wrong with a request is INVALID_ARGUMENT with every field at fault."""
    error = await refusal(getattr(admin, method)(request_), grpc.StatusCode.INVALID_ARGUMENT)
    assert error.code == "INVALID_ARGUMENT"
    assert [violation.field for violation in error.violations] == fields
    assert all(violation.description for violation in error.violations)


async def test_users_see_their_namespaces_only(service: rig.Rig, admin: Stub) -> None:
    """A user may ask about own namespaces, and change nothing."""
    for name in ("hers", "his"):
        await admin.ReserveQuota(reserve("fox", namespace=name))
    async with service.as_user(role="user", namespaces=("hers",)) as ada:
        listed = await ada.ListQuotas(pb.ListQuotasRequest())
        assert [quota.namespace for quota in listed.quotas] == ["hers"]
        await ada.GetQuota(pb.GetQuotaRequest(namespace="hers"))
        denied = grpc.StatusCode.PERMISSION_DENIED
        error = await refusal(ada.GetQuota(pb.GetQuotaRequest(namespace="his")), denied)
        assert error.code == "NAMESPACE_DENIED"
        await refusal(ada.ReserveQuota(reserve("fox", namespace="hers")), denied)
        await refusal(ada.UpdateQuota(update(cpu="1")), denied)


async def test_services_reserve_by_their_permissions(service: rig.Rig) -> None:
    """The instance service may reserve; another may not."""
    async with service.as_service("instance-service") as stub:
        await stub.ReserveQuota(reserve("fox"))
    async with service.as_service("resource-service") as stub:
        await refusal(stub.ReserveQuota(reserve("owl")), grpc.StatusCode.PERMISSION_DENIED)


async def test_200_racers_through_the_service(service: rig.Rig) -> None:
    """However they interleave, exactly as many reservations succeed as fit."""
    async with service.as_service() as stub:
        outcomes = await asyncio.gather(
            *(stub.ReserveQuota(reserve(f"i{number}")) for number in range(200)),
            return_exceptions=True,
        )
        fitting = 66  # 1500m each of 100
        assert sum(isinstance(one, pb.Reservation) for one in outcomes) == fitting
        quota = await stub.GetQuota(pb.GetQuotaRequest(namespace="team"))
        assert (quota.usage.cpu, quota.reservations) == ("99", fitting)
        await asyncio.gather(
            *(
                stub.ReleaseQuota(pb.ReleaseQuotaRequest(namespace="team", instance_id=f"i{one}"))
                for one in [*range(200), *range(200)]
            )
        )
        quota = await stub.GetQuota(pb.GetQuotaRequest(namespace="team"))
        assert quota.usage == pb.Amounts(cpu="0", memory="0", storage="0")


async def test_the_first_call_goes_by_the_last_default_limits(
    server: Valkey, tmp_path: Path
) -> None:
    """Started without Config, the service admits nothing that was long forbidden."""
    values = {"default_quota": {"instances": 1}}
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        client.set("settings:quota-service", json.dumps({"values": values, "revision": 4}))
    try:
        async with rig.quota_server(server.url, tmp_path) as service, service.as_user() as admin:
            assert (await admin.GetQuota(pb.GetQuotaRequest(namespace="team"))).limits == (
                pb.Amounts(instances=1, cpu="100", memory="200Gi", storage="1Ti")
            )
    finally:
        with redis.Redis.from_url(server.url) as client:
            client.delete("settings:quota-service")
