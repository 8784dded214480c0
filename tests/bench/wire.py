"""Clients of the load, no more of them than it needs: a WebSocket, and a stream of gRPC.

Libraries would cost more than the servers that are measured, on the same two cores.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import cast

from services.collaboration import ywire

OnMessage = Callable[[bytes], None]
"""Takes a message; None throws them away unread."""


class _Connection(asyncio.Protocol):
    """A connection that has been asked for something and waits to hear that it is open."""

    def __init__(self, request: bytes, on_message: OnMessage | None) -> None:
        self._request = request
        self._on_message = on_message
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is of a class of its own.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.open.done():
            self.open.set_exception(exc or ConnectionError("closed"))

    def _write(self, *pieces: bytes) -> None:
        assert self._transport is not None
        self._transport.write(b"".join(pieces))


class Socket(_Connection):
    """A WebSocket."""

    def data_received(self, data: bytes) -> None:
        """Take bytes of the server."""
        if not self.open.done():
            self._buffer += data
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.open.set_exception(ConnectionError(head[:200].decode()))
                return
            self.open.set_result(None)
            self._buffer, data = b"", rest
        if self._on_message is None:
            return
        self._buffer += data
        while True:
            message, self._buffer = _take(self._buffer)
            if message is None:
                return
            self._on_message(message)

    def send(self, message: bytes) -> None:
        """Send a message; masked with zeros, which leaves it as it is."""
        length = len(message)
        if length < 126:
            head = struct.pack("!BB", 0x82, 0x80 | length)
        elif length < 65536:
            head = struct.pack("!BBH", 0x82, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x82, 0x80 | 127, length)
        self._write(head, b"\0\0\0\0", message)


def _take(buffer: bytes) -> tuple[bytes | None, bytes]:
    if len(buffer) < 2:
        return None, buffer
    length, at = buffer[1] & 0x7F, 2
    if length == 126:
        if len(buffer) < 4:
            return None, buffer
        length, at = int.from_bytes(buffer[2:4]), 4
    elif length == 127:
        if len(buffer) < 10:
            return None, buffer
        length, at = int.from_bytes(buffer[2:10]), 10
    if len(buffer) < at + length:
        return None, buffer
    return buffer[at : at + length], buffer[at + length :]


_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
_ACK = _END_STREAM = 0x1
_END_HEADERS = 0x4
_INITIAL_WINDOW = 0x4
_WIDEST = 2**31 - 1
_DEFAULT_WINDOW = 65535


class Stream(_Connection):
    """One bidirectional stream of gRPC, alone on a connection of HTTP/2 (RFC 9113).

    It gives the server the widest window there is, so it never has to widen it; what it sends
    itself is so little that the server's window needs no count.
    """

    def __init__(
        self,
        authority: str,
        method: str,
        metadata: Sequence[tuple[str, str]],
        on_message: OnMessage | None,
    ) -> None:
        headers = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *metadata,
        )
        request = (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + _frame(_SETTINGS, 0, 0, struct.pack("!HI", _INITIAL_WINDOW, _WIDEST))
            + _frame(_WINDOW, 0, 0, struct.pack("!I", _WIDEST - _DEFAULT_WINDOW))
            + _frame(_HEADERS, _END_HEADERS, 1, b"".join(_header(*one) for one in headers))
        )
        super().__init__(request, on_message)
        self._content = b""

    def data_received(self, data: bytes) -> None:
        """Take bytes of the server."""
        buffer = self._buffer + data
        at = 0
        while len(buffer) - at >= 9:
            length, kind, flags = (
                int.from_bytes(buffer[at : at + 3]),
                buffer[at + 3],
                buffer[at + 4],
            )
            if len(buffer) - at - 9 < length:
                break
            self._take(kind, flags, buffer[at + 9 : at + 9 + length])
            at += 9 + length
        self._buffer = buffer[at:]

    def _take(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == _DATA:
            if not self.open.done():
                self.open.set_result(None)
            if self._on_message is not None:
                self._content += payload
                while (end := 5 + int.from_bytes(self._content[1:5])) <= len(self._content):
                    self._on_message(self._content[5:end])
                    self._content = self._content[end:]
        elif kind in (_PING, _SETTINGS) and not flags & _ACK:
            self._write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif not self.open.done() and (
            kind in (_RESET, _GOAWAY) or (kind == _HEADERS and flags & _END_STREAM)
        ):
            self.open.set_exception(ConnectionError(f"refused: {payload!r}"))

    def send(self, message: bytes) -> None:
        """Send a message."""
        self._write(_frame(_DATA, 0, 1, b"\0" + struct.pack("!I", len(message)) + message))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def _header(name: str, value: str) -> bytes:
    """Return a header field that no table keeps (RFC 7541, 6.2.2)."""
    return b"\0" + _string(name.encode()) + _string(value.encode())


def _string(content: bytes) -> bytes:
    length = len(content)
    if length < 127:
        return bytes((length,)) + content
    return b"\x7f" + ywire.write_uint(length - 127) + content
