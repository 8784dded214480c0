"""What an editor writes: one file an instance, kept small, read from its end."""

import os

from services.resource.runtimes.local.directories import Directories

_FOLDER = "logs"
_NAME = "editor.log"
_OLD = "editor.old.log"
_ROTATE_BYTES = 4 * 1024**2
_BLOCK = 64 * 1024
_MOST_BYTES = 4 * 1024**2
_LINE_CHARACTERS = 4000


def open_for_writing(directories: Directories) -> tuple[int, int]:
    """Open the log for appending, and give its length; begins a new one where it is long.

    Raises OSError or ValueError where it is no file that may be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    descriptor = directories.open_beneath(_FOLDER, _NAME, flags=flags)
    size = os.fstat(descriptor).st_size
    if size > _ROTATE_BYTES:
        os.close(descriptor)
        (directories.logs / _NAME).replace(directories.logs / _OLD)
        descriptor, size = directories.open_beneath(_FOLDER, _NAME, flags=flags), 0
    return descriptor, size


def note(directories: Directories, line: str) -> None:
    """Add a line of our own. Raises OSError or ValueError as `open_for_writing`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    descriptor = directories.open_beneath(_FOLDER, _NAME, flags=flags)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def tail(directories: Directories, lines: int, *, since: int = 0) -> list[str]:
    """Give the last lines, oldest first; of the log before it too where there are too few.

    Reads at most 4 MiB. With `since`, only what was written from that position on.
    """
    found = _tail(directories, _NAME, lines, since)
    if len(found) < lines and not since:
        found = _tail(directories, _OLD, lines - len(found), 0) + found
    return found


def _tail(directories: Directories, name: str, lines: int, since: int) -> list[str]:
    try:
        descriptor = directories.open_beneath(_FOLDER, name, flags=os.O_RDONLY)
    except (OSError, ValueError):
        return []
    with os.fdopen(descriptor, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        start = end
        first = max(since, end - _MOST_BYTES)
        text = b""
        while start > first and text.count(b"\n") <= lines:
            step = min(_BLOCK, start - first)
            start -= step
            file.seek(start)
            text = file.read(step) + text
    split = text.decode(errors="replace").splitlines()
    return [line[:_LINE_CHARACTERS] for line in split[-lines:]]
