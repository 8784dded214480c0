"""A small collaboration service behind a real gRPC server, whose faults a test can choose.

It keeps the contract of documents (open once, epoch, join, updates, acknowledgements, awareness)
and nothing else: no log, no store, no Envoy. The real service is tested with the real client in
`tests/integration/collaboration`.
"""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pycrdt
from codestudio.collaboration.v1 import (
    collaborate_pb2,
    collaboration_service_pb2,
    collaboration_service_pb2_grpc,
    document_pb2,
)
from codestudio.common.v1 import error_pb2, stream_pb2
from google.protobuf import empty_pb2

from tests.integration.sdk.threaded import Threaded, Value

Response = collaborate_pb2.CollaborateResponse


@dataclasses.dataclass
class Kept:
    """A document."""

    name: document_pb2.DocumentName
    doc: Any
    epoch: str
    revision: int = 1

    @property
    def text(self) -> str:
        return str(self.doc.get("content", type=pycrdt.Text))


@dataclasses.dataclass(eq=False)
class Seat:
    """A client in a document."""

    kept: Kept
    channel: int
    out: "asyncio.Queue[Response | None]"


class Desk(Threaded, collaboration_service_pb2_grpc.CollaborationServiceServicer):
    """The service."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[str, Kept] = {}
        self.acknowledges = True
        self.viewers = False
        self.open_fault: grpc.StatusCode | None = None
        self.list_faults: list[grpc.StatusCode] = []
        self.refuses_joins = ""  # with this code
        self.refuses_updates = ""
        self.streams = 0
        self.awareness: dict[str, bytes] = {}
        self.heard: list[collaborate_pb2.CollaborateRequest] = []
        self._seats: set[Seat] = set()
        self._outs: set[asyncio.Queue[Response | None]] = set()

    # The test's side.

    def text(self, path: str) -> str:
        """Give the text of a document."""
        return self.do(lambda: self.documents[f"default/p/{path}"].text)

    def begin_anew(self, path: str, text: str) -> None:
        """Let a document have another history."""

        def anew() -> None:
            kept = self.documents[f"default/p/{path}"]
            self.documents[f"default/p/{path}"] = _kept(kept.name, text)

        self.do(anew)

    def send(self, make: Callable[[Seat], Response]) -> None:
        """Send something to everybody in a document."""
        self.do(lambda: [seat.out.put_nowait(make(seat)) for seat in self._seats])

    def unseat(self) -> None:
        """Forget who is in what, without telling."""
        self.do(self._seats.clear)

    def refuse_all(self, code: str, *, whole_stream: bool = False) -> None:
        """Refuse everybody the document they are in; what they send from here on is not heard."""

        def refuse() -> None:
            for seat in list(self._seats):
                self._refuse(seat, code, 0 if whole_stream else seat.channel)

        self.do(refuse)

    def do(self, action: Callable[[], Value]) -> Value:
        """Do something on the service's own thread."""

        async def act() -> Value:
            return action()

        return self._run(act())

    # The contract.

    async def OpenDocument(
        self, request: collaboration_service_pb2.OpenDocumentRequest, context: Any
    ) -> document_pb2.Document:
        if self.open_fault is not None:
            await context.abort(self.open_fault, "not taken")
        kept = self.documents.setdefault(
            _key(request.name), _kept(request.name, request.initial_content)
        )
        return self._described(kept)

    async def GetDocument(
        self, request: collaboration_service_pb2.GetDocumentRequest, context: Any
    ) -> document_pb2.Document:
        kept = self.documents.get(_key(request.name))
        if kept is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such document")
        return self._described(kept)

    async def DeleteDocument(
        self, request: collaboration_service_pb2.DeleteDocumentRequest, context: Any
    ) -> empty_pb2.Empty:
        kept = self.documents.get(_key(request.name))
        if kept is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such document")
            raise AssertionError
        if request.revision not in (0, kept.revision):
            await context.abort(grpc.StatusCode.ABORTED, "changed since")
        del self.documents[_key(request.name)]
        for seat in [seat for seat in self._seats if seat.kept is kept]:
            self._refuse(seat, "DOCUMENT_DELETED", seat.channel)
        return empty_pb2.Empty()

    async def ListDocuments(
        self, request: collaboration_service_pb2.ListDocumentsRequest, context: Any
    ) -> collaboration_service_pb2.ListDocumentsResponse:
        if self.list_faults:
            await context.abort(self.list_faults.pop(0), "not now")
        prefix = f"{request.namespace}/{request.project}/"
        found = [kept for key, kept in sorted(self.documents.items()) if key.startswith(prefix)]
        described = [self._described(kept) for kept in found]
        for each in described:
            each.ClearField("text")
        return collaboration_service_pb2.ListDocumentsResponse(documents=described)

    async def Collaborate(
        self, requests: AsyncIterator[collaborate_pb2.CollaborateRequest], context: Any
    ) -> AsyncIterator[Response]:
        self.streams += 1
        out: asyncio.Queue[Response | None] = asyncio.Queue()
        self._outs.add(out)
        seats: dict[int, Seat] = {}
        reading = asyncio.create_task(self._listen(requests, seats, out))
        try:
            yield Response(heartbeat=stream_pb2.Heartbeat())
            while (message := await out.get()) is not None:
                yield message
        finally:
            reading.cancel()
            self._outs.discard(out)
            self._seats.difference_update(seats.values())

    async def _listen(
        self, requests: Any, seats: dict[int, Seat], out: "asyncio.Queue[Response | None]"
    ) -> None:
        try:
            async for request in requests:
                self.heard.append(request)
                self._hear(request, seats, out)
        finally:
            out.put_nowait(None)

    def _hear(self, request: Any, seats: dict[int, Seat], out: Any) -> None:
        channel = request.channel
        kind = request.WhichOneof("message")
        if kind == "join":
            self._join(request, seats, out)
            return
        seat = seats.get(channel)
        if seat is None or seat not in self._seats:
            return
        if kind == "update" and self.refuses_updates:
            self._refuse(seat, self.refuses_updates, seat.channel)
        elif kind == "update":
            seat.kept.doc.apply_update(request.update.update)
            seat.kept.revision += 1
            self._tell(seat, Response(update=request.update))
            if self.acknowledges:
                ack = collaborate_pb2.Ack(
                    sequence=request.update.sequence, revision=seat.kept.revision
                )
                out.put_nowait(Response(channel=channel, ack=ack))
        elif kind == "awareness":
            self.awareness[_key(seat.kept.name)] = request.awareness.update
            self._tell(seat, Response(awareness=request.awareness))
        elif kind == "leave":
            self._seats.discard(seats.pop(channel))

    def _join(self, request: Any, seats: dict[int, Seat], out: Any) -> None:
        channel, join = request.channel, request.join
        kept = self.documents.get(_key(join.name))
        if self.refuses_joins or kept is None or (join.epoch and join.epoch != kept.epoch):
            code = "DOCUMENT_NOT_FOUND" if kept is None else "EPOCH_MISMATCH"
            code = self.refuses_joins or code
            error = error_pb2.ErrorDetail(code=code, message="refused")
            out.put_nowait(Response(channel=channel, error=error))
            return
        old = seats.pop(channel, None)
        self._seats.discard(old) if old else None
        seats[channel] = Seat(kept, channel, out)
        self._seats.add(seats[channel])
        joined = collaborate_pb2.Joined(
            document=self._described(kept),
            update=kept.doc.get_update(join.state_vector or b"\0"),
            state_vector=kept.doc.get_state(),
            awareness=self.awareness.get(_key(join.name), b""),
        )
        joined.document.ClearField("text")
        out.put_nowait(Response(channel=channel, joined=joined))

    def _refuse(self, seat: Seat, code: str, channel: int) -> None:
        self._seats.discard(seat)
        error = error_pb2.ErrorDetail(code=code, message="refused")
        seat.out.put_nowait(Response(channel=channel, error=error))

    def _tell(self, sender: Seat, message: Response) -> None:
        for seat in self._seats:
            if seat is not sender and seat.kept is sender.kept:
                told = Response()
                told.CopyFrom(message)
                told.channel = seat.channel
                seat.out.put_nowait(told)

    def _described(self, kept: Kept) -> document_pb2.Document:
        return document_pb2.Document(
            name=kept.name,
            epoch=kept.epoch,
            revision=kept.revision,
            text=kept.text,
            length=len(kept.text),
            role=document_pb2.ROLE_VIEWER if self.viewers else document_pb2.ROLE_EDITOR,
        )

    def _register(self, server: grpc.aio.Server) -> None:
        collaboration_service_pb2_grpc.add_CollaborationServiceServicer_to_server(self, server)

    async def _stop(self) -> None:
        for out in self._outs:
            out.put_nowait(None)
        await super()._stop()


def _key(name: document_pb2.DocumentName) -> str:
    return f"{name.namespace or 'default'}/{name.project}/{name.path}"


def _kept(name: document_pb2.DocumentName, text: str) -> Kept:
    doc: Any = pycrdt.Doc()
    doc.get("content", type=pycrdt.Text).insert(0, text)
    return Kept(name, doc, uuid.uuid4().hex)
