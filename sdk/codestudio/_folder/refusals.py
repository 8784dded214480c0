"""What went wrong with a file and its document: whether, and when, trying again may help."""

import errno
from typing import NamedTuple

from codestudio import _errors

RETRY_FIRST, RETRY_MOST = 1.0, 30.0

REFUSED = 300.0
"""Seconds until what was refused for good is tried again, unless the file changes."""

_TOO_LARGE = frozenset({"DOCUMENT_TOO_LARGE", "UPDATE_TOO_LARGE"})

_IN_THE_WAY = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG})
_IN_THE_WAY_SECONDS = 4.0
"""A file where a folder is to be, or the other way round, goes by itself soon, or stays."""


class Verdict(NamedTuple):
    """What to do about an error."""

    final: bool
    """Whether waiting does not help: somebody has to do something first."""
    seconds: float
    """Seconds to wait before it is tried again."""


def judge(error: Exception, pause: float) -> Verdict:
    """Tell what an error calls for; `pause` is how long it would be waited now, were it passing."""
    if isinstance(error, _errors.PermissionDenied | _errors.InvalidArgument):
        return Verdict(True, REFUSED)
    if isinstance(error, _errors.CodeStudioError):
        final = error.code in _TOO_LARGE
        return Verdict(final, REFUSED if final else pause)
    blocked = isinstance(error, OSError) and error.errno in _IN_THE_WAY
    if blocked and pause >= _IN_THE_WAY_SECONDS:
        return Verdict(True, RETRY_MOST)
    return Verdict(False, pause)


def reason(error: Exception) -> str:
    """Say what went wrong."""
    return error.message if isinstance(error, _errors.CodeStudioError) else str(error)
