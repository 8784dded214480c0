r"""Names of files as text and back, and what a path given by a client may be.

A file's name on Linux is any bytes but ``/`` and NUL; the contract's strings are UTF-8. Bytes
that are not UTF-8 are written ``\xNN``, and so is a backslash that could be taken for such an
escape: what is written is read back as the same bytes.
"""

import re
from collections.abc import Sequence

Parts = tuple[bytes, ...]
"""A relative path, name by name; empty for the directory itself."""

LONGEST_PATH = 4095
"""Bytes in a path at most (PATH_MAX without its NUL)."""

LONGEST_NAME = 255
"""Bytes in a name at most (NAME_MAX)."""

_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_LOOKS_ESCAPED = re.compile(rb"\\(?=x[0-9a-f]{2})")


class BadPathError(ValueError):
    """A path no file of an instance can have; the message says why, for people."""


def text(name: bytes) -> str:
    r"""Write a name or path as text.

    >>> text(b"caf\xc3\xa9"), text(b"caf\xe9"), text(rb"a\xe9")
    ('café', 'caf\\xe9', 'a\\x5cxe9')
    """
    return _LOOKS_ESCAPED.sub(rb"\\x5c", name).decode(errors="backslashreplace")


def raw(written: str) -> bytes:
    r"""Read a name or path that `text` wrote.

    >>> raw("café"), raw(r"caf\xe9"), raw(r"a\x5cxe9")
    (b'caf\xc3\xa9', b'caf\xe9', b'a\\xe9')
    """
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), written.encode())


def join(parts: Sequence[bytes]) -> str:
    """Write a path as text."""
    return text(b"/".join(parts))


def relative(written: str) -> Parts:
    """Read a path that must stay beneath where it begins; ``""`` and ``.`` are that itself.

    Raises:
        BadPathError: It is absolute, goes up, is too long, or has a NUL.
    """
    path = raw(written)
    if b"\0" in path:
        raise BadPathError("must not contain NUL")
    if path.startswith(b"/"):
        raise BadPathError("must be relative, not begin with a slash")
    if len(path) > LONGEST_PATH:
        raise BadPathError(f"must have at most {LONGEST_PATH} bytes, has {len(path)}")
    parts = tuple(part for part in path.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise BadPathError('must not contain ".."')
    longest = max(map(len, parts), default=0)
    if longest > LONGEST_NAME:
        raise BadPathError(f"must have at most {LONGEST_NAME} bytes in a name, has {longest}")
    return parts
