"""Changing the size of what runs, and what holds it to that, through the public door."""

import pytest
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from codestudio.quota.v1 import quota_service_pb2
from codestudio.resource.v1 import resource_service_pb2
from google.protobuf import field_mask_pb2

from tests.e2e import scenes
from tests.e2e.people import People
from tests.e2e.ways import INSTANCES, QUOTA, RESOURCES, RefusedError, Way

pytestmark = pytest.mark.stack

RUNNING = instance_pb2.INSTANCE_STATE_RUNNING


async def _update(
    way: Way, token: str, name: str, *paths: str, validate_only: bool = False, **fields: object
) -> instance_pb2.Instance:
    request = instance_service_pb2.UpdateInstanceRequest(
        instance=instance_pb2.Instance(id=name, **fields),  # type: ignore[arg-type]
        update_mask=field_mask_pb2.FieldMask(paths=paths),
        validate_only=validate_only,
    )
    changed: instance_pb2.Instance = await way.call(INSTANCES, "UpdateInstance", request, token)
    return changed


async def test_a_running_editor_is_resized(way: Way, people: People, namespace: str) -> None:
    """Its process goes on; quota, usage and what holds it follow; then it can be seen."""
    ann = people.user("ann")
    made = await scenes.create(
        way, ann, namespace=namespace, desired_state=instance_pb2.DESIRED_STATE_RUNNING
    )
    before = await scenes.reached(way, ann, made.id, RUNNING)
    assert before.effective_resources == before.resources
    await _update(
        way,
        ann,
        made.id,
        "resources.cpu",
        "environment",
        resources=resources_pb2.Resources(cpu="750m"),
        environment={"A": "1"},
        etag=before.etag,
    )
    after = await scenes.reached(way, ann, made.id, RUNNING)
    assert after.effective_resources == after.resources
    assert (after.resources.cpu, after.resources.memory) == ("750m", before.resources.memory)
    assert (list(after.pending_fields), after.restarts) == (["environment"], 0)
    assert after.start_time == before.start_time
    quota = await way.call(
        QUOTA, "GetQuota", quota_service_pb2.GetQuotaRequest(namespace=namespace), ann
    )
    assert quota.usage.cpu == "750m"
    asked = resource_service_pb2.GetResourceUsageRequest(instance_id=made.id)
    (usage,) = (await way.call(RESOURCES, "GetResourceUsage", asked, ann)).instances
    assert usage.limits == after.resources
    assert {one.resource for one in usage.enforcement} == {1, 2, 3, 4}

    for token, fields, code in (
        (ann, {"etag": before.etag}, "ETAG_MISMATCH"),
        (people.user("bob"), {}, "INSTANCE_NOT_YOURS"),
        (people.user("eve", role="viewer"), {}, "PERMISSION_DENIED"),
    ):
        with pytest.raises(RefusedError) as refused:
            await _update(way, token, made.id, "display_name", display_name="x", **fields)
        assert refused.value.detail.code == code
    found = await way.call(
        RESOURCES,
        "OptimizeResourceAllocation",
        resource_service_pb2.OptimizeResourceAllocationRequest(instance_id=made.id),
        ann,
    )
    assert found.estimated_improvement.utilization_before >= 0
    taken = resource_service_pb2.DeallocateResourcesRequest(instance_id=made.id)
    with pytest.raises(RefusedError) as refused:
        await way.call(RESOURCES, "DeallocateResources", taken, people.admin)
    assert refused.value.detail.code == "INSTANCE_USES_RESOURCES"
    await scenes.clear(way, namespace, people.admin)


async def test_a_size_over_quota_changes_nothing(way: Way, people: People, namespace: str) -> None:
    """The refusal names the limit, and instance and ledger stay as they were."""
    ann = people.user("ann")
    made = await scenes.create(way, ann, namespace=namespace)
    limits = quota_service_pb2.Quota(
        namespace=namespace, limits=quota_service_pb2.Amounts(storage="2Gi")
    )
    request = quota_service_pb2.UpdateQuotaRequest(quota=limits)
    await way.call(QUOTA, "UpdateQuota", request, people.admin)
    details = []
    for validate_only in (False, True):
        with pytest.raises(RefusedError) as refused:
            await _update(
                way,
                ann,
                made.id,
                "resources.storage",
                validate_only=validate_only,
                resources=resources_pb2.Resources(storage="3Gi"),
            )
        details.append(refused.value.detail)
    assert details[0].code == "QUOTA_EXCEEDED"
    assert "by this instance" in details[0].message
    assert details[0].metadata["storage.exceeded_by"] == "1Gi"
    # The rehearsal refuses to the letter as the change does.
    first, second = ((one.code, one.message, dict(one.metadata)) for one in details)
    assert first == second
    assert (await scenes.get(way, ann, made.id)).resources == made.resources
    await scenes.clear(way, namespace, people.admin)
