"""Somebody else's instance, and a request that was made before: refused, and nothing changes."""

import uuid

import grpc
import pytest
from codestudio.instance.v1 import instance_service_pb2
from codestudio.path.v1 import path_service_pb2

from tests.e2e import scenes
from tests.e2e.people import People
from tests.e2e.ways import HTTP_OF, INSTANCES, PATHS, Http, RefusedError, Way

pytestmark = pytest.mark.stack


async def test_others_keep_their_hands_off(
    way: Way, http: Http, people: People, namespace: str
) -> None:
    """Reading, stopping, starting, deleting and opening another's instance are refused."""
    ann, bob = people.user("ann"), people.user("bob")
    made = await scenes.create(way, ann, namespace=namespace)
    made = await scenes.reached(way, ann, made.id, 5)
    for method in (
        "GetInstance",
        "GetInstanceStatus",
        "GetInstanceLogs",
        "StopInstance",
        "StartInstance",
        "DeleteInstance",
    ):
        request = getattr(instance_service_pb2, f"{method}Request")(id=made.id)
        with pytest.raises(RefusedError) as refused:
            await way.call(INSTANCES, method, request, bob)
        denied = grpc.StatusCode.PERMISSION_DENIED
        assert refused.value.status in (denied, HTTP_OF[denied]), (method, refused.value)
        assert refused.value.detail.code == "INSTANCE_NOT_YOURS"
        assert refused.value.detail.instance_id == made.id
    for method in ("GetPathInfo", "ValidatePaths", "GetProjectStructure", "TestPaths"):
        request = getattr(path_service_pb2, f"{method}Request")(instance_id=made.id)
        with pytest.raises(RefusedError) as refused:
            await way.call(PATHS, method, request, bob)
        assert refused.value.detail.code == "INSTANCE_NOT_YOURS", method
        assert refused.value.detail.instance_id == made.id
    page = await http.ask("GET", made.url, token=bob)
    assert page.status == 403
    assert page.error().code == "INSTANCE_NOT_YOURS"
    assert await scenes.get(way, ann, made.id) == made
    assert await scenes.get(way, people.admin, made.id) == made


async def test_a_replayed_request_with_another_body(
    way: Way, people: People, namespace: str
) -> None:
    """One request_id stands for one body; the second body is refused and makes nothing."""
    ann, request_id = people.user("ann"), str(uuid.uuid4())
    await scenes.create(way, ann, namespace=namespace, request_id=request_id)
    with pytest.raises(RefusedError) as refused:
        await scenes.create(
            way, ann, namespace=namespace, request_id=request_id, display_name="another"
        )
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.status in (invalid, HTTP_OF[invalid])
    assert refused.value.detail.code == "REQUEST_ID_REUSED"
    assert [one.field for one in refused.value.detail.violations] == ["request_id"]
    assert len(await scenes.listed(way, ann, f"namespace = {namespace}")) == 1


async def test_another_users_request_id(way: Way, people: People, namespace: str) -> None:
    """Request ids are each user's own: nobody reaches another's instance by guessing one."""
    request_id = str(uuid.uuid4())
    made = [
        await scenes.create(way, people.user(who), namespace=namespace, request_id=request_id)
        for who in ("ann", "bob")
    ]
    assert len({one.id for one in made}) == 2
    assert [one.owner for one in made] == ["ann", "bob"]
