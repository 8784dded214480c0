"""Keep-alive leases through the door, by REST and by gRPC."""

import datetime

import grpc
import pytest
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from google.protobuf import duration_pb2

from tests.e2e import scenes
from tests.e2e.people import People
from tests.e2e.ways import HTTP_OF, INSTANCES, RefusedError, Way

pytestmark = [pytest.mark.stack, pytest.mark.editor]


async def keep(way: Way, token: str, name: str, seconds: int) -> instance_pb2.Instance:
    """Ask for a lease."""
    request = instance_service_pb2.KeepInstanceAliveRequest(
        id=name, duration=duration_pb2.Duration(seconds=seconds)
    )
    kept: instance_pb2.Instance = await way.call(INSTANCES, "KeepInstanceAlive", request, token)
    return kept


async def test_a_lease(way: Way, people: People, namespace: str) -> None:
    """Its owner takes one, makes it longer and ends it; nobody else, and not while it is down."""
    ann, bob = people.user("ann"), people.user("bob")
    made = await scenes.create(
        way, ann, namespace=namespace, desired_state=instance_pb2.DESIRED_STATE_RUNNING
    )
    await scenes.reached(way, ann, made.id, instance_pb2.INSTANCE_STATE_RUNNING)
    first = await keep(way, ann, made.id, 3600)
    assert (await keep(way, ann, made.id, 60)).keep_alive_until == first.keep_alive_until
    longer = await keep(way, ann, made.id, 7200)
    until = longer.keep_alive_until.ToDatetime(tzinfo=datetime.UTC)
    left = until - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(hours=1) < left <= datetime.timedelta(hours=2)
    await refused(way, bob, made.id, "INSTANCE_NOT_YOURS", grpc.StatusCode.PERMISSION_DENIED)
    ended = await keep(way, ann, made.id, 0)
    assert ended.keep_alive_until.ToDatetime() < longer.keep_alive_until.ToDatetime()
    stop = instance_service_pb2.StopInstanceRequest(id=made.id)
    await way.call(INSTANCES, "StopInstance", stop, ann)
    await scenes.reached(way, ann, made.id, instance_pb2.INSTANCE_STATE_STOPPED)
    await refused(way, ann, made.id, "INSTANCE_NOT_RUNNING", grpc.StatusCode.FAILED_PRECONDITION)


async def refused(way: Way, token: str, name: str, code: str, status: grpc.StatusCode) -> None:
    """Be refused a lease."""
    with pytest.raises(RefusedError) as error:
        await keep(way, token, name, 60)
    assert error.value.detail.code == code
    assert error.value.status in (status, HTTP_OF[status])
