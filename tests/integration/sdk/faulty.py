"""A real gRPC server whose faults a test can choose."""

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any

import grpc
from codestudio.common.v1 import error_pb2
from google.rpc import status_pb2

from tests.integration.sdk.threaded import Threaded

TOKEN = "the-token"


@dataclasses.dataclass
class Fault:
    """How a call is to end instead."""

    status: grpc.StatusCode
    detail: error_pb2.ErrorDetail | None = None
    text: str = ""
    after: bool = False
    """Do what was asked, and lose the answer."""


class Faulty(Threaded):
    """What ends calls as a test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Any, dict[str, str]]] = []
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()

    def requests(self, method: str) -> list[Any]:
        """Give the requests a method has had."""
        return [request for name, request, _ in self.calls if name == method]

    def _call(self, name: str, request: Any, context: Any) -> "_Call":
        return _Call(self, name, request, context)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Call:
    """Receives a call: records it, checks its token, ends it as the test wants."""

    def __init__(self, server: Faulty, name: str, request: Any, context: Any) -> None:
        self._server, self._name, self._request, self._context = server, name, request, context

    async def __aenter__(self) -> Fault | None:
        headers = dict(self._context.invocation_metadata())
        self._server.calls.append((self._name, self._request, headers))
        if headers.get("authorization") != f"Bearer {TOKEN}":
            fault = Fault(grpc.StatusCode.UNAUTHENTICATED, text="Jwt is missing")
            await abort(self._context, fault)
        faults = self._server.faults[self._name]
        fault_ = faults.pop(0) if faults else None
        if fault_ and not fault_.after:
            await abort(self._context, fault_)
        return fault_

    async def __aexit__(self, *_: object) -> None:
        pass


async def answer(context: Any, fault: Fault | None) -> None:
    """Lose the answer, where the test wants that."""
    if fault is not None:
        await abort(context, fault)


async def abort(context: Any, fault: Fault) -> None:
    """End a call as our services do."""
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    text = fault.text
    if fault.detail is not None:
        status = status_pb2.Status(code=fault.status.value[0], message=fault.detail.message)
        status.details.add().Pack(fault.detail)
        metadata = (("grpc-status-details-bin", status.SerializeToString()),)
        text = fault.detail.message
    await context.abort(fault.status, text, metadata)
