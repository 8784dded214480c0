"""A client of Collaborate for tests: a Yjs document that is edited here and kept the same there.

Its document is its resend buffer. Nothing else is remembered over a reconnect: joining tells the
server what it has, the answer says what the server has, and what the server lacks is sent.
"""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence

import grpc
import pycrdt
from codestudio.collaboration.v1 import (
    collaborate_pb2,
    collaboration_service_pb2_grpc,
    document_pb2,
)
from codestudio.common.v1 import error_pb2

Request = collaborate_pb2.CollaborateRequest
Response = collaborate_pb2.CollaborateResponse

PATIENCE = 30.0
_EMPTY = b"\x00\x00"
_RETRYABLE = ("UNAVAILABLE", "SHUTTING_DOWN", "CLOSED", "LOST", "BUSY", "TOO_MANY")


class Refused(Exception):  # noqa: N818
    """The server refused something about the document."""

    def __init__(self, detail: error_pb2.ErrorDetail) -> None:
        super().__init__(f"{detail.code}: {detail.message}")
        self.detail = detail
        self.code = detail.code


class Editor:
    """One document, edited."""

    def __init__(
        self,
        addresses: Sequence[str],
        token: str,
        name: document_pb2.DocumentName,
        *,
        client_id: int | None = None,
    ) -> None:
        self._addresses = list(addresses)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self.name = name
        self.doc: pycrdt.Doc = pycrdt.Doc(client_id=client_id or random.getrandbits(50) + 1)
        self.root = self.doc.get("content", type=pycrdt.Text)
        self.epoch = ""
        self.revision = 0
        self.role = 0
        self.joins = 0
        self.resyncs = 0
        self.refused: error_pb2.ErrorDetail | None = None
        self.awareness: list[bytes] = []
        self.received: list[bytes] = []
        self.acked = 0
        self.sent = 0
        self._subscription = self.doc.observe(self._observe)
        self._remote = False
        self._held: list[bytes] | None = None
        self._queue: asyncio.Queue[Request | None] = asyncio.Queue()
        self._online = asyncio.Event()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._attempt = 0
        self._offline = False
        self._breaking = asyncio.Event()

    # --- editing, by code points ---

    @property
    def text(self) -> str:
        return str(self.root)

    def insert(self, at: int, what: str) -> None:
        self.root.insert(len(self.text[:at].encode()), what)

    def delete(self, at: int, count: int) -> None:
        before = self.text
        start = len(before[:at].encode())
        end = len(before[: at + count].encode())
        if end > start:
            del self.root[start:end]

    def splice(self, at: int, count: int, what: str) -> None:
        with self.doc.transaction():
            self.delete(at, count)
            if what:
                self.insert(at, what)

    # --- the connection ---

    async def __aenter__(self) -> Editor:
        self.start()
        await self.online()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self._online.clear()

    @property
    def online_now(self) -> bool:
        return self._online.is_set()

    async def online(self, seconds: float = PATIENCE) -> None:
        async with asyncio.timeout(seconds):
            await self._online.wait()
        if self.refused is not None:
            raise Refused(self.refused)

    async def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait until something holds; looks whenever something came."""
        async with asyncio.timeout(seconds):
            while not condition():
                if self.refused is not None:
                    raise Refused(self.refused)
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.1)

    async def stored(self, seconds: float = PATIENCE) -> None:
        """Wait until everything typed here is stored."""
        await self.until(lambda: self._online.is_set() and self.acked >= self.sent, seconds)

    def say(self, update: bytes) -> None:
        self._queue.put_nowait(
            Request(channel=1, awareness=collaborate_pb2.Awareness(update=update))
        )

    def send(self, request: Request) -> None:
        self._queue.put_nowait(request)

    def insert_swapped(self, texts: Sequence[str]) -> None:
        """Append texts one by one, and have the edits sent in the wrong order."""
        made: list[bytes] = []
        self._held = made
        for text in texts:
            self.insert(len(self.text), text)
        self._held = None
        for update in reversed(made):
            self._made(update)

    def point_to(self, addresses: Sequence[str], first: int = 0) -> None:
        """Connect elsewhere from the next time on."""
        self._addresses = list(addresses)
        self._attempt = first

    def apply_own(self, update: bytes) -> None:
        """Take an edit that was made elsewhere for one's own: have it sent."""
        self.doc.apply_update(update)

    def resend(self) -> None:
        """Send everything again."""
        self._send(self.doc.get_update())

    def cut(self) -> None:
        """Break the connection; it comes again by itself."""
        self._breaking.set()

    async def _run(self) -> None:
        pause = 0.05
        while True:
            address = self._addresses[self._attempt % len(self._addresses)]
            self._attempt += 1
            try:
                async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
                    await self._stream(channel)
                pause = 0.05
            except grpc.aio.AioRpcError as error:
                if error.code() not in (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.CANCELLED,
                    grpc.StatusCode.UNKNOWN,
                    grpc.StatusCode.INTERNAL,
                ):
                    self.refused = error_pb2.ErrorDetail(
                        code=error.code().name, message=error.details() or ""
                    )
            except Refused as error:
                if not any(word in error.code for word in _RETRYABLE):
                    self.refused = error.detail
            if self.refused is not None:
                self._online.set()
                self._changed.set()
                return
            self._online.clear()
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(1.0, pause * 2)

    async def _stream(self, channel: grpc.aio.Channel) -> None:
        self._queue = asyncio.Queue()
        self._breaking.clear()
        stub = collaboration_service_pb2_grpc.CollaborationServiceStub(channel)
        call = stub.Collaborate(self._requests(self._queue), metadata=self._metadata)
        self._join()
        breaker = asyncio.create_task(self._breaking.wait())
        breaker.add_done_callback(lambda _: call.cancel())
        try:
            async for answer in call:
                self._handle(answer)
                self._changed.set()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._breaking.is_set() or (task is not None and task.cancelling()):
                raise
        finally:
            breaker.cancel()
            self._online.clear()
            self._queue.put_nowait(None)

    @staticmethod
    async def _requests(queue: asyncio.Queue[Request | None]) -> AsyncIterator[Request]:
        while (request := await queue.get()) is not None:
            yield request

    def _join(self) -> None:
        self._online.clear()
        join = collaborate_pb2.Join(
            name=self.name,
            epoch=self.epoch,
            state_vector=self.doc.get_state() if self.epoch else b"",
            client_id=self.doc.client_id,
        )
        self._queue.put_nowait(Request(channel=1, join=join))

    def _handle(self, answer: Response) -> None:
        kind = answer.WhichOneof("message")
        if kind == "joined":
            self._joined(answer.joined)
        elif kind == "update":
            self.received.append(answer.update.update)
            self._apply(answer.update.update)
        elif kind == "ack":
            self.acked = answer.ack.sequence
            self.revision = answer.ack.revision
        elif kind == "awareness":
            self.awareness.append(answer.awareness.update)
        elif kind == "resync":
            self.resyncs += 1
            self._join()
        elif kind == "error":
            raise Refused(answer.error)

    def _joined(self, joined: collaborate_pb2.Joined) -> None:
        if self.epoch and self.epoch != joined.document.epoch:
            raise AssertionError("the server let a client of another epoch in")
        self.epoch = joined.document.epoch
        self.revision = joined.document.revision
        self.role = joined.document.role
        if joined.awareness:
            self.awareness.append(joined.awareness)
        self._apply(joined.update)
        self.joins += 1
        lacking = self.doc.get_update(joined.state_vector)
        # Sent even when it is nothing: its acknowledgement says that all before it is stored.
        if self.role == document_pb2.ROLE_EDITOR:
            self._send(lacking)
        self._online.set()

    def _apply(self, update: bytes) -> None:
        self._remote = True
        try:
            self.doc.apply_update(update)
        finally:
            self._remote = False

    def _observe(self, event: pycrdt.TransactionEvent) -> None:
        if self._held is not None:
            self._held.append(event.update)
        elif not self._remote:
            self._made(event.update)

    def _made(self, update: bytes) -> None:
        if self._online.is_set():
            self._send(update)
        else:
            # Sent with the next join.
            self.sent += 1

    def _send(self, update: bytes) -> None:
        self.sent += 1
        message = collaborate_pb2.Update(update=update, sequence=self.sent)
        self._queue.put_nowait(Request(channel=1, update=message))


OPTIONS = (
    ("grpc.max_receive_message_length", 80 * 1024 * 1024),
    ("grpc.max_send_message_length", 80 * 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
)
