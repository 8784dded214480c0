"""The config service in this process, on real MongoDB wire, NATS and Valkey, with real tokens."""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import nats
import pytest
import redis.asyncio
from codestudio.common.v1 import error_pb2
from codestudio.config.v1 import config_service_pb2 as pb
from codestudio.config.v1 import config_service_pb2_grpc
from cryptography.hazmat.primitives import serialization
from google.protobuf import field_mask_pb2, json_format, struct_pb2
from motor.motor_asyncio import AsyncIOMotorClient

from services.chassis import lifecycle, status, tokens
from services.config import app
from services.config.settings import ConfigSettings
from services.devstack import credentials
from services.devstack.stack import Stack

FAST: Mapping[str, Any] = {
    "drain_seconds": 3.0,
    "drain_settle_seconds": 0.0,
    "redis_pool_min": 0,
    "mongodb_pool_min": 0,
    "config_reread_seconds": 0.1,
    "config_resync_seconds": 0.3,
    "config_heartbeat_seconds": 0.5,
}
PORT, SIZE = "port_allocation.base_port", "port_allocation.range_size"
RESOURCE, INSTANCE, QUOTA = "resource-service", "instance-service", "quota-service"


@dataclasses.dataclass(frozen=True)
class Parts:
    """Where everything is."""

    stack: Stack
    database: str
    directory: Path

    def settings(self, **over: Any) -> ConfigSettings:
        """Return settings of a replica."""
        return ConfigSettings(**self.values(**over))

    def values(self, **over: Any) -> dict[str, Any]:
        """Return them as they are given."""
        plan = self.stack.plan
        return {
            "port": 0,
            "http_port": 0,
            "redis_url": plan.redis_url,
            "nats_url": plan.nats_url,
            "mongodb_url": plan.mongodb_url.rsplit("/", 1)[0] + "/" + self.database,
            "mesh_address": "127.0.0.1:1",
            "jwks_file": plan.credentials.jwks,
            "service_key_file": plan.credentials.services_key,
            "config_base_dir": self.directory / "base",
            "config_secrets_dir": self.directory / "secrets",
            **FAST,
            **over,
        }

    def user(self, subject: str = "root", *roles: str) -> tuple[tuple[str, str], ...]:
        """Return metadata to call as a user with; an administrator by default."""
        key = serialization.load_pem_private_key(
            self.stack.plan.credentials.users_key.read_bytes(), password=None
        )
        claims = {
            "sub": subject,
            "name": subject.title(),
            "roles": list(roles or ("admin",)),
            "namespaces": ["*"],
        }
        token = credentials.user_token(key, claims, lifetime=3600)  # type: ignore[arg-type]
        return (("authorization", f"Bearer {token}"),)

    def service(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return metadata to call as a service with."""
        pem = self.stack.plan.credentials.services_key.read_bytes()
        return (("authorization", f"Bearer {tokens.sign_service_token(pem, name)}"),)

    @contextlib.asynccontextmanager
    async def redis(self) -> AsyncIterator[redis.asyncio.Redis]:
        """Give a client of Redis."""
        async with redis.asyncio.Redis.from_url(
            self.stack.plan.redis_url, decode_responses=True
        ) as client:
            yield client

    @contextlib.asynccontextmanager
    async def record(self) -> AsyncIterator[Any]:
        """Give the collection of revisions."""
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(self.stack.plan.mongodb_url)
        yield client[self.database]["config_revisions"]
        client.close()

    @contextlib.asynccontextmanager
    async def announced(self) -> AsyncIterator[list[tuple[str, bytes]]]:
        """Collect what is announced, by subject."""
        heard: list[tuple[str, bytes]] = []

        async def hear(message: Any) -> None:
            heard.append((message.subject, message.data))

        client = await nats.connect(self.stack.plan.nats_url)
        await client.subscribe("config.>", cb=hear)
        await client.flush()
        yield heard
        await client.close()


class Replica:
    """A running config service, and a client of it."""

    def __init__(self, port: int, parts: Parts) -> None:
        self.port = port
        self.parts = parts
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self.stub: config_service_pb2_grpc.ConfigServiceAsyncStub = (
            config_service_pb2_grpc.ConfigServiceStub(self.channel)  # type: ignore[assignment]
        )
        self.metadata = parts.user()

    async def get(self, service: str = RESOURCE, revision: int = 0) -> pb.Configuration:
        """Read settings."""
        return await self.stub.GetConfiguration(
            pb.GetConfigurationRequest(service=service, revision=revision),
            metadata=self.metadata,
            timeout=10,
        )

    async def update(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        service: str = RESOURCE,
        mask: list[str] | None = None,
        etag: str = "",
        reason: str = "",
    ) -> pb.Configuration:
        """Change settings, given nested."""
        request = pb.UpdateConfigurationRequest(
            configuration=pb.Configuration(service=service, values=struct(values or {}), etag=etag),
            update_mask=None if mask is None else field_mask_pb2.FieldMask(paths=mask),
            reason=reason,
        )
        return await self.stub.UpdateConfiguration(request, metadata=self.metadata, timeout=20)

    async def set(self, path: str, value: Any, **more: Any) -> pb.Configuration:
        """Change one setting of a section, such as ``port_allocation.base_port``."""
        section, name = path.split(".")
        return await self.update({section: {name: value}}, **more)

    async def roll_back(
        self, revision: int, *, service: str = RESOURCE, **more: Any
    ) -> pb.Configuration:
        """Go back to a revision."""
        request = pb.RollbackConfigurationRequest(service=service, revision=revision, **more)
        return await self.stub.RollbackConfiguration(request, metadata=self.metadata, timeout=10)

    async def revisions(self, service: str = RESOURCE) -> list[pb.ConfigurationRevision]:
        """List all revisions."""
        request = pb.ListRevisionsRequest(service=service, page_size=1000)
        answer = await self.stub.ListRevisions(request, metadata=self.metadata, timeout=10)
        return list(answer.revisions)

    @contextlib.asynccontextmanager
    async def watch(
        self, service: str = RESOURCE, token: str = "", metadata: Any = None
    ) -> AsyncIterator[Watching]:
        """Watch settings."""
        call = self.stub.WatchConfiguration(
            pb.WatchConfigurationRequest(service=service, resume_token=token),
            metadata=metadata or self.metadata,
        )
        try:
            yield Watching(call)
        finally:
            call.cancel()


class Watching:
    """An open watch."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def next(self, seconds: float = 20) -> pb.WatchConfigurationResponse:
        """Wait for the next message."""
        message = await asyncio.wait_for(self._call.read(), seconds)
        assert message is not grpc.aio.EOF, "the watch ended"
        return message

    async def configuration(self) -> pb.Configuration:
        """Wait for the next settings."""
        while True:
            message = await self.next()
            assert message.WhichOneof("message") != "error", message
            if message.HasField("configuration"):
                return message.configuration

    async def until(self, condition: Callable[[pb.Configuration], bool]) -> pb.Configuration:
        """Wait for settings of some kind."""
        while not condition(found := await self.configuration()):
            pass
        return found


@contextlib.asynccontextmanager
async def replica(parts: Parts, **over: Any) -> AsyncIterator[Replica]:
    """Run the service as its process does, without the process."""
    settings = parts.settings(**over)
    composed = app.compose(settings)
    # Config follows itself through the mesh, which there is none of here.
    async with lifecycle.running(settings, dataclasses.replace(composed, live=None)) as running:
        for connector in composed.connectors:
            if connector.required:
                await asyncio.wait_for(connector.wait_ready(), 30)
        client = Replica(running.port, parts)
        try:
            yield client
        finally:
            await client.channel.close()


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Write nested values."""
    return json_format.ParseDict(dict(values), struct_pb2.Struct())


def value(configuration: pb.Configuration, path: str) -> Any:
    """Give one setting; None where there is none."""
    found: Any = json_format.MessageToDict(configuration.values)
    for part in path.split("."):
        found = found.get(part, {})
    return None if found == {} else found


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, error_pb2.ErrorDetail]:
    """Await a call that must fail; gives its status and our detail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    detail = status.unpack(caught.value.trailing_metadata())
    assert detail is not None, caught.value
    return caught.value.code(), detail


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)
