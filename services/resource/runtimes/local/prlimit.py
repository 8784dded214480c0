"""Limits the kernel keeps for single processes, changed from outside, without privileges.

Only soft limits are changed: a hard one that was lowered could not be raised again by anybody but
root. So whoever means to can raise theirs; on a machine where all instances run as one user these
are guards against accidents, not against their owners.
"""

import contextlib
import os
import resource
from collections.abc import Collection

UNLIMITED = resource.RLIM_INFINITY
_NOBODY = (ProcessLookupError, PermissionError)
"""It ended meanwhile, or became another user's."""


def hold_file_size(pid: int, size: int, ours: Collection[int]) -> bool:
    """Let a process write files up to a size; 0 lets it write none at all.

    Pipes, sockets and terminals are not files, and removing and emptying files stays possible.
    What it writes beyond fails with EFBIG, and ends it (SIGXFSZ) unless it ignores that signal,
    as Node and Python do.

    Args:
        pid: The process.
        size: Bytes.
        ours: Limits that we have set before: a smaller limit that is none of these is the
            process's own, and stays.

    Returns:
        Whether anything was changed.
    """
    with contextlib.suppress(*_NOBODY):
        soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        wanted = size if hard == UNLIMITED else min(size, hard)
        own = soft != UNLIMITED and soft < wanted and soft not in ours
        if soft != wanted and not own:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (wanted, hard))
            return True
    return False


def file_size(pid: int) -> int:
    """Give the size a process may write files up to; `UNLIMITED` also where it has ended."""
    with contextlib.suppress(*_NOBODY):
        return resource.prlimit(pid, resource.RLIMIT_FSIZE)[0]
    return UNLIMITED


def hold_processors(pid: int, processors: Collection[int]) -> bool:
    """Let all threads of a process run on these processors only; whether that changed anything.

    What they start inherits it.
    """
    changed = False
    try:
        threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208
    except OSError:
        return False
    for thread in threads:
        with contextlib.suppress(*_NOBODY):
            if os.sched_getaffinity(thread) != set(processors):
                os.sched_setaffinity(thread, processors)
                changed = True
    return changed


def processors_of(pid: int) -> frozenset[int]:
    """Give the processors a process may run on; none where it has ended."""
    with contextlib.suppress(*_NOBODY):
        return frozenset(os.sched_getaffinity(pid))
    return frozenset()
