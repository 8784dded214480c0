"""gRPC through the public door: Envoy's own errors carry our detail as a service's do."""

import asyncio
import json
import sys
from pathlib import Path

import grpc.aio
import pytest
from codestudio.instance.v1 import instance_service_pb2, instance_service_pb2_grpc
from codestudio.quota.v1 import quota_service_pb2, quota_service_pb2_grpc
from codestudio.resource.v1 import workload_service_pb2, workload_service_pb2_grpc
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.instance import reflection
from tests.integration.envoy.door import Api, Door, detail_of

GET = instance_service_pb2.GetInstanceRequest(id="a")


async def failing(call: grpc.aio.UnaryUnaryCall) -> grpc.aio.AioRpcError:
    """Give the error a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_call(door: Door, api: Api, channel: grpc.aio.Channel) -> None:
    """A call with a token arrives, deadline included."""
    api.servicer.add("a")
    stub = instance_service_pb2_grpc.InstanceServiceStub(channel)
    found = await stub.GetInstance(GET, metadata=list(door.bearer().items()), timeout=5)
    assert found.id == "a"
    assert api.servicer.remaining is not None
    assert api.servicer.remaining <= 5


async def test_tokens(door: Door, channel: grpc.aio.Channel) -> None:
    """Without a good token: UNAUTHENTICATED with the same codes as REST."""
    stub = instance_service_pb2_grpc.InstanceServiceStub(channel)
    for token, code in (
        ("", "TOKEN_MISSING"),
        (door.token(lifetime=-3600), "TOKEN_EXPIRED"),
        (door.service_token(), "TOKEN_INVALID"),
    ):
        metadata = [("authorization", f"Bearer {token}")] if token else []
        error = await failing(stub.GetInstance(GET, metadata=metadata))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        detail = detail_of(error)
        assert detail.code == code
        assert error.details() == detail.message
        assert detail.request_id


async def test_service_down(door: Door, channel: grpc.aio.Channel) -> None:
    """A service that is down: UNAVAILABLE, naming it."""
    stub = quota_service_pb2_grpc.QuotaServiceStub(channel)
    error = await failing(
        stub.GetQuota(
            quota_service_pb2.GetQuotaRequest(namespace="a"), metadata=list(door.bearer().items())
        )
    )
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    detail = detail_of(error)
    assert (detail.code, detail.service) == ("SERVICE_UNAVAILABLE", "quota-service")


async def test_internal_services_are_not_public(door: Door, channel: grpc.aio.Channel) -> None:
    """WorkloadService is for services: at the public door it does not exist."""
    stub = workload_service_pb2_grpc.WorkloadServiceStub(channel)
    error = await failing(
        stub.GetWorkload(
            workload_service_pb2.GetWorkloadRequest(),
            metadata=list(door.bearer(roles=["admin"]).items()),
        )
    )
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert detail_of(error).code == "ROUTE_NOT_FOUND"


async def test_service_error_is_untouched(door: Door, api: Api, channel: grpc.aio.Channel) -> None:
    """A service's own error passes as it is."""
    assert api.servicer.calls == []
    stub = instance_service_pb2_grpc.InstanceServiceStub(channel)
    error = await failing(stub.GetInstance(GET, metadata=list(door.bearer().items())))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.code().value[0] == code_pb2.NOT_FOUND
    assert detail_of(error).instance_id == "a"


@pytest.mark.usefixtures("api")
async def test_an_error_of_grpc_itself(door: Door, channel: grpc.aio.Channel) -> None:
    """A message too large for any service to see is refused with our detail."""
    stub = instance_service_pb2_grpc.InstanceServiceStub(channel)
    request = instance_service_pb2.GetInstanceRequest(id="x" * 5 * 1024**2)
    error = await failing(stub.GetInstance(request, metadata=list(door.bearer().items())))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    detail = detail_of(error)
    assert (detail.code, detail.service) == ("REQUEST_TOO_LARGE", "instance-service")


@pytest.mark.usefixtures("api")
async def test_tools_need_no_token(channel: grpc.aio.Channel) -> None:
    """Reflection and health answer before a caller has a token."""
    health = health_pb2_grpc.HealthStub(channel)
    async for answer in health.Watch(health_pb2.HealthCheckRequest()):
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            break
    shown = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for answer in shown.ServerReflectionInfo(iter([request])):
        names = {one.name for one in answer.list_services_response.service}
        assert "codestudio.instance.v1.InstanceService" in names
        break


@pytest.mark.usefixtures("api")
async def test_buf_curl(door: Door) -> None:
    """A tool without files learns every public contract from the gateway and calls by it."""
    listed = await _buf_curl("--list-services", door.url)
    assert set(listed.split()) >= set(reflection.PUBLIC)
    answer = await _buf_curl(
        *("--header", f"authorization: {door.bearer()['authorization']}"),
        *("--data", '{"page_size": 3}'),
        f"{door.url}/codestudio.instance.v1.InstanceService/ListInstances",
    )
    assert json.loads(answer) == {}


async def _buf_curl(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("buf"), "curl"),
        *("--http2-prior-knowledge", "--protocol", "grpc", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, problems = await process.communicate()
    assert process.returncode == 0, problems.decode()
    return output.decode()
