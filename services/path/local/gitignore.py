"""The .gitignore files on the way to what is listed."""

import contextlib
import os
import stat
from collections.abc import Sequence

from services.path.ignore import Rules

MOST_BYTES = 256 * 1024
"""Bytes read of a .gitignore file."""

_NAME = b".gitignore"
_NONE = Rules.parse(b"")

Scopes = tuple[tuple[int, Rules], ...]
"""Rules in force in a directory, innermost first, each with the length of the path to it."""


def read(directory: int) -> Rules:
    """Read the rules of an open directory; a link is none (as for Git), nor is a pipe."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        file = os.open(_NAME, flags, dir_fd=directory)
        try:
            if stat.S_ISREG(os.fstat(file).st_mode):
                return Rules.parse(os.read(file, MOST_BYTES))
        finally:
            os.close(file)
    return _NONE


def within(scopes: Scopes, directory: int, depth: int) -> Scopes:
    """Add what the .gitignore of a directory says, `depth` names below the workspace."""
    rules = read(directory)
    return ((depth, rules), *scopes) if rules else scopes


def leave_out(scopes: Scopes, path: Sequence[bytes], *, is_directory: bool) -> bool:
    """Tell whether a path, from the workspace, is left out: the innermost file that speaks."""
    for depth, rules in scopes:
        verdict = rules.verdict(path[depth:], is_directory=is_directory)
        if verdict is not None:
            return verdict
    return False
