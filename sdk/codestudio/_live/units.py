"""The one place that converts between the units texts are counted in.

Our offsets are code points, as Python's. Editors, Yjs and its ids count UTF-16 code units;
pycrdt counts bytes of UTF-8.
"""

import enum

from codestudio import _errors


class OffsetUnit(enum.StrEnum):
    """What counts as one character in an offset."""

    CODE_POINT = "CODE_POINT"
    """A Unicode code point, as in a Python string."""
    UTF16 = "UTF16"
    """A UTF-16 code unit, as editors and JavaScript count."""


def to_code_points(text: str, offset: int, unit: OffsetUnit) -> int:
    """Read an offset in `text`. Raises OutOfRange: outside it, or within a surrogate pair."""
    if unit is OffsetUnit.CODE_POINT or text.isascii():
        if not 0 <= offset <= len(text):
            raise _outside(offset, len(text), unit)
        return offset
    encoded = text.encode("utf-16-le")
    if not 0 <= 2 * offset <= len(encoded):
        raise _outside(offset, len(encoded) // 2, unit)
    try:
        return len(encoded[: 2 * offset].decode("utf-16-le"))
    except UnicodeDecodeError:
        raise _errors.OutOfRange(
            f"offset {offset} stands within a surrogate pair", code="OFFSET_OUT_OF_RANGE"
        ) from None


def from_code_points(text: str, offset: int, unit: OffsetUnit) -> int:
    """Write an offset in `text` in another unit."""
    return offset if unit is OffsetUnit.CODE_POINT else utf16_length(text[:offset])


def utf16_length(text: str) -> int:
    """Count the UTF-16 code units of a text."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def after_utf16(text: str, units: int) -> int:
    """Count the code points within so many UTF-16 units; half a pair counts nothing."""
    if text.isascii():
        return min(units, len(text))
    return len(text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore"))


def byte_length(text: str) -> int:
    """Count the bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def after_bytes(text: str, count: int) -> int:
    """Count the code points within so many bytes of UTF-8."""
    return min(count, len(text)) if text.isascii() else len(text.encode()[:count].decode())


def _outside(offset: int, length: int, unit: OffsetUnit) -> _errors.OutOfRange:
    name = "code points" if unit is OffsetUnit.CODE_POINT else "UTF-16 code units"
    return _errors.OutOfRange(
        f"offset {offset} lies outside the text, which has {length} {name}",
        code="OFFSET_OUT_OF_RANGE",
    )
