"""The Instance service in this process, on real MongoDB wire, NATS and Valkey, with real tokens."""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from cryptography.hazmat.primitives import serialization
from google.protobuf import field_mask_pb2

from services.chassis import lifecycle, status
from services.devstack import credentials
from services.devstack.stack import Stack
from services.instance import app
from services.instance.settings import InstanceSettings
from tests.integration.instance import world as worlds

FAST = {
    "drain_seconds": 3.0,
    "drain_settle_seconds": 0.0,
    "redis_pool_min": 0,
    "mongodb_pool_min": 0,
    "resync_seconds": 2.0,
    "lease_seconds": 2.0,
    "crash_backoff": 0.05,
    "heartbeat_seconds": 1.0,
}

_SERVICE = "codestudio.instance.v1.InstanceService"


@dataclasses.dataclass(frozen=True)
class Parts:
    """Where everything is."""

    stack: Stack
    database: str
    world: worlds.World
    mesh_port: int

    def settings(self, **over: Any) -> InstanceSettings:
        """Return settings of a replica."""
        plan = self.stack.plan
        return InstanceSettings(
            **{
                "port": 0,
                "http_port": 0,
                "redis_url": plan.redis_url,
                "nats_url": plan.nats_url,
                "mongodb_url": plan.mongodb_url.rsplit("/", 1)[0] + "/" + self.database,
                "mesh_address": f"127.0.0.1:{self.mesh_port}",
                "jwks_file": plan.credentials.jwks,
                "service_key_file": plan.credentials.services_key,
                **FAST,
                **over,
            }
        )

    def token(
        self, subject: str = "alice", *roles: str, namespaces: tuple[str, ...] = ("*",)
    ) -> str:
        """Mint a user's token."""
        key = serialization.load_pem_private_key(
            self.stack.plan.credentials.users_key.read_bytes(), password=None
        )
        claims = {
            "sub": subject,
            "name": subject.title(),
            "roles": list(roles or ("user",)),
            "namespaces": list(namespaces),
        }
        return credentials.user_token(key, claims, lifetime=3600)  # type: ignore[arg-type]


class Replica:
    """A running Instance service, and a client of it as some user."""

    def __init__(self, port: int, parts: Parts) -> None:
        self.port = port
        self.parts = parts
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self.stub: instance_service_pb2_grpc.InstanceServiceAsyncStub = (
            instance_service_pb2_grpc.InstanceServiceStub(self._channel)  # type: ignore[assignment]
        )
        self.metadata = self.as_user()

    def as_user(
        self, subject: str = "alice", *roles: str, namespaces: tuple[str, ...] = ("*",)
    ) -> tuple[tuple[str, str], ...]:
        """Return metadata to call as a user with."""
        token = self.parts.token(subject, *roles, namespaces=namespaces)
        return (("authorization", f"Bearer {token}"),)

    async def create(
        self, request_id: str = "", metadata: Any = None, validate_only: bool = False, **config: Any
    ) -> instance_pb2.Instance:
        """Create an instance."""
        return await self.stub.CreateInstance(
            instance_service_pb2.CreateInstanceRequest(
                config=instance_pb2.InstanceConfig(**config),
                request_id=request_id,
                validate_only=validate_only,
            ),
            metadata=metadata or self.metadata,
            timeout=20,
        )

    async def get(self, instance_id: str, metadata: Any = None) -> instance_pb2.Instance:
        """Read an instance."""
        return await self.stub.GetInstance(
            instance_service_pb2.GetInstanceRequest(id=instance_id),
            metadata=metadata or self.metadata,
            timeout=10,
        )

    async def update(
        self,
        instance_id: str,
        *paths: str,
        metadata: Any = None,
        validate_only: bool = False,
        **fields: Any,
    ) -> instance_pb2.Instance:
        """Change an instance; without paths, what is set."""
        request = instance_service_pb2.UpdateInstanceRequest(
            instance=instance_pb2.Instance(id=instance_id, **fields), validate_only=validate_only
        )
        if paths:
            request.update_mask.CopyFrom(field_mask_pb2.FieldMask(paths=paths))
        return await self.stub.UpdateInstance(
            request, metadata=metadata or self.metadata, timeout=10
        )

    async def start(self, instance_id: str, etag: str = "") -> instance_pb2.Instance:
        """Start an instance."""
        return await self.stub.StartInstance(
            instance_service_pb2.StartInstanceRequest(id=instance_id, etag=etag),
            metadata=self.metadata,
            timeout=10,
        )

    async def stop(self, instance_id: str, etag: str = "") -> instance_pb2.Instance:
        """Stop an instance."""
        return await self.stub.StopInstance(
            instance_service_pb2.StopInstanceRequest(id=instance_id, etag=etag),
            metadata=self.metadata,
            timeout=10,
        )

    async def delete(self, instance_id: str, etag: str = "", allow_missing: bool = False) -> None:
        """Delete an instance."""
        await self.stub.DeleteInstance(
            instance_service_pb2.DeleteInstanceRequest(
                id=instance_id, etag=etag, allow_missing=allow_missing
            ),
            metadata=self.metadata,
            timeout=10,
        )

    async def state(self, instance_id: str) -> str:
        """Return the name of an instance's state, GONE if there is none."""
        try:
            state = (await self.get(instance_id)).state
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return "GONE"
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                return "AWAY"
            raise
        return instance_pb2.InstanceState.Name(state).removeprefix("INSTANCE_STATE_")

    async def until(self, instance_id: str, state: str, timeout: float = 15) -> None:
        """Wait until an instance is in a state."""

        async def reached() -> bool:
            return await self.state(instance_id) == state

        await until(reached, f"{instance_id} is {state}", timeout)

    def watch(
        self,
        text: str = "",
        resume_token: str = "",
        metadata: Any = None,
    ) -> Any:
        """Watch instances."""
        return self.stub.WatchInstances(
            instance_service_pb2.WatchInstancesRequest(filter=text, resume_token=resume_token),
            metadata=metadata or self.metadata,
        )

    async def close(self) -> None:
        """Close the client."""
        await self._channel.close()


async def until(condition: Callable[[], Awaitable[bool]], what: str, timeout: float = 15) -> None:
    """Wait until something is true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not await condition():
        assert loop.time() < deadline, f"not within {timeout} s: {what}"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def replica(parts: Parts, **settings: Any) -> AsyncIterator[Replica]:
    """Run a replica that is ready."""
    chosen = parts.settings(**settings)
    async with contextlib.AsyncExitStack() as stack:
        clients = await stack.enter_async_context(contextlib.AsyncExitStack())
        running = await stack.enter_async_context(lifecycle.running(chosen, app.compose(chosen)))

        async def ready() -> bool:
            return bool(running.health.ready)

        await until(ready, "the service is ready")
        client = Replica(running.port, parts)
        # Closed last: what the service says as it goes is to be heard.
        clients.push_async_callback(client.close)
        yield client


def detail(error: grpc.aio.AioRpcError) -> error_pb2.ErrorDetail:
    """Return our detail of an error."""
    found = status.unpack(error.trailing_metadata())  # type: ignore[arg-type]
    assert found is not None, error
    return found
