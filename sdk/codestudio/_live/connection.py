"""One stream to the gateway, shared by all documents a client has open, kept up for as long."""

import asyncio
import contextlib
import itertools
from typing import Protocol

from codestudio import _errors
from codestudio._live.session import Happened, Phase, Request, Response, Session
from codestudio._transport import SILENCE, Duplex, Transport
from codestudio.collaboration.v1.collaboration_service_pb2_grpc import CollaborationServiceStub
from codestudio.common.v1 import stream_pb2

_TICK = 1.0
"""Seconds after which the writer looks around by itself: renewals, heartbeats, silence."""

_HEARTBEAT = 15.0
"""Seconds after which the server hears from us, whatever happens."""

_FINISH = 2.0
"""Seconds a stream that is left has to end by itself."""


class Member(Protocol):
    """A document on the connection."""

    @property
    def session(self) -> Session:
        """Its side of the protocol."""
        ...

    def happened(self, happened: Happened) -> None:
        """Something came in."""

    def changed(self) -> None:
        """The stream came up or broke, or something was sent."""

    def failed(self, error: _errors.CodeStudioError) -> None:
        """It is over."""


class Connection:
    """Keeps a stream as long as there are members; a stream that breaks is made again."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._members: dict[int, Member] = {}
        self._channels = itertools.count(1)
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.up = False
        """Whether there is a stream that is heard from."""
        self.last_error: _errors.CodeStudioError | None = None
        """Why the stream broke last, while it is not up again."""

    @property
    def members(self) -> int:
        """How many documents are on it."""
        return len(self._members)

    def next_channel(self) -> int:
        """Give a number no other document of this connection has."""
        return next(self._channels)

    def wake(self) -> None:
        """Have sent what there is."""
        self._awake.set()

    def add(self, member: Member) -> None:
        """Take in a document."""
        self._members[member.session.channel] = member
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="codestudio documents")
        self.wake()

    def remove(self, member: Member) -> None:
        """Let go of a document; with the last one, the stream ends."""
        self._members.pop(member.session.channel, None)
        self.wake()

    async def close(self) -> None:
        """End the stream, whoever is on it."""
        self._members.clear()
        self.wake()
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait([task], timeout=_FINISH + 1)
            task.cancel()

    async def _run(self) -> None:
        failures = 0
        while self._members:
            try:
                await self._stream()
            except _errors.Unavailable as error:
                self.last_error = error
            except _errors.CodeStudioError as error:
                self._fail_all(error)
                return
            failures = 1 if self.up else failures + 1
            self.up = False
            for member in list(self._members.values()):
                member.session.disconnected()
                member.changed()
            if self._members:
                await self._pause(self._transport.retry.pause(failures))

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than there are members."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._members:
                    self._awake.clear()
                    await self._awake.wait()

    async def _stream(self) -> None:
        """Make a stream and serve it until it breaks or is not needed. Raises CodeStudioError."""
        stub = self._transport.stub(CollaborationServiceStub)
        call = self._transport.duplex(stub.Collaborate)
        heard = _Heard()
        reader = asyncio.create_task(self._read(call, heard), name="codestudio documents: read")
        writer = asyncio.create_task(self._write(call, heard), name="codestudio documents: write")
        try:
            await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
            if writer.done() and writer.exception() is None:
                # Nobody is left: what was said last is on its way, and the server ends the stream.
                await call.finish()
                await asyncio.wait([reader], timeout=_FINISH)
            elif not reader.done():
                # Why the stream ended, only reading tells.
                await asyncio.wait([reader], timeout=_FINISH)
        finally:
            call.cancel()
            reader.cancel()
            writer.cancel()
            await asyncio.wait([reader, writer], timeout=_FINISH)
        for task in (reader, writer):
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    async def _read(self, call: Duplex[Request, Response], heard: "_Heard") -> None:
        while (message := await call.receive()) is not None:
            heard.now()
            if not self.up:
                self.up, self.last_error = True, None
                self._tell_all()
            if message.WhichOneof("message") == "heartbeat":
                continue
            if message.channel == 0:
                if message.WhichOneof("message") == "error":
                    raise _errors.from_detail(message.error)
                continue
            member = self._members.get(message.channel)
            if member is not None:
                self._take_in(member, message)

    def _take_in(self, member: Member, message: Response) -> None:
        session = member.session
        try:
            happened = session.incoming(message, _now())
        except (_errors.Internal, ValueError) as error:
            session.phase = Phase.OVER
            failure = _errors.Internal(f"the server sent what cannot be read: {error}")
            happened = Happened(error=failure)
        if happened.error is not None:
            self.remove(member)
            member.failed(happened.error)
        else:
            member.happened(happened)
            # An answer may call for another: what the server lacks, a join.
            self.wake()

    async def _write(self, call: Duplex[Request, Response], heard: "_Heard") -> None:
        said = 0.0
        while self._members:
            self._awake.clear()
            now = _now()
            for member in list(self._members.values()):
                messages = member.session.outgoing(now)
                for message in messages:
                    await call.send(message)
                    said = now
                if messages:
                    member.changed()
            if now - said > _HEARTBEAT:
                await call.send(Request(heartbeat=stream_pb2.Heartbeat()))
                said = now
            if heard.silent_for() > SILENCE:
                raise _errors.Unavailable(f"nothing heard for {SILENCE:g} s", code="STREAM_SILENT")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._awake.wait()

    def _tell_all(self) -> None:
        for member in list(self._members.values()):
            member.changed()

    def _fail_all(self, error: _errors.CodeStudioError) -> None:
        for member in list(self._members.values()):
            self.remove(member)
            member.session.phase = Phase.OVER
            member.failed(error)


class _Heard:
    """When the server was heard last."""

    def __init__(self) -> None:
        self._at = _now()

    def now(self) -> None:
        self._at = _now()

    def silent_for(self) -> float:
        return _now() - self._at


def _now() -> float:
    return asyncio.get_running_loop().time()
