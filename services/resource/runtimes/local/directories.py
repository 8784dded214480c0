"""The directories of instances: made, opened beneath, measured, removed.

Developers own what is inside and may put symlinks anywhere, so nothing here follows one, and
files are opened one component at a time.
"""

import contextlib
import dataclasses
import itertools
import os
import secrets
import stat
from collections.abc import Generator, Iterator
from pathlib import Path

from services.resource.runtimes.local import sizes

NAMES = ("user-data", "extensions", "workspace", "logs", "temp")
"""Directories every instance has (specification, path management)."""

_TRASH = ".trash"  # no instance can be called that
_SKELETON = Path("/etc/skel")
_SKELETON_FILES = (".bashrc", ".profile", ".bash_logout")
_SKELETON_BYTES = 64 * 1024
_ON_A_FULL_DISK = """
# At its disk limit (CodeStudio) a write fails with "File too large", as any other error. Without
# this line it ends the program that writes, be it this shell.
trap '' XFSZ
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Directories:
    """The directories of one instance."""

    root: Path

    @property
    def user_data(self) -> Path:
        """The editor's settings and state."""
        return self.root / "user-data"

    @property
    def extensions(self) -> Path:
        """The editor's extensions."""
        return self.root / "extensions"

    @property
    def workspace(self) -> Path:
        """The developer's files."""
        return self.root / "workspace"

    @property
    def logs(self) -> Path:
        """What the editor wrote."""
        return self.root / "logs"

    @property
    def temp(self) -> Path:
        """Temporary files."""
        return self.root / "temp"

    def exist(self) -> bool:
        """Tell whether all are there."""
        return self.missing() is None

    def missing(self) -> Path | None:
        """Give the first directory that is not there; None where all are."""
        return next((self.root / name for name in NAMES if not (self.root / name).is_dir()), None)

    def create(self) -> None:
        """Make what is missing, for the owner's eyes only. Raises OSError."""
        self.root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.root.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            self._furnish()
        for name in NAMES:
            (self.root / name).mkdir(mode=0o700, exist_ok=True)

    def open_beneath(self, *parts: str, flags: int, mode: int = 0o600) -> int:
        """Open a regular file beneath the root, making no detour through any symlink.

        Raises OSError (ELOOP or ENOTDIR where a component is a symlink) and ValueError where
        it is no regular file.
        """
        *folders, name = parts
        directory = self.open_directory(*folders)
        try:
            # Not blocking: a FIFO put there must not hang us.
            descriptor = os.open(
                name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode, dir_fd=directory
            )
        finally:
            os.close(directory)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ValueError(f"{name} is no regular file")
        os.set_blocking(descriptor, True)
        return descriptor

    def open_directory(self, *parts: str) -> int:
        """Open a directory beneath the root, making no detour through any symlink.

        Raises OSError (ELOOP or ENOTDIR where a component is a symlink).
        """
        directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        for part in parts:
            try:
                inner = os.open(
                    part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory
                )
            finally:
                os.close(directory)
            directory = inner
        return directory

    def walk(self) -> Generator[int]:
        """Add up the disk blocks of all files, in bytes, in short steps; see `sizes.walk`."""
        try:
            top = self.open_directory()
        except OSError:  # gone meanwhile, or exchanged
            return
        yield from sizes.walk(top)

    def _furnish(self) -> None:
        """Give a new home what the system gives new homes: a shell with a useful prompt."""
        for name in _SKELETON_FILES:
            source = _SKELETON / name
            with contextlib.suppress(OSError):
                if source.is_file() and source.stat().st_size <= _SKELETON_BYTES:
                    (self.root / name).write_bytes(source.read_bytes())
        with contextlib.suppress(OSError), (self.root / ".bashrc").open("a") as file:
            file.write(_ON_A_FULL_DISK)


class InstanceRoot:
    """``<container_root>/instances``: the directories of all instances."""

    def __init__(self, container_root: Path) -> None:
        self._root = container_root.absolute() / "instances"
        self._trash = self._root / _TRASH

    def of(self, instance_id: str) -> Directories:
        """Give the directories of an instance; its id must have been validated."""
        return Directories(self._root / instance_id)

    def free(self) -> int:
        """Give the bytes that are free on their file system."""
        try:
            status = os.statvfs(self._root)
        except OSError:
            return 0
        return status.f_bavail * status.f_frsize

    def discard(self, instance_id: str) -> bool:
        """Take an instance's directories away in one step; whether there were any.

        What is discarded is gone for everybody, also after a crash; `empty_trash` frees its
        disk.
        """
        self._trash.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            (self._root / instance_id).rename(self._trash / secrets.token_hex(8))
        except FileNotFoundError:
            return False
        return True

    def empty_trash(self) -> None:
        """Free the disk of everything discarded. May take long; one at a time."""
        for place in _scan(str(self._trash)):
            if place.is_dir(follow_symlinks=False):
                _dissolve(Path(place.path))
            else:
                Path(place.path).unlink()


def _dissolve(place: Path) -> None:
    """Remove a directory and all in it, of any depth, following no symlink.

    Directories are moved up to `place` before they are emptied: neither the depth of a tree
    nor the length of its paths can stop it.
    """
    place.chmod(0o700)
    top = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    names = (f"moved-{number}" for number in itertools.count())
    try:
        while entries := _names(top):
            for entry in entries:
                _empty(top, entry, names)
    finally:
        os.close(top)
    place.rmdir()


def _empty(top: int, name: str, names: Iterator[str]) -> None:
    if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
        os.unlink(name, dir_fd=top)
        return
    os.chmod(name, 0o700, dir_fd=top)
    directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for entry in _names(directory):
            if stat.S_ISDIR(os.lstat(entry, dir_fd=directory).st_mode):
                # Moving a directory rewrites its "..", for which it must be writable itself.
                os.chmod(entry, 0o700, dir_fd=directory)
                os.rename(entry, _unused(top, names), src_dir_fd=directory, dst_dir_fd=top)
            else:
                os.unlink(entry, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=top)


def _unused(top: int, names: Iterator[str]) -> str:
    for name in names:
        try:
            os.lstat(name, dir_fd=top)
        except FileNotFoundError:
            return name
    raise AssertionError("names never end")


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def _scan(directory: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:  # gone meanwhile, or closed to us
        return []
