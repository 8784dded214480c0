"""One call: what its handler sees of it, as grpc.aio would show it, and `push`."""

import asyncio
import collections
import time
from collections.abc import Iterable
from typing import Any, NoReturn, Protocol

import grpc
import grpc.aio

from services.chassis.http2 import wire

WINDOW = 256 * 1024
"""Bytes of a call that a client may send before they are read; then it waits."""
_WIDENED_BY = WINDOW // 2
"""Bytes by which its window is widened at least."""


class Line(Protocol):
    """The connection a call is on."""

    def room(self, stream: int) -> int:
        """Return how many bytes may be sent on a stream now."""

    def send(self, stream: int, content: bytes) -> None:
        """Send content of a stream; at most what there is `room` for."""

    def push(self, stream: int, content: bytes) -> bool:
        """Send content of a stream as one frame; False where there is no room for it."""

    def headers(self, stream: int, fields: list[tuple[bytes, bytes]], *, end: bool = False) -> None:
        """Send header fields of a stream."""

    def widen(self, stream: int, size: int) -> None:
        """Let the client send more on a stream."""


class Call:
    """One call. Its requests are what iterating it gives."""

    def __init__(
        self,
        line: Line,
        stream: int,
        *,
        metadata: wire.Metadata,
        seconds: float | None,
        most_bytes: int,
        peer: str,
    ) -> None:
        """Begin.

        Args:
            line: The connection it is on.
            stream: Its number there.
            metadata: What it came with.
            seconds: How long it may take; None for no limit.
            most_bytes: Size of its largest message.
            peer: Who called.
        """
        self._line = line
        self._stream = stream
        self._metadata = metadata
        self._until = None if seconds is None else time.monotonic() + seconds
        self._peer = peer
        self._messages = wire.Messages(most_bytes)
        self._unread: collections.deque[bytes] = collections.deque()
        self._received = self._widened = 0
        """Bytes that came, and by which the window was widened."""
        self._arrived = asyncio.Event()
        self.half_closed = False
        """Whether the client sends no more."""
        self._broken = False
        """Whether what came cannot be read any further."""
        self._writable = asyncio.Event()
        self._writing = False
        self._torn = False
        """Whether its last answer was sent in part only."""
        self._opened = False
        self._over = False
        self._trailing: wire.Metadata = ()
        self._code: Any = None
        self._details = ""

    # --- what its handler sees ---

    def invocation_metadata(self) -> wire.Metadata:
        """Return what it came with."""
        return self._metadata

    def time_remaining(self) -> float | None:
        """Return the seconds it has left; None for no limit."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def peer(self) -> str:
        """Return who called, as gRPC writes addresses."""
        return self._peer

    def trailing_metadata(self) -> wire.Metadata:
        """Return what it will end with."""
        return self._trailing

    def set_trailing_metadata(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Have it end with something."""
        self._trailing = tuple(wire.Field(*one) for one in metadata)

    def code(self) -> Any:
        """Return the status set; None for none."""
        return self._code

    def details(self) -> str:
        """Return the status' message."""
        return self._details

    def set_code(self, code: grpc.StatusCode) -> None:
        """Have it end with a status."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Have it end with a message."""
        self._details = details

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: Iterable[tuple[str, str | bytes]] = (),
    ) -> NoReturn:
        """End it with a status."""
        self.fail(code, details)
        self.set_trailing_metadata(trailing_metadata)
        raise grpc.aio.AbortError

    async def send_initial_metadata(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Send the answer's headers."""
        self._open(metadata)

    def __aiter__(self) -> "Call":
        return self

    async def __anext__(self) -> bytes:
        while not self._unread:
            if self.half_closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        message = self._unread.popleft()
        self._widen()
        return message

    async def write(self, message: bytes) -> None:
        """Send an answer; returns when the client has room for all of it."""
        self._open()
        content = memoryview(wire.message(message))
        whole = len(content)
        self._writing = True
        try:
            while content and not self._over:
                if room := self._line.room(self._stream):
                    self._line.send(self._stream, bytes(content[:room]))
                    content = content[room:]
                else:
                    self._writable.clear()
                    await self._writable.wait()
        finally:
            self._writing = False
            self._torn = 0 < len(content) < whole

    def push(self, message: bytes) -> bool:
        """Send an answer at once, without waiting; False where that cannot be, and nothing is sent.

        It cannot before the first answer, while one is being written, and where the client has no
        room for it.
        """
        if self._writing or self._over or not self._opened:
            return False
        return self._line.push(self._stream, wire.message(message))

    # --- what its connection says ---

    def received(self, content: bytes, size: int) -> None:
        """Take bytes of the client, and how many its window counts for them.

        Raises:
            wire.Oversized: They begin a message that is too large.
            wire.Compressed: They begin a message that is compressed.
        """
        self._received += size
        if self._broken:
            return
        self._broken = True
        for message in self._messages.cut(content):
            self._unread.append(message)
            self._arrived.set()
        self._broken = False
        self._widen()

    def ended(self) -> None:
        """Take note that the client sends no more."""
        self.half_closed = True
        self._arrived.set()

    def widened(self) -> None:
        """Take note that there may be room again."""
        self._writable.set()

    def fail(self, code: grpc.StatusCode, details: str) -> None:
        """Have it end with a status, unless it has one."""
        if self._code is None:
            self._code, self._details = code, details

    def gone(self) -> None:
        """Take note that nobody hears it any more."""
        self._over = True
        self._writable.set()

    def finish(self) -> bool:
        """Tell the client that it is over; False where it cannot be told how it ended."""
        if self._over or self._torn:
            return False
        self._over = True
        code = self._code if self._code is not None else grpc.StatusCode.OK
        number = code.value[0] if isinstance(code, grpc.StatusCode) else int(code)
        closing = [*wire.status(number, self._details), *wire.fields(self._trailing)]
        if not self._opened:
            closing = [*_HEADERS, *closing]
        self._line.headers(self._stream, closing, end=True)
        return True

    def _open(self, metadata: Iterable[tuple[str, str | bytes]] = ()) -> None:
        if not self._opened and not self._over:
            self._opened = True
            self._line.headers(self._stream, [*_HEADERS, *wire.fields(metadata)])

    def _widen(self) -> None:
        """Let the client send more, when no message waits to be read.

        What is part of one does not count: a message may be larger than the window.
        """
        if self._unread:
            return
        size = self._received - self._widened
        if size >= _WIDENED_BY and not (self.half_closed or self._over):
            self._line.widen(self._stream, size)
            self._widened += size


_HEADERS = [
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity"),
]
