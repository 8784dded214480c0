"""Reads Yjs updates (version 1) far enough to know that applying one is safe.

The library trusts the counts in an update: eight bytes can make it allocate half a gigabyte, or
keep it busy for ever. So every count and length is compared with what is there, before.

The encoding: https://github.com/yjs/yjs/blob/main/INTERNALS.md, and Yjs' own UpdateDecoderV1.
"""

import dataclasses

from services.collaboration.ywire import Malformed

_LARGEST = 2**53
_LONGEST = 2**32
"""Characters or items one struct may stand for: more than a document can have."""
_MAX_DEPTH = 32

_GC, _DELETED, _JSON, _BINARY, _STRING, _EMBED, _FORMAT, _TYPE, _ANY, _DOC, _SKIP = range(11)
_HAS_ORIGIN, _HAS_RIGHT_ORIGIN, _HAS_PARENT_SUB = 0x80, 0x40, 0x20
_NAMED_TYPES = (3, 5)
"""Kinds of Yjs types that have a name: XML elements and hooks."""
_LAST_TYPE = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """How far an update reaches."""

    edits: dict[int, int]
    """Clock behind the last edit of each client."""
    deletions: dict[int, int]
    """Clock behind the last deleted edit of each client."""

    def within(self, known: dict[int, int]) -> bool:
        """Whether a state vector has all of it."""
        return all(
            end <= known.get(client, 0)
            for part in (self.edits, self.deletions)
            for client, end in part.items()
        )


def measure(update: bytes) -> Extent:
    """Read an update; returns how far it reaches.

    Raises:
        Malformed: It is none, or one that no client writes.
    """
    return _Measuring(update).update()


class _Measuring:
    __slots__ = ("_at", "_content", "_end")

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._end = len(content)

    def update(self) -> Extent:
        edits: dict[int, int] = {}
        for _ in range(self._count(3)):
            structs = self._count(2)
            client, clock = self._uint(), self._uint()
            if client in edits:
                raise Malformed("a client's edits come twice")
            for _ in range(structs):
                clock += self._struct()
            if clock > _LARGEST:
                raise Malformed("a clock is too large")
            edits[client] = clock
        deletions: dict[int, int] = {}
        for _ in range(self._count(2)):
            client = self._uint()
            for _ in range(self._count(2)):
                end = self._uint() + self._length()
                if end > deletions.get(client, 0):
                    deletions[client] = end
        if self._at != self._end:
            raise Malformed(f"{self._end - self._at} bytes are left over")
        return Extent(edits, deletions)

    def _struct(self) -> int:
        """Read one struct; returns the clocks it takes."""
        info = self._byte()
        kind = info & 0x1F
        if kind in (_GC, _SKIP):
            return self._length()
        if info & _HAS_ORIGIN:
            self._uint()
            self._uint()
        if info & _HAS_RIGHT_ORIGIN:
            self._uint()
            self._uint()
        if not info & (_HAS_ORIGIN | _HAS_RIGHT_ORIGIN):
            if self._uint() == 1:
                self._bytes()
            else:
                self._uint()
                self._uint()
            if info & _HAS_PARENT_SUB:
                self._bytes()
        return self._item(kind)

    def _item(self, kind: int) -> int:
        """Read an item's content; returns its length."""
        if kind == _STRING:
            return self._utf16(self._bytes())
        if kind == _DELETED:
            return self._length()
        if kind == _FORMAT:
            self._bytes()
            self._bytes()
        elif kind in (_BINARY, _EMBED):
            self._bytes()
        elif kind == _TYPE:
            named = self._uint()
            if named > _LAST_TYPE:
                raise Malformed(f"there is no type {named}")
            if named in _NAMED_TYPES:
                self._bytes()
        elif kind == _DOC:
            self._bytes()
            self._any(0)
        elif kind in (_ANY, _JSON):
            count = self._count(1)
            if not count:
                raise Malformed("an item is empty")
            for _ in range(count):
                if kind == _ANY:
                    self._any(0)
                else:
                    self._bytes()
            return count
        else:
            raise Malformed(f"there is no content {kind}")
        return 1

    def _any(self, depth: int) -> None:
        """Read a value of lib0's encoding."""
        if depth > _MAX_DEPTH:
            raise Malformed("a value is too deep")
        kind = self._byte()
        if kind in (127, 126, 121, 120):
            return
        if kind == 125:
            self._signed()
        elif kind in (124, 123, 122):
            self._skip(4 if kind == 124 else 8)
        elif kind in (119, 116):
            self._bytes()
        elif kind == 118:
            for _ in range(self._count(2)):
                self._bytes()
                self._any(depth + 1)
        elif kind == 117:
            for _ in range(self._count(1)):
                self._any(depth + 1)
        else:
            raise Malformed(f"there is no value {kind}")

    def _byte(self) -> int:
        if self._at >= self._end:
            raise Malformed("it ends too soon")
        self._at += 1
        return self._content[self._at - 1]

    def _uint(self) -> int:
        at, content = self._at, self._content
        if at < self._end and content[at] < 0x80:
            self._at = at + 1
            return content[at]
        number = shift = 0
        for place in range(at, min(self._end, at + 8)):
            byte = content[place]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                if number > _LARGEST:
                    break
                self._at = place + 1
                return number
            shift += 7
        raise Malformed("a number does not end, or is too large")

    def _signed(self) -> None:
        for _ in range(10):
            if self._byte() < 0x80:
                return
        raise Malformed("a number does not end")

    def _length(self) -> int:
        length = self._uint()
        if not 0 < length <= _LONGEST:
            raise Malformed(f"a length is {length}")
        return length

    def _count(self, bytes_each: int) -> int:
        count = self._uint()
        if count * bytes_each > self._end - self._at:
            raise Malformed(f"{count} items are announced, {self._end - self._at} bytes are there")
        return count

    def _bytes(self) -> bytes:
        length = self._uint()
        start = self._at
        if length > self._end - start:
            raise Malformed(f"{length} bytes are announced, {self._end - start} are there")
        self._at = start + length
        return self._content[start : self._at]

    def _skip(self, length: int) -> None:
        if length > self._end - self._at:
            raise Malformed("it ends too soon")
        self._at += length

    @staticmethod
    def _utf16(encoded: bytes) -> int:
        """Return the length of a text in UTF-16 code units, which clocks count."""
        if not encoded:
            raise Malformed("a text is empty")
        if encoded.isascii():
            return len(encoded)
        try:
            return len(encoded.decode().encode("utf-16-le")) // 2
        except UnicodeError:
            raise Malformed("a text is not UTF-8") from None
