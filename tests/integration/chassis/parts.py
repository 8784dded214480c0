"""A real server on the chassis, its keys and its callers."""

import asyncio
import contextlib
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import jwt
import pytest
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.chassis import lifecycle, settings, status, tokens

SERVICE = "codestudio.instance.v1.InstanceService"


class Keys:
    """The keys of both issuers, their public halves in a file, and what they sign."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.jwks = directory / "jwks.json"
        self.services_pem = directory / "services.pem"
        self.users = ec.generate_private_key(ec.SECP256R1())
        self.services = ec.generate_private_key(ec.SECP256R1())
        self.publish()

    def publish(self) -> None:
        """Write the files, as a rotation does."""
        public = {tokens.USERS: self.users, tokens.SERVICES: self.services}
        fresh = self.directory / "jwks.new"
        fresh.write_text(
            json.dumps(
                {
                    "keys": [
                        {
                            **jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True),
                            "kid": kid,
                        }
                        for kid, key in public.items()
                    ]
                }
            )
        )
        fresh.replace(self.jwks)
        self.services_pem.write_bytes(
            self.services.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    def user(self, **changes: Any) -> str:
        """Sign a user's token; a claim changed to None is left out."""
        return self.sign(self.users, tokens.USERS, **changes)

    def sign(self, key: ec.EllipticCurvePrivateKey, kid: str, **changes: Any) -> str:
        """Sign any claims with any key."""
        now = int(time.time())
        claims = {
            "iss": tokens.USERS,
            "aud": tokens.AUDIENCE,
            "sub": "ada",
            "name": "Ada",
            "roles": ["user"],
            "namespaces": ["default"],
            "iat": now,
            "exp": now + 600,
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, key, algorithm="ES256", headers={"kid": kid})


Handler = Callable[[Any, Any], Any]


async def echo(request: Any, _: Any) -> Any:
    """Answer with the id asked for."""
    return instance_pb2.Instance(id=request.id)


async def silence(_request: Any, _context: Any) -> AsyncIterator[Any]:
    """Say nothing until the server drains."""
    await lifecycle.draining().wait()
    return
    yield


class Instances(instance_service_pb2_grpc.InstanceServiceServicer):
    """The Instance contract, answering as the test says."""

    def __init__(self) -> None:
        self.get: Handler = echo
        self.watch: Handler = silence

    async def GetInstance(self, request: Any, context: Any) -> Any:
        return await self.get(request, context)

    async def WatchInstances(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for answer in self.watch(request, context):
            yield answer


def configured(keys: Keys, **changes: Any) -> settings.ServiceSettings:
    """Give settings with free ports and a quick drain."""
    values: dict[str, Any] = {
        "microservice_name": "instance-service",
        "port": 0,
        # Not the one of a stack that runs here as well.
        "mesh_address": "127.0.0.1:1",
        "jwks_file": keys.jwks,
        "service_key_file": keys.services_pem,
        "drain_seconds": 5.0,
        "drain_settle_seconds": 0.0,
        "redis_pool_min": 0,
        **changes,
    }
    return settings.ServiceSettings(**values)


@dataclasses.dataclass
class Served:
    """A running server with its stub."""

    servicer: Instances
    keys: Keys
    running: lifecycle.Running
    channel: grpc.aio.Channel
    stub: Any
    stop: Callable[[], Awaitable[None]]
    """Drains and stops the server, as SIGTERM does."""

    def watch(self) -> Any:
        """Call WatchInstances; gives the call."""
        return self.stub.WatchInstances(
            instance_service_pb2.WatchInstancesRequest(),
            metadata=[("authorization", f"Bearer {self.keys.user()}")],
        )

    async def get(self, identifier: str = "a", *, token: str | None = None, **more: str) -> Any:
        """Call GetInstance; gives the call, finished."""
        given = self.keys.user() if token is None else token
        metadata = [("authorization", f"Bearer {given}")] if given else []
        metadata += [(name.replace("_", "-"), value) for name, value in more.items()]
        call = self.stub.GetInstance(
            instance_service_pb2.GetInstanceRequest(id=identifier), metadata=metadata, timeout=10
        )
        await call
        return call


@contextlib.asynccontextmanager
async def serving(
    keys: Keys, app: Callable[..., lifecycle.App] = lifecycle.App, **changes: Any
) -> AsyncIterator[Served]:
    """Serve the Instance contract on the chassis."""
    servicer = Instances()
    served = lifecycle.Servicer(
        instance_service_pb2_grpc.add_InstanceServiceServicer_to_server, servicer, SERVICE
    )
    async with contextlib.AsyncExitStack() as server:
        running = await server.enter_async_context(
            lifecycle.running(configured(keys, **changes), app(grpc=[served]))
        )
        # Closed before the server is, unless the test stops the server itself.
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
            stub = instance_service_pb2_grpc.InstanceServiceStub(channel)
            yield Served(servicer, keys, running, channel, stub, server.aclose)


async def refusal(call: Any) -> tuple[grpc.StatusCode, error_pb2.ErrorDetail]:
    """Await a call that must fail; gives its status and our detail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    detail = status.unpack(caught.value.trailing_metadata())
    assert detail is not None, caught.value
    return caught.value.code(), detail


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
