"""The mesh listener: who may use it, what it repeats, how soon a service is back."""

import asyncio
import sys

import grpc.aio
import pytest
from codestudio.instance.v1 import instance_service_pb2, instance_service_pb2_grpc
from codestudio.resource.v1 import workload_service_pb2, workload_service_pb2_grpc

from services.devstack import ports
from tests.integration.envoy.door import Api, Door, Instances, detail_of, serving

GET = instance_service_pb2.GetInstanceRequest(id="a")


def as_service(door: Door) -> list[tuple[str, str]]:
    """Give the metadata of a service's call."""
    return [("authorization", f"Bearer {door.service_token()}")]


async def test_services_and_users_may(door: Door, api: Api, mesh: grpc.aio.Channel) -> None:
    """A service calls with its own token, or with that of the user it acts for."""
    api.servicer.add("a")
    stub = instance_service_pb2_grpc.InstanceServiceStub(mesh)
    for token in (door.service_token("resource-service"), door.token()):
        metadata = [("authorization", f"Bearer {token}"), ("x-request-id", "kept-as-it-is")]
        assert (await stub.GetInstance(GET, metadata=metadata)).id == "a"
        assert api.servicer.metadata["x-request-id"] == "kept-as-it-is"


async def test_nobody_without_a_token(mesh: grpc.aio.Channel) -> None:
    """The mesh is not open to whoever reaches it."""
    stub = instance_service_pb2_grpc.InstanceServiceStub(mesh)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetInstance(GET)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert detail_of(caught.value).code == "TOKEN_MISSING"


async def test_internal_services_are_routed(door: Door, mesh: grpc.aio.Channel) -> None:
    """WorkloadService has its way here; nobody runs it in this test."""
    stub = workload_service_pb2_grpc.WorkloadServiceStub(mesh)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ApplyWorkload(
            workload_service_pb2.ApplyWorkloadRequest(), metadata=as_service(door)
        )
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert detail_of(caught.value).service == "resource-service"


async def test_a_call_waits_for_a_restart(door: Door, mesh: grpc.aio.Channel) -> None:
    """A call that meets a service between two lives is answered by the second."""
    servicer = Instances()
    servicer.add("a")
    stub = instance_service_pb2_grpc.InstanceServiceStub(mesh)
    token = [("authorization", f"Bearer {door.token()}")]
    async with serving(door, servicer):
        await stub.GetInstance(GET, metadata=token)
    call = stub.GetInstance(GET, metadata=token, timeout=10)
    await asyncio.sleep(0.2)
    async with serving(door, servicer):
        assert (await call).id == "a"


async def test_a_restarted_service_is_back_at_once(door: Door, mesh: grpc.aio.Channel) -> None:
    """After seconds of being down, the first call to the new process succeeds."""
    servicer = Instances()
    servicer.add("a")
    stub = instance_service_pb2_grpc.InstanceServiceStub(mesh)
    token = [("authorization", f"Bearer {door.token()}")]
    async with serving(door, servicer):
        await stub.GetInstance(GET, metadata=token)
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.GetInstance(GET, metadata=token)
    await asyncio.sleep(3)  # health checks have long found it dead
    async with serving(door, servicer):
        await stub.GetInstance(GET, metadata=token, timeout=5)


async def test_reads_are_repeated_and_writes_are_not(door: Door, mesh: grpc.aio.Channel) -> None:
    """A service is killed with two calls in hand: the read is asked again, the write is not."""
    stub = instance_service_pb2_grpc.InstanceServiceStub(mesh)
    token = [("authorization", f"Bearer {door.token()}")]
    victim = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.envoy.victim", str(door.ports["instance"])),
        *(str(door.credentials.jwks), str(door.credentials.services_key)),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        assert victim.stderr is not None
        await _listening(door.ports["instance"])
        read = stub.GetInstance(GET, metadata=token, timeout=20)
        write = stub.CreateInstance(
            instance_service_pb2.CreateInstanceRequest(), metadata=token, timeout=20
        )
        for _ in range(2):
            assert await victim.stderr.readline() == b"holding\n"
    finally:
        victim.kill()
        await victim.wait()
    servicer = Instances()
    servicer.add("a")
    async with serving(door, servicer):
        assert (await read).id == "a"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await write
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "not known" in detail_of(caught.value).message
    assert servicer.calls == ["GetInstance"]


async def _listening(port: int) -> None:
    async with asyncio.timeout(20):
        while ports.is_free(port):
            await asyncio.sleep(0.02)
