"""Adds up what a tree of files takes on disk, while its owner may change it in any way."""

import dataclasses
import itertools
import os
import stat
from collections.abc import Generator

_BLOCK = 512
_OPEN = 32
"""Directories open at a time; of those above, only which they are is kept."""
_STEP = 256
"""Entries looked at in one step, at most: some milliseconds, however large a directory is."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
"""How a directory is opened, and never what a symlink in its place leads to."""


@dataclasses.dataclass(slots=True)
class _Level:
    descriptor: int
    """-1 while it is closed."""
    identity: tuple[int, int]
    inner: list[str]
    """Directories in it that are still to be looked into."""


def walk(top: int) -> Generator[int]:
    """Add up the disk blocks of all files in an open directory, in bytes, as `du` does.

    Gives what each of many short steps found; their sum is the size. Closes the directory, also
    when it is closed itself before its end. Each directory is opened by its name in the one
    above: exchanged for a symlink meanwhile it is not followed. What is moved away meanwhile may
    be missing. Neither depth nor the length of paths stops it.
    """
    linked: set[tuple[int, int]] = set()
    path: list[_Level] = []
    try:
        yield from _enter(path, top, linked)
        while path:
            if path[-1].inner:
                yield from _descend(path, linked)
            else:
                _ascend(path)
    finally:
        for level in path:
            _close(level)


def _descend(path: list[_Level], linked: set[tuple[int, int]]) -> Generator[int]:
    yield 0  # a step of its own, also into one that holds nothing or is closed to us
    above = path[-1]
    try:
        directory = os.open(above.inner.pop(), DIRECTORY, dir_fd=above.descriptor)
    except OSError:  # gone meanwhile, exchanged, or closed to us
        return
    yield from _enter(path, directory, linked)


def _enter(path: list[_Level], directory: int, linked: set[tuple[int, int]]) -> Generator[int]:
    status = os.fstat(directory)
    level = _Level(directory, (status.st_dev, status.st_ino), [])
    path.append(level)
    if len(path) > _OPEN + 1:
        # Never the first: where the way back is lost, it begins there.
        _close(path[-_OPEN - 1])
    yield from _look_into(level, linked)


def _look_into(level: _Level, linked: set[tuple[int, int]]) -> Generator[int]:
    try:
        with os.scandir(level.descriptor) as entries:
            while some := list(itertools.islice(entries, _STEP)):
                yield _sum(some, level, linked)
    except OSError:
        return


def _sum(entries: list["os.DirEntry[str]"], level: _Level, linked: set[tuple[int, int]]) -> int:
    size = 0
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:  # gone meanwhile
            continue
        if stat.S_ISDIR(status.st_mode):
            level.inner.append(entry.name)
        elif status.st_nlink > 1:
            # pnpm and others link one file into many places; it is on disk once.
            key = (status.st_dev, status.st_ino)
            if key in linked:
                continue
            linked.add(key)
        size += status.st_blocks * _BLOCK
    return size


def _ascend(path: list[_Level]) -> None:
    left = path.pop()
    try:
        if path and path[-1].descriptor < 0:
            _reopen(path, left.descriptor)
    finally:
        _close(left)


def _reopen(path: list[_Level], below: int) -> None:
    """Open the last directory of a path again, from one in it; where it was moved, the first."""
    above = path[-1]
    try:
        above.descriptor = os.open("..", DIRECTORY, dir_fd=below)
        status = os.fstat(above.descriptor)
        if (status.st_dev, status.st_ino) == above.identity:
            return
    except OSError:
        pass
    while path[-1] is not path[0]:
        _close(path.pop())


def _close(level: _Level) -> None:
    if level.descriptor >= 0:
        os.close(level.descriptor)
        level.descriptor = -1
