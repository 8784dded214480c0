"""The bytes of y-protocols: variable-length numbers, and what they measure.

Everything read comes from a network, so every length is checked before it is used.
https://github.com/yjs/y-protocols/blob/master/PROTOCOL.md
"""

_MOST_BYTES = 8
"""Bytes of a number at most: 2^53, the largest a JavaScript number holds, takes eight."""
_LARGEST = 2**53


class Malformed(ValueError):  # noqa: N818 - what it is
    """Bytes that are not what they should be; the message says why, for people."""


def write_uint(number: int) -> bytes:
    """Return a number, seven bits a byte, the lowest first."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def write_bytes(content: bytes) -> bytes:
    """Return bytes behind their length."""
    return write_uint(len(content)) + content


class Reader:
    """Reads one message from its beginning."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._content) - self._at

    def uint(self) -> int:
        """Read a number.

        Raises:
            Malformed: It does not end, or is larger than 2^53.
        """
        number = shift = 0
        for at in range(self._at, min(len(self._content), self._at + _MOST_BYTES)):
            byte = self._content[at]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                if number > _LARGEST:
                    break
                self._at = at + 1
                return number
            shift += 7
        raise Malformed(
            "a number is too large" if self.left >= _MOST_BYTES else "a number does not end"
        )

    def bytes(self) -> bytes:
        """Read bytes behind their length.

        Raises:
            Malformed: There are fewer than their length says.
        """
        length = self.uint()
        if length > self.left:
            raise Malformed(f"{length} bytes are announced, {self.left} are there")
        self._at += length
        return self._content[self._at - length : self._at]

    def end(self) -> None:
        """Check that nothing is left.

        Raises:
            Malformed: Something is.
        """
        if self.left:
            raise Malformed(f"{self.left} bytes are left over")


def read_state_vector(content: bytes) -> dict[int, int]:
    """Read a state vector: how far each client's edits are known.

    Raises:
        Malformed: It is none.
    """
    reader = Reader(content)
    count = reader.uint()
    if count * 2 > reader.left:
        raise Malformed(f"{count} clients are announced, {reader.left} bytes are there")
    vector = {reader.uint(): reader.uint() for _ in range(count)}
    reader.end()
    return vector
