"""Calls from one service to another."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc

from services.chassis import context, errors, identity, mesh
from services.devstack import ports
from tests.integration.chassis import parts

GET = instance_service_pb2.GetInstanceRequest(id="a")
STUB = instance_service_pb2_grpc.InstanceServiceStub


@pytest.fixture
async def caller(served: parts.Served) -> AsyncIterator[mesh.Mesh]:
    """Give the mesh as the resource service sees it, leading to the server."""
    settings = parts.configured(
        served.keys,
        microservice_name="resource-service",
        mesh_address=f"127.0.0.1:{served.running.port}",
    )
    channel = mesh.Mesh(settings)
    await channel.start()
    await asyncio.wait_for(channel.wait_ready(), 10)
    yield channel
    await channel.stop()


async def test_a_call_carries_who_what_and_until_when(
    served: parts.Served, caller: mesh.Mesh
) -> None:
    """Our own token, the request's id and trace, and what remains of its time."""
    seen: list[tuple[identity.Caller, context.RequestContext, float]] = []

    async def get(*_):
        seen.append((identity.current(), context.current(), context.timeout(60)))
        return instance_pb2.Instance()

    served.servicer.get = get
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    context.enter(
        context.RequestContext(request_id="r-1", traceparent=parent, deadline=time.monotonic() + 3)
    )
    await caller.stub(STUB).GetInstance(GET)
    who, what, seconds = seen[0]
    assert (who.kind, who.subject) == ("service", "resource-service")
    assert (what.request_id, what.traceparent) == ("r-1", parent)
    assert 1 < seconds < 3.5  # gRPC rounds up on the wire

    context.enter(context.RequestContext())
    await caller.stub(STUB).GetInstance(GET)
    _, what, seconds = seen[1]
    assert what.request_id
    assert 8 < seconds < 10.5


async def test_a_users_token_can_be_acted_with(served: parts.Served, caller: mesh.Mesh) -> None:
    """Then the called service sees the user."""
    seen: list[identity.Caller] = []

    async def get(*_):
        seen.append(identity.current())
        return instance_pb2.Instance()

    served.servicer.get = get
    await caller.stub(STUB, token=served.keys.user()).GetInstance(GET)
    assert seen[0].subject == "ada"


async def test_errors_arrive_as_they_were_raised(served: parts.Served, caller: mesh.Mesh) -> None:
    """By type, with everything in them, and still so one service further."""

    async def get(*_):
        raise errors.NotFound("INSTANCE_NOT_FOUND", "none", instance_id="a", metadata={"k": "v"})

    served.servicer.get = get
    with pytest.raises(errors.NotFound) as caught:
        await caller.stub(STUB).GetInstance(GET)
    known = caught.value
    assert (known.code, known.message, known.instance_id) == ("INSTANCE_NOT_FOUND", "none", "a")
    assert known.metadata == {"k": "v"}
    assert errors.to_detail(known).service == "instance-service"


async def test_a_call_that_takes_too_long_ends(served: parts.Served, caller: mesh.Mesh) -> None:
    """At its deadline, as DEADLINE_EXCEEDED."""

    async def get(*_):
        await asyncio.Event().wait()

    served.servicer.get = get
    with pytest.raises(errors.DeadlineExceeded):
        await caller.stub(STUB).GetInstance(GET, timeout=0.2)
    context.enter(context.RequestContext(deadline=time.monotonic() - 1))
    with pytest.raises(errors.DeadlineExceeded):
        await caller.stub(STUB).GetInstance(GET)


async def test_streams_are_read_and_fail_alike(served: parts.Served, caller: mesh.Mesh) -> None:
    """Messages first, then the error by type; one left early ends at the server too."""
    ended = asyncio.Event()

    async def watch(*_: Any) -> AsyncIterator[instance_service_pb2.WatchInstancesResponse]:
        try:
            yield instance_service_pb2.WatchInstancesResponse()
            raise errors.OutOfRange("RESUME_TOKEN_EXPIRED", "begin again")
        finally:
            ended.set()

    served.servicer.watch = watch
    request = instance_service_pb2.WatchInstancesRequest()
    token = served.keys.user()
    messages = aiter(caller.stub(STUB, token=token).WatchInstances(request))
    assert await anext(messages) == instance_service_pb2.WatchInstancesResponse()
    with pytest.raises(errors.OutOfRange, match="RESUME_TOKEN_EXPIRED"):
        await anext(messages)
    await asyncio.wait_for(ended.wait(), 5)

    ended.clear()

    async def endless(*_: Any) -> AsyncIterator[instance_service_pb2.WatchInstancesResponse]:
        try:
            yield instance_service_pb2.WatchInstancesResponse()
            await asyncio.Event().wait()
        finally:
            ended.set()

    served.servicer.watch = endless
    stub = caller.stub(STUB, token=token)
    async with contextlib.aclosing(aiter(stub.WatchInstances(request))) as messages:
        await anext(messages)
    await asyncio.wait_for(ended.wait(), 5)


async def test_a_mesh_that_is_away_fails_fast(keys: parts.Keys) -> None:
    """UNAVAILABLE at once, not at the deadline; and the channel finds it when it is back."""
    port = ports.any_free_port()
    settings = parts.configured(
        keys, microservice_name="resource-service", mesh_address=f"127.0.0.1:{port}"
    )
    channel = mesh.Mesh(settings)
    await channel.start()
    try:
        started = time.monotonic()
        with pytest.raises(errors.Unavailable) as caught:
            await channel.stub(STUB).GetInstance(GET)
        assert caught.value.code == "SERVICE_UNAVAILABLE"
        assert time.monotonic() - started < 5
        assert not channel.ready
        async with parts.serving(keys, port=port, http_port=0):
            await asyncio.wait_for(channel.wait_ready(), 15)
            answer = await channel.stub(STUB).GetInstance(GET)
            assert answer.id == "a"
    finally:
        await channel.stop()


async def test_a_permission_we_lack_is_ours_to_see(caller: mesh.Mesh) -> None:
    """By type, like any other error."""
    with pytest.raises(errors.PermissionDenied):
        await anext(
            aiter(caller.stub(STUB).WatchInstances(instance_service_pb2.WatchInstancesRequest()))
        )
