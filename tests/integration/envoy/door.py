"""Envoy as a stack runs it, on ports of its own, and services behind it that tests control."""

import contextlib
import dataclasses
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import yaml
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.chassis import errors, identity, lifecycle, settings, status, tokens
from services.devstack import credentials, gateway, ports
from services.instance import reflection

INSTANCE = "codestudio.instance.v1.InstanceService"

_START_SECONDS = 20.0


class Door:
    """A running Envoy with both listeners, and the credentials it knows."""

    def __init__(self, directory: Path) -> None:
        self.ports = ports.Ports(ports.free_offset())
        self.credentials = credentials.Credentials(directory / "secrets")
        self.credentials.mint()
        self.directory = directory / "envoy"
        self.log = directory / "envoy.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The public door."""
        return f"http://localhost:{self.ports['gateway']}"

    @property
    def address(self) -> str:
        """The public door, for gRPC."""
        return f"localhost:{self.ports['gateway']}"

    @property
    def mesh(self) -> str:
        """The mesh listener, for gRPC."""
        return f"127.0.0.1:{self.ports['mesh']}"

    def start(self) -> None:
        """Start Envoy and wait until it has taken both listeners."""
        self.write()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                gateway.command(), cwd=self.directory, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        while self.listeners() != {"public", "mesh"}:
            assert self._process.poll() is None, f"Envoy ended:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"no listeners:\n{self.log.read_text()}"
            time.sleep(0.05)

    def stop(self) -> None:
        """End Envoy."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def write(self) -> None:
        """Write its files as a stack does, replacing what a test changed."""
        gateway.write(self.directory, self.credentials.jwks, offset=self.ports.offset)

    def listeners(self) -> set[str]:
        """List the listeners Envoy has taken; one it refused is missing."""
        try:
            found = self.admin("listeners?format=json")
        except (urllib.error.URLError, ConnectionError):
            return set()
        return {one["name"] for one in json.loads(found).get("listener_statuses", ())}

    def admin(self, path: str) -> str:
        """Ask Envoy's admin port."""
        url = f"http://127.0.0.1:{self.ports['envoy-admin']}/{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())

    def change_routes(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Replace a route file by one in which `change` was made to every route."""
        path = self.directory / f"rds.{name}.yaml"
        tree = yaml.safe_load(path.read_text())
        for route in tree["resources"][0]["virtual_hosts"][0]["routes"]:
            change(route)
        fresh = path.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(tree))
        fresh.replace(path)

    def token(self, subject: str = "ada", *, lifetime: int = 600, **claims: Any) -> str:
        """Sign a user's token; negative `lifetime` makes one that has expired."""
        key = serialization.load_pem_private_key(
            self.credentials.users_key.read_bytes(), password=None
        )
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        given = {"sub": subject, "name": subject, "roles": ["user"], "namespaces": ["*"], **claims}
        return credentials.user_token(key, given, lifetime=lifetime)

    def bearer(self, subject: str = "ada", **claims: Any) -> dict[str, str]:
        """Give the header of a user's token."""
        return {"authorization": f"Bearer {self.token(subject, **claims)}"}

    def service_token(self, service: str = "quota-service") -> str:
        """Sign a service's token."""
        return tokens.sign_service_token(self.credentials.services_key.read_bytes(), service)

    def settings(self, name: str, **values: Any) -> dict[str, Any]:
        """Give what a service of this stack is configured with."""
        return {
            "microservice_name": f"{name}-service",
            "port": self.ports[name],
            "http_port": 0,
            "jwks_file": self.credentials.jwks,
            "service_key_file": self.credentials.services_key,
            "user_key_file": self.credentials.users_key,
            "mesh_address": self.mesh,
            "gateway_url": self.url,
            "drain_seconds": 1.0,
            "drain_settle_seconds": 0.0,
            "redis_pool_min": 0,
            **values,
        }


Handler = Callable[[Any, Any], Awaitable[Any]]


class Instances(instance_service_pb2_grpc.InstanceServiceServicer):
    """The Instance contract over records in memory, with calls a test may take over."""

    def __init__(self) -> None:
        self.records: dict[str, instance_pb2.Instance] = {}
        self.on_get: Handler | None = None
        self.on_create: Handler | None = None
        self.events: list[instance_service_pb2.WatchInstancesResponse] = []
        self.watch_error: Exception | None = None
        self.calls: list[str] = []
        self.metadata: dict[str, Any] = {}
        self.remaining: float | None = None
        self.started: list[str] = []

    def add(self, identifier: str, **fields: Any) -> instance_pb2.Instance:
        """Have a running instance of Ada's."""
        given = {
            "owner": "ada",
            "namespace": "default",
            "state": instance_pb2.INSTANCE_STATE_RUNNING,
            **fields,
        }
        self.records[identifier] = instance_pb2.Instance(id=identifier, **given)
        return self.records[identifier]

    async def GetInstance(self, request: Any, context: Any) -> Any:
        self._note("GetInstance", context)
        if self.on_get is not None:
            return await self.on_get(request, context)
        return self._reachable(request.id)

    async def CreateInstance(self, request: Any, context: Any) -> Any:
        self._note("CreateInstance", context)
        if self.on_create is not None:
            return await self.on_create(request, context)
        return instance_pb2.Instance(id=request.config.id, resources=request.config.resources)

    async def ListInstances(self, request: Any, context: Any) -> Any:
        self._note("ListInstances", context)
        caller = identity.current()
        mine = [one for one in self.records.values() if caller.owns(one.owner)]
        return instance_service_pb2.ListInstancesResponse(instances=mine)

    async def StartInstance(self, request: Any, context: Any) -> Any:
        self._note("StartInstance", context)
        found = self._reachable(request.id)
        self.started.append(found.id)
        return found

    async def WatchInstances(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self._note("WatchInstances", context)
        if self.watch_error is not None:
            raise self.watch_error
        for event in self.events:
            yield event

    def _note(self, name: str, context: Any) -> None:
        self.calls.append(name)
        self.metadata = dict(context.invocation_metadata())
        self.remaining = context.time_remaining()

    def _reachable(self, identifier: str) -> instance_pb2.Instance:
        found = self.records.get(identifier)
        if found is None:
            raise errors.NotFound(
                "INSTANCE_NOT_FOUND", f"There is no instance {identifier}", instance_id=identifier
            )
        if not identity.current().owns(found.owner):
            raise errors.PermissionDenied(
                "NOT_YOUR_INSTANCE", f"{identifier} belongs to another", instance_id=identifier
            )
        return found


@dataclasses.dataclass
class Api:
    """A running Instance service."""

    servicer: Instances
    stop: Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(door: Door, servicer: Instances | None = None) -> AsyncIterator[Api]:
    """Run an Instance service on the chassis where Envoy looks for it."""
    servicer = servicer or Instances()
    app = lifecycle.App(
        grpc=[
            lifecycle.Servicer(
                instance_service_pb2_grpc.add_InstanceServiceServicer_to_server,
                servicer,
                INSTANCE,
            )
        ],
        reflects=reflection.PUBLIC,
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            lifecycle.running(settings.ServiceSettings(**door.settings("instance")), app)
        )
        yield Api(servicer, stack.aclose)


def detail_of(error: grpc.aio.AioRpcError) -> error_pb2.ErrorDetail:
    """Unpack our detail from a gRPC error."""
    detail = status.unpack(error.trailing_metadata())
    assert detail is not None, f"{error} carries no detail"
    return detail
