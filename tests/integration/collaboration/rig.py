"""The Collaboration service in this process, on real MongoDB wire and NATS, with real tokens."""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import contextlib
import dataclasses
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import grpc
import prometheus_client
import pytest
import redis.asyncio as redis
from codestudio.collaboration.v1 import (
    collaboration_service_pb2,
    collaboration_service_pb2_grpc,
    document_pb2,
)
from codestudio.common.v1 import error_pb2
from cryptography.hazmat.primitives import serialization

from services.chassis import lifecycle, status
from services.collaboration import app
from services.collaboration.settings import CollaborationSettings
from services.devstack import credentials
from services.devstack.stack import Stack
from tests import programs
from tests.integration.collaboration.editor import OPTIONS, Editor

FAST = {
    "drain_seconds": 2.0,
    "drain_settle_seconds": 0.0,
    "mongodb_pool_min": 0,
    "redis_pool_min": 0,
    "heartbeat_seconds": 1.0,
    "quiet_seconds": 0.5,
}

NOTHING_COMMITTED = {"commit_quiet_seconds": 3600.0, "commit_busy_seconds": 3600.0}
"""For a replica with little room: to commit other tests' documents it would load them."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """Where everything is; each test has names of its own in it."""

    stack: Stack
    project: str
    namespace: str = "default"

    def settings(self, **over: Any) -> CollaborationSettings:
        """Return settings of a replica."""
        plan = self.stack.plan
        return CollaborationSettings(
            **{
                "port": 0,
                "http_port": 0,
                "web_port": 0,
                "redis_url": plan.redis_url,
                "nats_url": plan.nats_url,
                "repositories": plan.layout.data / "repositories",
                "mongodb_url": plan.mongodb_url,
                # Not the one of a stack that runs here as well.
                "mesh_address": "127.0.0.1:1",
                "jwks_file": plan.credentials.jwks,
                "service_key_file": plan.credentials.services_key,
                **FAST,
                **over,
            }
        )

    def token(
        self,
        subject: str = "ada",
        *roles: str,
        namespaces: tuple[str, ...] = ("*",),
        lifetime: int = 3600,
    ) -> str:
        """Mint a user's token."""
        return mint(self.stack, subject, *roles, namespaces=namespaces, lifetime=lifetime)

    def name(self, path: str = "main.py", **over: str) -> document_pb2.DocumentName:
        """Return a document's name."""
        named = {"namespace": self.namespace, "project": self.project, "path": path, **over}
        return document_pb2.DocumentName(**named)


def mint(
    stack: Stack,
    subject: str = "ada",
    *roles: str,
    namespaces: tuple[str, ...] = ("*",),
    lifetime: int = 3600,
) -> str:
    """Mint a user's token of a stack."""
    key = serialization.load_pem_private_key(
        stack.plan.credentials.users_key.read_bytes(), password=None
    )
    claims = {
        "sub": subject,
        "name": subject.title(),
        "roles": list(roles or ("user",)),
        "namespaces": list(namespaces),
    }
    return credentials.user_token(key, claims, lifetime=lifetime)  # type: ignore[arg-type]


class Replica:
    """A running Collaboration service, and a client of it as some user."""

    def __init__(self, port: int, parts: Parts, *, web_port: int = 0) -> None:
        self.port = port
        self.web_port = web_port
        self.address = f"127.0.0.1:{port}"
        self.live_address = f"127.0.0.1:{web_port}"
        """Where Envoy sends the streams of editors."""
        self.parts = parts
        self._channel = grpc.aio.insecure_channel(self.address, options=OPTIONS)
        self._live = grpc.aio.insecure_channel(self.live_address, options=OPTIONS)
        self.stub: collaboration_service_pb2_grpc.CollaborationServiceAsyncStub = (
            collaboration_service_pb2_grpc.CollaborationServiceStub(self._channel)  # type: ignore[assignment]
        )
        self.live: collaboration_service_pb2_grpc.CollaborationServiceAsyncStub = (
            collaboration_service_pb2_grpc.CollaborationServiceStub(self._live)  # type: ignore[assignment]
        )
        """For streams; all other calls go to `stub`."""
        self.metadata = self.as_user()

    def as_user(
        self, subject: str = "ada", *roles: str, namespaces: tuple[str, ...] = ("*",)
    ) -> tuple[tuple[str, str], ...]:
        """Return metadata to call as a user with."""
        token = self.parts.token(subject, *roles, namespaces=namespaces)
        return (("authorization", f"Bearer {token}"),)

    async def open(
        self, path: str = "main.py", content: str = "", metadata: Any = None, **over: Any
    ) -> document_pb2.Document:
        """Open a document."""
        request = collaboration_service_pb2.OpenDocumentRequest(
            name=self.parts.name(path), initial_content=content, **over
        )
        return await self.stub.OpenDocument(request, metadata=metadata or self.metadata, timeout=20)

    async def get(
        self, path: str = "main.py", metadata: Any = None, **over: Any
    ) -> document_pb2.Document:
        """Read a document."""
        request = collaboration_service_pb2.GetDocumentRequest(name=self.parts.name(path), **over)
        return await self.stub.GetDocument(request, metadata=metadata or self.metadata, timeout=20)

    def editor(self, path: str = "main.py", *, user: str = "ada", **over: Any) -> Editor:
        """Return a client that is not connected yet."""
        roles = over.pop("roles", ())
        others = over.pop("others", ())
        lifetime = over.pop("lifetime", 3600)
        addresses = [self.live_address, *(one.live_address for one in others)]
        token = self.parts.token(user, *roles, lifetime=lifetime)
        return Editor(addresses, token, self.parts.name(path), **over)

    def raw(self) -> Any:
        """Open a stream of bytes."""
        method = "/codestudio.collaboration.v1.CollaborationService/Collaborate"
        return self._live.stream_stream(method)(metadata=self.metadata)

    @staticmethod
    def loaded() -> float:
        """Tell how many documents are in memory."""
        return (
            prometheus_client.REGISTRY.get_sample_value("codestudio_collaboration_documents_loaded")
            or 0.0
        )

    async def close(self) -> None:
        """Close the client."""
        await self._channel.close()
        await self._live.close()


@contextlib.asynccontextmanager
async def replica(parts: Parts, **over: Any) -> AsyncIterator[Replica]:
    """Run a replica as its process does, without the process."""
    settings = parts.settings(**over)
    composed = app.compose(settings)
    async with (
        contextlib.AsyncExitStack() as clients,
        lifecycle.running(settings, composed) as running,
    ):
        for connector in composed.connectors:
            if connector.required:
                await connector.wait_ready()
        client = Replica(running.port, parts, web_port=running.web_port)
        # Closed last: what the service says as it goes is to be heard.
        clients.push_async_callback(client.close)
        yield client


@contextlib.contextmanager
def hanging(stack: Stack, program: str) -> Iterator[None]:
    """Have a program of a stack say nothing; what it is sent meanwhile, it takes after that."""
    pid = programs.pid(stack, program)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def new_project() -> str:
    """Return a project nobody else has."""
    return f"p-{uuid.uuid4().hex[:10]}"


async def refusal(call: Any) -> error_pb2.ErrorDetail:
    """Await a call that must fail; gives our detail."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    found = status.unpack(refused.value.trailing_metadata())
    assert found is not None, refused.value
    return found


async def forget_results(stack: Stack, epochs: Mapping[str, str] | None = None) -> None:
    """Forget what became of every request, as if their answers had been lost.

    Args:
        stack: Where.
        epochs: Of documents, by their keys, as they were then.
    """
    async with redis.Redis.from_url(stack.plan.redis_url) as client:
        async for key in client.scan_iter("sync_request:*"):
            kept = json.loads(await client.get(key))
            note = {"of": kept["of"], "began": 0, "places": {}, "epochs": epochs or {}}
            await client.set(key, json.dumps(note))
