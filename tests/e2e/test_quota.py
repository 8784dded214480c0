"""Quota and resources through the public door."""

import uuid

import pytest
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_service_pb2
from codestudio.quota.v1 import quota_service_pb2
from codestudio.resource.v1 import resource_service_pb2
from google.protobuf import field_mask_pb2

from services.devstack.stack import Stack
from tests.e2e import scenes
from tests.e2e.people import People
from tests.e2e.ways import INSTANCES, QUOTA, RESOURCES, Http, RefusedError, Way

pytestmark = pytest.mark.stack


async def _quota(way: Way, token: str, namespace: str) -> quota_service_pb2.Quota:
    request = quota_service_pb2.GetQuotaRequest(namespace=namespace)
    found: quota_service_pb2.Quota = await way.call(QUOTA, "GetQuota", request, token)
    return found


async def _limit(way: Way, token: str, namespace: str, **limits: object) -> quota_service_pb2.Quota:
    request = quota_service_pb2.UpdateQuotaRequest(
        quota=quota_service_pb2.Quota(
            namespace=namespace,
            limits=quota_service_pb2.Amounts(**limits),  # type: ignore[arg-type]
        )
    )
    changed: quota_service_pb2.Quota = await way.call(QUOTA, "UpdateQuota", request, token)
    return changed


async def test_limits_bind(way: Way, people: People, namespace: str) -> None:
    """A limit that is set is in force at once; what it refuses names limit, use and request."""
    ann = people.user("ann")
    fresh = await _quota(way, ann, namespace)
    assert (fresh.is_default, fresh.reservations) == (True, 0)
    changed = await _limit(way, people.admin, namespace, instances=2, cpu="1500m")
    assert (changed.limits.instances, changed.limits.cpu) == (2, "1500m")
    assert changed.limits.memory == fresh.limits.memory
    assert not changed.is_default

    asked = quota_service_pb2.CheckQuotaRequest(
        namespace=namespace, amounts=quota_service_pb2.Amounts(instances=1, cpu="2")
    )
    checked = await way.call(QUOTA, "CheckQuota", asked, ann)
    assert not checked.allowed
    (shortage,) = checked.shortages
    assert (shortage.resource, shortage.exceeded_by) == ("cpu", "500m")

    for _ in range(2):
        await scenes.create(way, ann, namespace=namespace)
    with pytest.raises(RefusedError) as refused:
        await scenes.create(way, ann, namespace=namespace)
    assert refused.value.detail.code == "QUOTA_EXCEEDED"
    assert "instances" in refused.value.detail.message
    assert "2" in refused.value.detail.metadata.values()
    assert (await _quota(way, ann, namespace)).reservations == 2
    assert len(await scenes.listed(way, ann, f"namespace = {namespace}")) == 2
    await scenes.clear(way, namespace, people.admin)

    async def free() -> bool:
        return (await _quota(way, ann, namespace)).reservations == 0

    await scenes.until(free)


async def test_one_limit_by_mask_and_etag(way: Way, people: People, namespace: str) -> None:
    """A mask changes what it names; an etag of the past changes nothing."""
    first = await _limit(way, people.admin, namespace, instances=7, memory="3Gi")
    request = quota_service_pb2.UpdateQuotaRequest(
        quota=quota_service_pb2.Quota(
            namespace=namespace,
            limits=quota_service_pb2.Amounts(instances=9, memory="1Gi"),
            etag=first.etag,
        ),
        update_mask=field_mask_pb2.FieldMask(paths=["limits.instances"]),
    )
    second = await way.call(QUOTA, "UpdateQuota", request, people.admin)
    assert (second.limits.instances, second.limits.memory) == (9, "3Gi")
    with pytest.raises(RefusedError) as refused:
        await way.call(QUOTA, "UpdateQuota", request, people.admin)
    assert refused.value.detail.code == "ETAG_MISMATCH"
    listed = await way.call(
        QUOTA, "ListQuotas", quota_service_pb2.ListQuotasRequest(page_size=1000), people.admin
    )
    assert second in listed.quotas


async def test_rest_to_the_letter(http: Http, people: People, namespace: str) -> None:
    """GET, PATCH and :check of /api/quota/<namespace> as the reference has them."""
    patched = await http.ask(
        "PATCH",
        f"/api/quota/{namespace}",
        token=people.admin,
        body={"limits": {"instances": 3}},
    )
    assert patched.status == 200, patched.body
    got = await http.ask("GET", f"/api/quota/{namespace}", token=people.admin)
    assert got.json() == patched.json()
    assert got.json()["limits"]["instances"] == 3
    checked = await http.ask(
        "POST",
        f"/api/quota/{namespace}:check",
        token=people.user("ann"),
        body={"amounts": {"instances": 4}},
    )
    assert checked.json()["allowed"] is False


async def test_resources_are_allocated_and_given_back(
    way: Way, stack: Stack, people: People
) -> None:
    """An allocation is a port range of its own, the same when asked again, until given back."""
    name = f"alloc-{uuid.uuid4().hex[:8]}"
    web = stack.plan.ports.instance_base + 100 * 61
    request = resource_service_pb2.AllocateResourcesRequest(
        instance_id=name,
        web_port=web,
        resources=resources_pb2.Resources(cpu="1", memory="1Gi", storage="1Gi"),
    )
    given = await way.call(RESOURCES, "AllocateResources", request, people.admin)
    assert (given.instance_id, given.namespace, given.web_port) == (name, "default", web)
    assert (given.callback_port_range.start, given.callback_port_range.end) == (web + 50, web + 99)
    assert await way.call(RESOURCES, "AllocateResources", request, people.admin) == given
    back = resource_service_pb2.DeallocateResourcesRequest(instance_id=name)
    for _ in range(2):
        await way.call(RESOURCES, "DeallocateResources", back, people.admin)


@pytest.mark.editor
async def test_usage_is_of_ones_own(way: Way, people: People, namespace: str) -> None:
    """Usage of a running instance tells its memory, to its owner and not to others."""
    ann = people.user("ann")
    made = await scenes.create(way, ann, namespace=namespace, desired_state=1)
    await scenes.reached(way, ann, made.id, 3)
    request = resource_service_pb2.GetResourceUsageRequest(namespace=namespace)

    async def measured() -> resource_service_pb2.InstanceUsage | None:
        usage = await way.call(RESOURCES, "GetResourceUsage", request, ann)
        if not usage.instances or not usage.instances[0].current.memory_bytes:
            return None
        found: resource_service_pb2.InstanceUsage = usage.instances[0]
        return found

    usage = await scenes.until(measured)
    assert usage.instance_id == made.id
    assert usage.current.memory_bytes > 10_000_000
    assert usage.processes >= 1
    others = await way.call(RESOURCES, "GetResourceUsage", request, people.user("bob"))
    assert not others.instances


async def test_quota_is_freed_by_delete(way: Way, people: People, namespace: str) -> None:
    """What an instance holds is exactly its own, and is free once it is gone."""
    ann = people.user("ann")
    made = await scenes.create(way, ann, namespace=namespace)
    held = await _quota(way, ann, namespace)
    assert (held.reservations, held.usage.storage) == (1, "1Gi")
    request = instance_service_pb2.DeleteInstanceRequest(id=made.id)
    await way.call(INSTANCES, "DeleteInstance", request, ann)

    async def free() -> bool:
        return not (await _quota(way, ann, namespace)).reservations

    await scenes.until(free)


async def test_many_at_once(way: Way, people: People, namespace: str) -> None:
    """A batch reserves what fits and says of the rest why not; a batch gives back."""
    await _limit(way, people.admin, namespace, instances=2)
    amounts = quota_service_pb2.Amounts(instances=1, cpu="1")
    names = ("one", "two", "three")
    request = quota_service_pb2.BatchReserveQuotaRequest(
        requests=[
            quota_service_pb2.ReserveQuotaRequest(
                namespace=namespace, instance_id=name, amounts=amounts
            )
            for name in names
        ]
    )
    done = await way.call(QUOTA, "BatchReserveQuota", request, people.admin)
    assert (done.reserved, done.failed) == (2, 1)
    assert done.results[2].error.code == "QUOTA_EXCEEDED"
    back = quota_service_pb2.BatchReleaseQuotaRequest(
        requests=[
            quota_service_pb2.ReleaseQuotaRequest(namespace=namespace, instance_id=name)
            for name in names
        ]
    )
    gone = await way.call(QUOTA, "BatchReleaseQuota", back, people.admin)
    assert (gone.released, gone.failed) == (3, 0)
    assert (await _quota(way, people.admin, namespace)).reservations == 0


async def test_reconciliation_is_asked_for(way: Way, people: People, namespace: str) -> None:
    """What no instance holds is told of, and is not taken back while it may be under way."""
    reserve = quota_service_pb2.ReserveQuotaRequest(
        namespace=namespace,
        instance_id="nobody",
        amounts=quota_service_pb2.Amounts(instances=1, cpu="1"),
    )
    await way.call(QUOTA, "ReserveQuota", reserve, people.admin)
    request = quota_service_pb2.ReconcileQuotaRequest(namespace=namespace)
    told = await way.call(QUOTA, "ReconcileQuota", request, people.admin)
    (repair,) = told.repairs
    assert (repair.instance_id, repair.applied) == ("nobody", False)
    assert repair.reason == "there is no such instance"
    with pytest.raises(RefusedError):
        await way.call(QUOTA, "ReconcileQuota", request, people.user("ann"))
    release = quota_service_pb2.ReleaseQuotaRequest(namespace=namespace, instance_id="nobody")
    await way.call(QUOTA, "ReleaseQuota", release, people.admin)
    kept = quota_service_pb2.ListQuotaRepairsRequest(namespace=namespace)
    assert not (await way.call(QUOTA, "ListQuotaRepairs", kept, people.admin)).repairs
