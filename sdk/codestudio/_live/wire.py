"""Reading and writing Yjs's binary forms, as far as a text document has them.

Every length is checked against what is there: the bytes come from the network.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple


class MalformedError(ValueError):
    """The bytes are not what they should be."""


class Reader:
    """Reads what lib0 writes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def rest(self) -> int:
        """How many bytes have not been read."""
        return len(self._data) - self._at

    def byte(self) -> int:
        """Read one byte."""
        return self.take(1)[0]

    def uint(self) -> int:
        """Read a number of at most 64 bits."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise MalformedError("a number is too long")

    def take(self, count: int) -> bytes:
        """Read so many bytes."""
        if count > self.rest:
            raise MalformedError("the end comes too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def string(self) -> str:
        """Read a text: its length in bytes, then UTF-8."""
        try:
            return self.take(self.uint()).decode()
        except UnicodeDecodeError:
            raise MalformedError("a text is not UTF-8") from None


def uint(value: int) -> bytes:
    """Write a number."""
    written = bytearray()
    while value > 0x7F:
        written.append(0x80 | (value & 0x7F))
        value >>= 7
    written.append(value)
    return bytes(written)


def string(text: str) -> bytes:
    """Write a text."""
    encoded = text.encode()
    return uint(len(encoded)) + encoded


def read_state_vector(data: bytes) -> dict[int, int]:
    """Read which clock each client has reached."""
    if not data:
        return {}
    reader = Reader(data)
    return {reader.uint(): reader.uint() for _ in range(_count(reader, 2))}


def write_state_vector(clocks: Mapping[int, int]) -> bytes:
    """Write which clock each client has reached."""
    pairs = b"".join(uint(client) + uint(clock) for client, clock in clocks.items())
    return uint(len(clocks)) + pairs


def lacks(theirs: bytes, ours: bytes) -> bool:
    """Whether one state vector lacks insertions another holds; deletions have no clock."""
    known = read_state_vector(theirs)
    return any(clock > known.get(client, 0) for client, clock in read_state_vector(ours).items())


class Block(NamedTuple):
    """A run of characters that were put in at once, as an update tells of it."""

    client: int
    """Who put it in."""
    clock: int
    """Id of its first character: counts UTF-16 code units."""
    length: int
    """How many code units it has."""
    text: str | None
    """The characters; None where they are deleted or no text."""

    @property
    def end(self) -> int:
        """Clock after its last code unit."""
        return self.clock + self.length


def blocks(update: bytes) -> Iterator[Block]:
    """Read the blocks of an update (version 1); stops at content that a text never has."""
    reader = Reader(update)
    for _ in range(reader.uint()):
        count, client, clock = reader.uint(), reader.uint(), reader.uint()
        for _ in range(count):
            block = _block(reader, client, clock)
            if block is None:
                return
            yield block
            clock = block.end


_GC, _DELETED, _STRING, _EMBED, _FORMAT, _SKIP = 0, 1, 4, 5, 6, 10


def _block(reader: Reader, client: int, clock: int) -> Block | None:
    info = reader.byte()
    kind = info & 0x1F
    if kind in (_GC, _SKIP):
        return Block(client, clock, reader.uint(), None)
    for origin in (0x80, 0x40):
        if info & origin:
            reader.uint(), reader.uint()
    if not info & 0xC0:
        if reader.uint():
            reader.string()
        else:
            reader.uint(), reader.uint()
        if info & 0x20:
            reader.string()
    if kind == _STRING:
        text = reader.string()
        return Block(client, clock, len(text.encode("utf-16-le", "surrogatepass")) // 2, text)
    if kind == _DELETED:
        return Block(client, clock, reader.uint(), None)
    if kind in (_EMBED, _FORMAT):
        for _ in range(kind - _EMBED + 1):
            reader.string()
        return Block(client, clock, 1, None)
    return None


def _count(reader: Reader, least: int) -> int:
    """Read how many of something follow, each of at least so many bytes."""
    count = reader.uint()
    if count * least > reader.rest:
        raise MalformedError("there is less than was said")
    return count


def extents(update: bytes) -> dict[int, int]:
    """Give the clients whose insertions an update holds, and the clock each reaches in it."""
    return {block.client: block.end for block in blocks(update)}
