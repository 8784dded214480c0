"""The path service in this process: real chassis, real Valkey and NATS, real tokens, real files.

Beside it stands a server of the Instance contract that knows the instances a test gives it and
whose they are: what the path service sees of instances is the contract.
"""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import nats
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from codestudio.path.v1 import path_service_pb2, path_service_pb2_grpc
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.chassis import errors, identity, lifecycle, status
from services.chassis.settings import ServiceSettings
from services.devstack import credentials
from services.path import app, layout
from services.path.settings import PathSettings

FAST = {"drain_seconds": 2.0, "drain_settle_seconds": 0.0, "redis_pool_min": 0}
pb = path_service_pb2


class KnownInstances(instance_service_pb2_grpc.InstanceServiceServicer):
    """Answers GetInstance as the Instance service does."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self.asked = 0

    async def GetInstance(
        self, request: instance_service_pb2.GetInstanceRequest, context: object
    ) -> instance_pb2.Instance:
        self.asked += 1
        owner = self.owners.get(request.id)
        if owner is None:
            raise errors.NotFound(
                "INSTANCE_NOT_FOUND", f"There is no {request.id}", instance_id=request.id
            )
        if not identity.current().owns(owner):
            raise errors.PermissionDenied(
                "INSTANCE_NOT_YOURS", "It is somebody else's", instance_id=request.id
            )
        return instance_pb2.Instance(id=request.id, owner=owner)


@dataclasses.dataclass(frozen=True)
class Rig:
    """A running path service and its surroundings."""

    address: str
    keys: credentials.Credentials
    root: Path
    """CONTAINER_ROOT."""
    known: KnownInstances
    nats_url: str
    redis_url: str
    stub: path_service_pb2_grpc.PathServiceAsyncStub
    http_port: int

    def make(self, name: str, owner: str = "ada") -> Path:
        """Make an instance with its directories; gives its own one."""
        self.known.owners[name] = owner
        place = self.root / "instances" / name
        for each in layout.DIRECTORIES.values():
            (place / each.decode()).mkdir(parents=True)
        return place

    def metadata(self, subject: str = "ada", role: str = "user") -> tuple[tuple[str, str], ...]:
        """Give what a user calls with."""
        key = serialization.load_pem_private_key(self.keys.users_key.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        claims = {"sub": subject, "name": subject, "roles": [role], "namespaces": ["*"]}
        return (("authorization", f"Bearer {credentials.user_token(key, claims, lifetime=600)}"),)

    async def call(
        self, method: str, request: Any, subject: str = "ada", role: str = "user"
    ) -> Any:
        """Call as a user."""
        return await getattr(self.stub, method)(
            request, metadata=self.metadata(subject, role), timeout=20
        )

    async def info(self, name: str, *, refresh: bool = False) -> path_service_pb2.PathInfo:
        """Call GetPathInfo."""
        request = pb.GetPathInfoRequest(instance_id=name, refresh=refresh)
        return await self.call("GetPathInfo", request)

    async def change(self, name: str) -> None:
        """Tell of a change of an instance, as the Instance service does."""
        connection = await nats.connect(self.nats_url)
        await connection.publish(f"events.instance.default.{name}", b"")
        await connection.flush()
        await connection.close()


def detail(error: grpc.aio.AioRpcError) -> error_pb2.ErrorDetail:
    """Give the error as our contract describes it."""
    found = status.unpack(error.trailing_metadata())
    assert found is not None, error
    return found


async def until(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """Wait for something to become true; gives it."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            found = await found if asyncio.iscoroutine(found) else found
            if found:
                return found
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def serving(
    directory: Path, *, redis_url: str, nats_url: str, ready: bool = True, **settings: Any
) -> AsyncIterator[Rig]:
    """Run the service as its process does, without the process."""
    keys = credentials.Credentials(directory / "secrets")
    keys.mint()
    known = KnownInstances()
    served = lifecycle.Servicer(
        instance_service_pb2_grpc.add_InstanceServiceServicer_to_server,
        known,
        "codestudio.instance.v1.InstanceService",
    )
    around = ServiceSettings(
        microservice_name="instance-service", port=0, jwks_file=keys.jwks, **FAST
    )
    async with contextlib.AsyncExitStack() as stack:
        mesh = await stack.enter_async_context(
            lifecycle.running(around, lifecycle.App(grpc=[served]))
        )
        values = PathSettings(
            **{
                "port": 0,
                "redis_url": redis_url,
                "nats_url": nats_url,
                "mesh_address": f"127.0.0.1:{mesh.port}",
                "jwks_file": keys.jwks,
                "service_key_file": keys.services_key,
                "container_root": directory / "stack",
                "path_clock_skew_seconds": 0.0,
                **FAST,
                **settings,
            }
        )
        composed = app.compose(values)
        running = await stack.enter_async_context(lifecycle.running(values, composed))
        if ready:
            for connector in composed.connectors:
                await connector.wait_ready()
        address = f"127.0.0.1:{running.port}"
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        stub: Any = path_service_pb2_grpc.PathServiceStub(channel)
        yield Rig(
            address, keys, directory / "stack", known, nats_url, redis_url, stub, running.http_port
        )
