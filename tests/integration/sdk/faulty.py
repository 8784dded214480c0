"""A real gRPC server on a thread of its own, whose faults a test can choose."""

import asyncio
import dataclasses
import threading
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc
import grpc.aio
from codestudio.common.v1 import error_pb2
from google.rpc import status_pb2

TOKEN = "the-token"
Value = TypeVar("Value")


@dataclasses.dataclass
class Fault:
    """How a call is to end instead."""

    status: grpc.StatusCode
    detail: error_pb2.ErrorDetail | None = None
    text: str = ""
    after: bool = False
    """Do what was asked, and lose the answer."""


class Faulty:
    """What serves, whatever it is: any client can use it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, dict[str, str]]] = []
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: grpc.aio.Server | None = None
        self.port = 0

    def start(self) -> None:
        """Serve; on the port of before, if there was one."""
        if not self._thread.is_alive():
            self._thread.start()
        self._run(self._start())

    def stop(self) -> None:
        """Stop serving, as a gateway that dies: connections are cut."""
        self._run(self._stop())

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._run(self._drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def requests(self, method: str) -> list[Any]:
        """Give the requests a method has had."""
        return [request for name, request, _ in self.calls if name == method]

    def _register(self, server: grpc.aio.Server) -> None:
        """Add what is served."""
        raise NotImplementedError

    def _call(self, name: str, request: Any, context: Any) -> "_Call":
        return _Call(self, name, request, context)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self) -> None:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._register(server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        await server.start()
        self._server = server

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop(0)

    async def _drain(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


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
