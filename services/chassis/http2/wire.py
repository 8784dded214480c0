"""What gRPC puts into HTTP/2: header fields and messages.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote


class Field(NamedTuple):
    """One piece of metadata."""

    key: str
    value: str | bytes


Metadata = tuple[Field, ...]

PREFIX_BYTES = 5
"""Bytes before each message: whether it is compressed, and its length."""

_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_RESERVED = (b":", b"grpc-")
_CONNECTION = frozenset((b"te", b"content-type", b"content-length"))


class Oversized(Exception):  # noqa: N818 - an answer more than an error
    """A message is larger than is taken."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(f"Received message larger than max ({size} vs. {most})")


class Compressed(Exception):  # noqa: N818 - an answer more than an error
    """A message is compressed, which nobody was offered."""

    def __init__(self) -> None:
        super().__init__("Messages may not be compressed")


class Messages:
    """Cuts what arrives into messages."""

    def __init__(self, most_bytes: int) -> None:
        """Prepare.

        Args:
            most_bytes: Size of the largest message.
        """
        self._most = most_bytes
        self._partial = bytearray()

    def cut(self, data: bytes) -> Iterator[bytes]:
        """Give the messages that end in the next bytes.

        Raises:
            Oversized: One begins that is too large; nothing of it was kept.
            Compressed: One begins that is compressed.
        """
        partial = self._partial
        partial += data
        at = 0
        try:
            while len(partial) - at >= PREFIX_BYTES:
                if partial[at]:
                    raise Compressed
                size = int.from_bytes(partial[at + 1 : at + PREFIX_BYTES])
                if size > self._most:
                    raise Oversized(size, self._most)
                end = at + PREFIX_BYTES + size
                if len(partial) < end:
                    break
                yield bytes(partial[at + PREFIX_BYTES : end])
                at = end
        finally:
            del partial[:at]


def message(content: bytes) -> bytes:
    """Return a message with its prefix."""
    return b"\0" + len(content).to_bytes(4) + content


def metadata(headers: Iterable[tuple[bytes, bytes]]) -> Metadata:
    """Return what the application sees of a request's headers; what cannot be read is left out."""
    found = []
    for name, value in headers:
        if name in _CONNECTION or name.startswith(_RESERVED):
            continue
        try:
            read = _unpack(value) if name.endswith(b"-bin") else value.decode("ascii")
            found.append(Field(name.decode("ascii"), read))
        except (UnicodeDecodeError, binascii.Error):
            continue
    return tuple(found)


def fields(given: Iterable[tuple[str, str | bytes]]) -> list[tuple[bytes, bytes]]:
    """Return metadata as header fields."""
    return [
        (
            name.encode("ascii"),
            base64.b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode(),
        )
        for name, value in given
    ]


def status(code: int, details: str) -> list[tuple[bytes, bytes]]:
    """Return the header fields that end a call."""
    found = [(b"grpc-status", b"%d" % code)]
    if details:
        found.append((b"grpc-message", quote(details, safe=_PRINTABLE).encode("ascii")))
    return found


def timeout(value: bytes) -> float | None:
    """Return the seconds that a call may take; None where that cannot be read."""
    match = _TIMEOUT.fullmatch(value)
    return None if match is None else int(match[1]) * _SECONDS[match[2]]


def _unpack(value: bytes) -> bytes:
    return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
