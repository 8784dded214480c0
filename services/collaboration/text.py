"""The one place that converts between the units texts are counted in.

pycrdt counts bytes of UTF-8, whatever Yjs and editors do: inserts, deletes, lengths and deltas.
Editors count UTF-16 code units, our contract code points unless a request says otherwise. Here a
text is a Python string, and offsets in it are code points; everything else is converted.
"""

import enum
from collections.abc import Sequence

import pycrdt

ROOT = "content"
"""Name of the text in every document (contract, Document)."""


class Unit(enum.Enum):
    """What counts as one character."""

    CODE_POINT = "code point"
    UTF16 = "UTF-16 code unit"


class OffsetError(ValueError):
    """An offset that is none in the text it is for; the message says why, for people."""


def check_unit() -> None:
    """Make sure that pycrdt counts bytes, which a later version may change.

    Raises:
        RuntimeError: It does not; every edit would be misplaced.
    """
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    text = doc.get(ROOT, type=pycrdt.Text)
    text.insert(0, "é🙂")
    if len(text) != len("é🙂".encode()):
        raise RuntimeError("this pycrdt does not count bytes of UTF-8: services.collaboration.text")


def byte_offset(text: str, code_points: int) -> int:
    """Return how many bytes of UTF-8 stand before a place."""
    if text.isascii():
        return code_points
    return len(text[:code_points].encode())


def code_point_offset(text: str, utf8: bytes, byte_count: int) -> int:
    """Return how many code points stand before a place given in bytes; `utf8` is the text's."""
    if len(utf8) == len(text):
        return byte_count
    return len(utf8[:byte_count].decode())


def from_unit(text: str, offset: int, unit: Unit) -> int:
    """Return an offset in code points.

    Raises:
        OffsetError: It lies outside the text, or within a surrogate pair.
    """
    if offset < 0:
        raise OffsetError(f"must not be negative, is {offset}")
    if unit is Unit.CODE_POINT or text.isascii():
        if offset > len(text):
            raise OffsetError(f"is {offset}, but the text has {len(text)} {unit.value}s")
        return offset
    # Without characters outside the basic plane, both units are the same: the usual case.
    encoded = text.encode("utf-16-le")
    if 2 * offset > len(encoded):
        raise OffsetError(f"is {offset}, but the text has {len(encoded) // 2} {unit.value}s")
    before = encoded[: 2 * offset]
    if before and 0xD8 <= before[-1] <= 0xDB:
        raise OffsetError(f"is {offset}, which is within a surrogate pair")
    return len(before.decode("utf-16-le"))


class Lines:
    """Where the lines of a text begin; a line ends with LF, CR LF or CR."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = _line_starts(text)

    def __len__(self) -> int:
        return len(self._starts)

    def offset(self, line: int, column: int, unit: Unit) -> int:
        """Return the code points before a line (from 0) and column.

        Raises:
            OffsetError: The text has no such place; begins with the name of the coordinate.
        """
        if not 0 <= line < len(self._starts):
            raise OffsetError(f"line is {line}, but the text has {len(self._starts)} lines")
        begin = self._starts[line]
        end = self._starts[line + 1] if line + 1 < len(self._starts) else len(self._text)
        content = self._text[begin:end].rstrip("\r\n")
        try:
            return begin + from_unit(content, column, unit)
        except OffsetError as error:
            raise OffsetError(f"column {str(error).replace('the text', 'the line')}") from None


def _line_starts(text: str) -> Sequence[int]:
    starts = [0]
    position = 0
    # Not str.splitlines: that also breaks at form feeds and Unicode separators, which editors
    # show within a line.
    while True:
        newline = text.find("\n", position)
        end = len(text) if newline < 0 else newline
        carriage = text.find("\r", position, end)
        while carriage >= 0:
            if carriage + 1 < end or newline < 0:
                starts.append(carriage + 1)
            carriage = text.find("\r", carriage + 1, end)
        if newline < 0:
            return starts
        starts.append(newline + 1)
        position = newline + 1


def length_in(text: str, unit: Unit) -> int:
    """Return the length of a text in a unit."""
    if unit is Unit.CODE_POINT or text.isascii():
        return len(text)
    return len(text.encode("utf-16-le")) // 2
