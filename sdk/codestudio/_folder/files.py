"""Files beneath one folder: read whole, and replaced in one step without losing what came between.

A path is walked folder by folder without following links, so no name, and no link made meanwhile,
leads outside. A file is replaced by exchanging it with its successor: whatever an editor put there
in the last moment is then in our hands, not overwritten. Contents are on the disk before they take
a file's place; the exchange itself is not waited for, so a power cut leaves the one or the other.
"""

import contextlib
import ctypes
import datetime
import errno
import os
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from codestudio._folder.rules import OWN, leads_out

MAX_BYTES = 4 * 1024**2
"""Largest file that is carried, unless told otherwise."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STILL = 0.02
"""Seconds without a write after which a file that was replaced is taken to be whole."""
_STILL_MOST = 3.0
_EXCHANGE = 2  # RENAME_EXCHANGE, linux/fs.h


class Content(NamedTuple):
    """What is at a path."""

    text: str | None
    """The text; None where there is no file that is carried."""
    problem: str = ""
    """Why what is there is not carried; empty where nothing is there."""
    settled: bool = True
    """Whether it stayed as it was while it was read."""


class Found(NamedTuple):
    """A text that was replaced."""

    text: str
    """The text."""
    kept: Path
    """The file it is in, in our hands: to be removed, or set aside, by who replaced it."""


MISSING = Content(None)


class Files:
    """The files beneath a folder. Its methods block: they are for threads."""

    def __init__(self, root: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.root = root
        self._max_bytes = max_bytes
        self._passing = root / OWN / "passing"
        self._passing.mkdir(parents=True, exist_ok=True)

    def read(self, path: str) -> Content:
        """Read a file."""
        try:
            with self._parent(path) as (parent, name):
                return self._read(parent, name)
        except (FileNotFoundError, NotADirectoryError):
            return MISSING
        except OSError as error:
            return Content(None, _reason(error))

    def replace(self, path: str, text: str, expected: str | None) -> Found | Path | None:
        """Put a text in a file's place; folders are made as needed.

        Gives the text found there, None for no file: it may be another than the `expected` one,
        None for none. A file found there that is no text is set aside as it is: gives where.
        Raises OSError.
        """
        with self._parent(path, make=True) as (parent, name):
            temporary = self._write(parent, name, text)
            ours = True
            try:
                if expected is None:
                    try:
                        os.link(temporary, name, dst_dir_fd=parent, follow_symlinks=False)
                    except FileExistsError:
                        pass  # somebody made it meanwhile
                    else:
                        return None
                ours = not self._exchange(temporary, parent, name)
            finally:
                # Never what an editor wrote: that is looked at first.
                if ours:
                    with contextlib.suppress(FileNotFoundError):
                        temporary.unlink()
        if ours:
            return None
        found = _text_when_still(temporary)
        if found is None:
            return self.set_aside(path, temporary, under="conflicts")
        return Found(found, temporary)

    def remove(self, path: str, expected: str) -> bool:
        """Remove a file that holds the expected text, and folders left empty; whether it did.

        Raises OSError.
        """
        try:
            with self._parent(path) as (parent, name):
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if not stat.S_ISREG(found.st_mode):
                    return False
                moved = self._passing / secrets.token_hex(8)
                os.rename(name, moved, src_dir_fd=parent)
                if _text_of(moved) != expected:
                    # Changed in the last moment: put it back, unless there is a newer one.
                    with contextlib.suppress(FileExistsError):
                        os.link(moved, name, dst_dir_fd=parent)
                        moved.unlink()
                    return False
                moved.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        self._remove_empty_folders(path)
        return True

    def set_aside(self, path: str, what: str | Path, *, under: str) -> Path:
        """Keep a text, or move a file, beside what is carried; gives where. Raises OSError."""
        _check(path)
        # The time for people; what follows it tells apart what comes within one second.
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        kept = self.root / OWN / under / f"{path}.{stamp}-{secrets.token_hex(4)}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(what, Path):
            what.rename(kept)
        else:
            with _whole(kept):
                kept.write_text(what, newline="")
        return kept

    def stamp(self, path: str) -> tuple[int, ...]:
        """Give what is another after a file was written or replaced; empty where there is none."""
        try:
            found = (self.root / path).lstat()
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def left_behind(self) -> Iterator[tuple[Path, str | None]]:
        """Give what a run that was killed left in our hands, with its text; None if it is none."""
        for passing in sorted(self._passing.iterdir()):
            yield passing, _text_of(passing)

    def _read(self, parent: int, name: str) -> Content:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=parent)
        except OSError as error:
            if error.errno == errno.ELOOP:
                return Content(None, "it is a link")
            raise
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return MISSING  # what is in the folder are other files
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                return Content(None, "it is no ordinary file")
            if before.st_size > self._max_bytes:
                return Content(None, f"it has more than {self._max_bytes} bytes")
            data = file.read(self._max_bytes + 1)
            after = os.fstat(file.fileno())
        if len(data) > self._max_bytes:
            return Content(None, f"it has more than {self._max_bytes} bytes")
        settled = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, len(data))
        text = _decode(data)
        if text is None:
            return Content(None, "it is not text in UTF-8", settled)
        return Content(text, settled=settled)

    def _write(self, parent: int, name: str, text: str) -> Path:
        """Write a successor of a file, with its mode, to the disk."""
        temporary = self._passing / secrets.token_hex(8)
        with _whole(temporary), temporary.open("xb") as file:
            file.write(text.encode())
            with contextlib.suppress(OSError):
                old = os.stat(name, dir_fd=parent, follow_symlinks=False)
                os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
                if old.st_uid != os.geteuid() or old.st_gid != os.getegid():
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
            file.flush()
            os.fsync(file.fileno())
        return temporary

    def _exchange(self, temporary: Path, parent: int, name: str) -> bool:
        """Swap a file with its successor; False where there was none, which is put there then."""
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            os.rename(temporary, name, dst_dir_fd=parent)
            return False
        if not stat.S_ISREG(mode):
            raise OSError(errno.EEXIST, "something that is no file is in the way", name)
        if not _swap(temporary, parent, name):
            # Not here: what is saved in the next microseconds is lost.
            held = self._passing / secrets.token_hex(8)
            os.link(name, held, src_dir_fd=parent, follow_symlinks=False)
            os.rename(temporary, name, dst_dir_fd=parent)
            held.rename(temporary)
        return True

    def _remove_empty_folders(self, path: str) -> None:
        parts = path.split("/")[:-1]
        while parts:
            with contextlib.suppress(OSError), self._parent("/".join(parts)) as (parent, name):
                os.rmdir(name, dir_fd=parent)
                parts.pop()
                continue
            return

    @contextlib.contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Open the folder a path is in, following no link."""
        _check(path)
        *folders, name = path.split("/")
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(folder, dir_fd=descriptor)
                inner = _open_folder(folder, descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor, name
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _whole(file: Path) -> Iterator[None]:
    """Write a new file whole, or leave nothing of it: a disk that is full is to be no fuller."""
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _check(path: str) -> None:
    if leads_out(path):
        raise OSError(errno.EINVAL, "its path leads out of the folder", path)


def _open_folder(name: str, within: int) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=within)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, "a folder above it is a link", name) from None
        raise


def _decode(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _text_of(path: Path) -> str | None:
    try:
        return _decode(path.read_bytes())
    except OSError:
        return None


def _text_when_still(path: Path) -> str | None:
    """Read a file that an editor may be about to write to, when it does so no more."""
    until = time.monotonic() + _STILL_MOST
    pause = _STILL
    before = path.stat()
    while True:
        time.sleep(pause)
        after = path.stat()
        still = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
        # What is empty has most likely just been opened to be written anew.
        whole = still and (after.st_size or pause > _STILL)
        if whole or time.monotonic() > until:
            return _text_of(path)
        before, pause = after, 10 * _STILL


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "a folder above it is a link"
    return error.strerror or str(error)


def _swap(temporary: Path, parent: int, name: str) -> bool:
    """Exchange two files in one step; False where the system cannot."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return False
    here = os.fsencode(temporary)
    if library.renameat2(-100, here, parent, os.fsencode(name), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EXDEV):
        return False
    raise OSError(number, os.strerror(number), name)
