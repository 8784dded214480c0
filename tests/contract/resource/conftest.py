"""The same parts as the integration tests' own, and the service with an Instance service."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import jwt
import prometheus_client
import pytest
from codestudio.common.v1 import error_pb2, resources_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from codestudio.resource.v1 import (
    resource_service_pb2_grpc,
    workload_service_pb2_grpc,
)
from codestudio.resource.v1 import (
    workload_service_pb2 as workload_pb,
)

from services.chassis import lifecycle, tokens
from services.chassis import status as pack
from services.resource import app
from services.resource.settings import ResourceSettings
from tests.integration.chassis import parts
from tests.integration.quota.valkey import Valkey
from tests.integration.resource.conftest import (
    port_base,
    server,
    stack_id,
    tiny,
    valkey,
)

__all__ = ["port_base", "server", "stack_id", "tiny", "valkey"]


class Instances(instance_service_pb2_grpc.InstanceServiceServicer):
    """The Instance contract, as far as Resource needs it: Ada owns red, Eve owns blue."""

    def __init__(self, keys: parts.Keys) -> None:
        self._keys = keys
        self.known: dict[str, instance_pb2.Instance] = {}
        self.refuses: dict[str, tuple[grpc.StatusCode, str]] = {}
        """By method: what it answers instead."""
        self.updates: list[instance_service_pb2.UpdateInstanceRequest] = []
        self.in_force = True
        """Whether an update is in force at once."""
        self.put("red", owner="ada")
        self.put("blue", owner="eve")

    def put(self, name: str, **fields: Any) -> instance_pb2.Instance:
        """Make an instance be there, running unless told otherwise."""
        chosen = {
            "namespace": "default",
            "owner": "ada",
            "state": instance_pb2.INSTANCE_STATE_RUNNING,
            "resources": resources_pb2.Resources(cpu="500m", memory="2Gi", storage="10Gi"),
            "etag": "1",
            **fields,
        }
        self.known[name] = instance_pb2.Instance(id=name, **chosen)  # type: ignore[arg-type]
        return self.known[name]

    async def GetInstance(self, request: Any, context: Any) -> Any:
        await self._meet("GetInstance", context)
        found = self.known.get(request.id)
        if found is None:
            await _refuse(context, grpc.StatusCode.NOT_FOUND, "INSTANCE_NOT_FOUND")
        elif not self._owns(context, found):
            await _refuse(context, grpc.StatusCode.PERMISSION_DENIED, "INSTANCE_NOT_YOURS")
        return found

    async def ListInstances(self, request: Any, context: Any) -> Any:
        await self._meet("ListInstances", context)
        namespace = request.filter.partition('"')[2].rstrip('"')
        return instance_service_pb2.ListInstancesResponse(
            instances=[
                one
                for _, one in sorted(self.known.items())
                if self._owns(context, one) and namespace in ("", one.namespace)
            ]
        )

    async def UpdateInstance(self, request: Any, context: Any) -> Any:
        self.updates.append(request)
        await self._meet("UpdateInstance", context)
        found = self.known[request.instance.id]
        assert self._owns(context, found)
        if request.instance.etag not in ("", found.etag):
            await _refuse(context, grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
        for path in request.update_mask.paths:
            name = path.removeprefix("resources.")
            setattr(found.resources, name, getattr(request.instance.resources, name))
        found.etag = str(int(found.etag) + 1)
        if self.in_force:
            found.effective_resources.CopyFrom(found.resources)
        return found

    async def _meet(self, method: str, context: Any) -> None:
        if method in self.refuses:
            await _refuse(context, *self.refuses[method])

    def _owns(self, context: Any, instance: instance_pb2.Instance) -> bool:
        token = dict(context.invocation_metadata())["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, options={"verify_signature": False})
        roles = claims.get("roles", ["admin"])  # a service's own token has none
        return "admin" in roles or claims["sub"] == instance.owner


async def _refuse(context: Any, code: grpc.StatusCode, name: str) -> None:
    detail = error_pb2.ErrorDetail(code=name, message=f"{name} as the test wants it")
    await context.abort(code, detail.message, ((pack.KEY, pack.pack(code, detail)),))


@dataclasses.dataclass
class Calls:
    """The running service, called as a service or as a user."""

    instances: Instances
    keys: parts.Keys
    base: int
    stack_id: str
    settings: ResourceSettings
    resource: Any = None
    workload: Any = None
    _life: contextlib.AsyncExitStack = dataclasses.field(default_factory=contextlib.AsyncExitStack)

    async def start(self) -> None:
        """Start the service, and wait until what ran has been taken over."""
        running = await self._life.enter_async_context(
            lifecycle.running(self.settings, app.compose(self.settings))
        )
        channel = await self._life.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{running.port}")
        )
        self.resource = resource_service_pb2_grpc.ResourceServiceStub(channel)
        self.workload = workload_service_pb2_grpc.WorkloadServiceStub(channel)
        async with asyncio.timeout(10):
            while await status(self) is grpc.StatusCode.UNAVAILABLE:
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Stop the service; its editors go on."""
        await self._life.aclose()

    async def restart(self) -> None:
        """Stop it and start it again."""
        await self.stop()
        await self.start()

    def metric(self, name: str, **labels: str) -> float:
        """Give the value of a metric of the service, which lives in this process."""
        return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0

    def stop_request(self, name: str) -> workload_pb.StopWorkloadRequest:
        return workload_pb.StopWorkloadRequest(instance_id=name)

    def by_service(self) -> list[tuple[str, str]]:
        token = tokens.sign_service_token(self.keys.services_pem.read_bytes(), "instance-service")
        return [("authorization", f"Bearer {token}")]

    def by_user(self, **claims: Any) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.keys.user(**claims)}")]

    def spec(
        self, name: str, web_port: int, **environment: str
    ) -> workload_pb.ApplyWorkloadRequest:
        return workload_pb.ApplyWorkloadRequest(
            instance_id=name,
            namespace="default",
            web_port=web_port,
            callback_port=web_port + 50,
            resources=resources_pb2.Resources(cpu="500m", memory="2Gi", storage="10Gi"),
            environment=environment,
        )


async def status(calls: Calls) -> grpc.StatusCode:
    """Give what listing workloads answers: UNAVAILABLE until what ran has been taken over."""
    call = calls.workload.ListWorkloads(
        workload_pb.ListWorkloadsRequest(), metadata=calls.by_service()
    )
    return await call.code()


@pytest.fixture
async def calls(
    tmp_path: Path, valkey: Valkey, tiny: Path, stack_id: str, port_base: int
) -> AsyncIterator[Calls]:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    keys = parts.Keys(secrets)
    instances = Instances(keys)
    async with contextlib.AsyncExitStack() as stack:
        mesh = grpc.aio.server()
        instance_service_pb2_grpc.add_InstanceServiceServicer_to_server(instances, mesh)
        mesh_port = mesh.add_insecure_port("127.0.0.1:0")
        await mesh.start()
        stack.push_async_callback(mesh.stop, 0)
        settings = ResourceSettings(
            port=0,
            http_port=0,
            redis_url=valkey.url,
            redis_pool_min=0,
            jwks_file=keys.jwks,
            service_key_file=keys.services_pem,
            mesh_address=f"127.0.0.1:{mesh_port}",
            container_root=tmp_path / "data",
            stack_id=stack_id,
            editor_command=str(tiny),
            editor_stop_seconds=1,
            port_base=port_base,
            max_concurrent_instances=3,
            default_cpu_request="500m",
            default_memory_request="2Gi",
            usage_sample_seconds=0.2,
            optimize_up_seconds=0.8,
            optimize_down_seconds=2,
            port_reconcile_seconds=0.2,
            unclaimed_port_seconds=1,
            drain_seconds=2,
            drain_settle_seconds=0,
        )
        made = Calls(instances, keys, port_base, stack_id, settings)
        stack.push_async_callback(made.stop)
        await made.start()
        yield made
