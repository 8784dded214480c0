"""The quota service in this process, with the real chassis, a real Valkey and real tokens.

Beside it stands a server of the Instance contract that lists the records a test gives it: what
the quota service sees of instances is the contract, and faults can be caused at any page.
"""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from codestudio.quota.v1 import quota_service_pb2_grpc
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.chassis import errors, lifecycle, status, tokens
from services.chassis.settings import ServiceSettings
from services.devstack import credentials
from services.quota import app
from services.quota.settings import QuotaSettings

FAST = {"drain_seconds": 2.0, "drain_settle_seconds": 0.0, "redis_pool_min": 0}


class ListedInstances(instance_service_pb2_grpc.InstanceServiceServicer):
    """Lists records in order of id, a few a page."""

    def __init__(self) -> None:
        self.records: dict[str, instance_pb2.Instance] = {}
        self.page_size = 2
        self.pages_until_fault: int | None = None
        """Pages answered before the fault; None for no fault."""

    async def ListInstances(
        self, request: instance_service_pb2.ListInstancesRequest, context: object
    ) -> instance_service_pb2.ListInstancesResponse:
        if self.pages_until_fault is not None:
            if self.pages_until_fault == 0:
                raise errors.Unavailable("MONGODB_UNAVAILABLE", "Mongodb cannot be reached")
            self.pages_until_fault -= 1
        wanted = request.filter.removeprefix('namespace = "').removesuffix('"')
        behind = sorted(
            name
            for name, record in self.records.items()
            if name > request.page_token and wanted in ("", record.namespace)
        )
        page = behind[: self.page_size]
        return instance_service_pb2.ListInstancesResponse(
            instances=[self.records[name] for name in page],
            next_page_token=page[-1] if len(behind) > len(page) else "",
        )

    def add(
        self,
        name: str,
        *,
        namespace: str = "team",
        state: str = "RUNNING",
        desired: str = "RUNNING",
        cpu: str = "1",
        memory: str = "1Gi",
        storage: str = "10Gi",
    ) -> None:
        """Write a record."""
        record = instance_pb2.Instance(
            id=name,
            namespace=namespace,
            state=instance_pb2.InstanceState.Value(f"INSTANCE_STATE_{state}"),
            desired_state=instance_pb2.DesiredState.Value(f"DESIRED_STATE_{desired}"),
        )
        record.resources.cpu = cpu
        record.resources.memory = memory
        record.resources.storage = storage
        self.records[name] = record


@dataclasses.dataclass(frozen=True)
class Rig:
    """A running quota service."""

    address: str
    """Where it listens."""
    keys: credentials.Credentials
    """What tokens are signed with."""
    instances: ListedInstances
    """The records it sees."""

    @contextlib.asynccontextmanager
    async def as_user(
        self, *, role: str = "admin", namespaces: tuple[str, ...] = ("*",)
    ) -> AsyncIterator[quota_service_pb2_grpc.QuotaServiceAsyncStub]:
        """Call it with a user's token."""
        async with self._client(self.user_token(role=role, namespaces=namespaces)) as stub:
            yield stub

    def user_token(self, *, role: str = "admin", namespaces: tuple[str, ...] = ("*",)) -> str:
        """Sign a user's token."""
        key = serialization.load_pem_private_key(self.keys.users_key.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        claims = {"sub": "ada", "name": "Ada", "roles": [role], "namespaces": list(namespaces)}
        return credentials.user_token(key, claims, lifetime=600)

    @contextlib.asynccontextmanager
    async def as_service(
        self, name: str = "instance-service"
    ) -> AsyncIterator[quota_service_pb2_grpc.QuotaServiceAsyncStub]:
        """Call it with a service's token."""
        token = tokens.sign_service_token(self.keys.services_key.read_bytes(), name)
        async with self._client(token) as stub:
            yield stub

    @contextlib.asynccontextmanager
    async def _client(
        self, token: str
    ) -> AsyncIterator[quota_service_pb2_grpc.QuotaServiceAsyncStub]:
        interceptor = _Authorized(token)
        async with grpc.aio.insecure_channel(self.address, interceptors=[interceptor]) as channel:
            yield quota_service_pb2_grpc.QuotaServiceStub(channel)


class _Authorized(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    async def intercept_unary_unary(self, continuation, details, request):
        metadata = grpc.aio.Metadata(*(details.metadata or ()), self._header)
        return await continuation(details._replace(metadata=metadata), request)


def detail(error: grpc.aio.AioRpcError) -> error_pb2.ErrorDetail:
    """Give the error as our contract describes it."""
    found = status.unpack(error.trailing_metadata())
    assert found is not None, error
    return found


@contextlib.asynccontextmanager
async def instance_server(
    listed: ListedInstances, keys: credentials.Credentials
) -> AsyncIterator[int]:
    """Serve the Instance contract; gives the port."""
    settings = ServiceSettings(
        microservice_name="instance-service", port=0, jwks_file=keys.jwks, **FAST
    )
    served = lifecycle.Servicer(
        instance_service_pb2_grpc.add_InstanceServiceServicer_to_server,
        listed,
        "codestudio.instance.v1.InstanceService",
    )
    async with lifecycle.running(settings, lifecycle.App(grpc=[served])) as server:
        yield server.port


@contextlib.asynccontextmanager
async def quota_server(
    redis_url: str, directory: Path, *, instances: ListedInstances | None = None, **settings: object
) -> AsyncIterator[Rig]:
    """Run the quota service as its process does, without the process."""
    keys = credentials.Credentials(directory / "secrets")
    keys.mint()
    listed = instances or ListedInstances()
    async with contextlib.AsyncExitStack() as stack:
        mesh_port = await stack.enter_async_context(instance_server(listed, keys))
        values = QuotaSettings(
            **{
                "port": 0,
                "redis_url": redis_url,
                "mesh_address": f"127.0.0.1:{mesh_port}",
                "jwks_file": keys.jwks,
                "service_key_file": keys.services_key,
                **FAST,
                **settings,
            }
        )
        composed = app.compose(values)
        running = await stack.enter_async_context(lifecycle.running(values, composed))
        for connector in composed.connectors:
            if connector.required:
                await connector.wait_ready()
        yield Rig(f"127.0.0.1:{running.port}", keys, listed)
