"""Opens files beneath an instance's own directory, name by name.

Links are read and followed here, not by the system, so that none leads outside, whenever it is
put there.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.path.local import reasons

MOST_LINKS = 40
"""Links followed on one way (as Linux does)."""

_MOST_OPENED = 8192
"""Files opened on one way: links made for it could have us go up and down for minutes."""

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class OutsideError(Exception):
    """A link leads outside the instance."""


class Root:
    """An instance's own directory, held open."""

    def __init__(self, descriptor: int, place: Path) -> None:
        self.descriptor = descriptor
        """It, opened as a path (O_PATH)."""
        self._place = place

    def within(self, target: bytes) -> list[bytes]:
        """Give the names an absolute link goes on with beneath this directory.

        Raises:
            OutsideError: It leads elsewhere.
        """
        names = [name for name in target.split(b"/") if name not in (b"", b".")]
        # As it was configured, and as a shell in it calls it where that is by way of a link.
        for place in (self._place, self._place.parent.resolve() / self._place.name):
            own = [os.fsencode(part) for part in place.parts[1:]]
            if names[: len(own)] == own:
                return names[len(own) :]
        raise OutsideError


@contextlib.contextmanager
def root(instances: Path, instance_id: str) -> Iterator[Root]:
    """Open an instance's own directory; its id must have been validated.

    Raises:
        OSError: It is not there, or no directory.
    """
    outer = os.open(instances, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = os.open(instance_id, _PATH | os.O_DIRECTORY, dir_fd=outer)
    finally:
        os.close(outer)
    try:
        yield Root(descriptor, instances / instance_id)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def following(beneath: Root, path: Sequence[bytes]) -> Iterator[int]:
    """Open a path (O_PATH), following links as long as they stay inside.

    Raises:
        OutsideError: A link leads outside.
        OSError: As opening it does; ELOOP where links go round, or on and on.
    """
    way = _Way(beneath)
    try:
        way.follow(path)
        yield way.descriptor
    finally:
        way.close()


def leads_outside(beneath: Root, directories: Sequence[bytes], target: bytes) -> bool:
    """Tell whether a link, in a directory given from the root, leads outside."""
    path = [*directories, *target.split(b"/")]
    try:
        with following(beneath, beneath.within(target) if target.startswith(b"/") else path):
            return False
    except OutsideError:
        return True
    except OSError as error:  # leads nowhere, as far as we can see
        reasons.raise_ours(error)
        return False


def open_directory(name: bytes, parent: int) -> int:
    """Open a directory for reading, beneath another.

    Raises:
        OSError: ENOTDIR where it is none or a link; EACCES where it cannot be read.
    """
    return os.open(name, _DIRECTORY, dir_fd=parent)


def open_directories(beneath: Root, path: Sequence[bytes]) -> int:
    """Open a directory for reading, by way of directories only.

    Raises:
        OSError: As `open_directory`, of any on the way.
    """
    *outer, name = path or (b".",)
    way = _Way(beneath)
    try:
        for each in outer:
            way.enter(os.open(each, _PATH | os.O_DIRECTORY, dir_fd=way.descriptor), each)
        return open_directory(name, way.descriptor)
    finally:
        way.close()


class _Way:
    """A walk from the root to something beneath it; holds only where it stands."""

    def __init__(self, beneath: Root) -> None:
        self._beneath = beneath
        self._names: list[bytes] = []
        self._opened = 0
        self.descriptor = beneath.descriptor

    def close(self) -> None:
        if self.descriptor != self._beneath.descriptor:
            os.close(self.descriptor)
            self.descriptor = self._beneath.descriptor
        self._names.clear()

    def enter(self, descriptor: int, name: bytes) -> None:
        if self.descriptor != self._beneath.descriptor:
            os.close(self.descriptor)
        self.descriptor = descriptor
        self._names.append(name)

    def follow(self, path: Sequence[bytes]) -> None:
        ahead = list(reversed(path))
        links = 0
        while ahead:
            name = ahead.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                self._go_up()
                continue
            target = self._step(name)
            if target is None:
                continue
            links += 1
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if target.startswith(b"/"):
                ahead.extend(reversed(self._beneath.within(target)))
                self.close()
            else:
                ahead.extend(reversed(target.split(b"/")))

    def _step(self, name: bytes) -> bytes | None:
        """Go to what is here by this name; stays where it is a link, and gives its target."""
        self._opened += 1
        if self._opened > _MOST_OPENED:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        descriptor = os.open(name, _PATH, dir_fd=self.descriptor)
        try:
            is_link = stat.S_ISLNK(os.fstat(descriptor).st_mode)
            target = os.readlink(b"", dir_fd=descriptor) if is_link else None
        except BaseException:
            os.close(descriptor)
            raise
        if target is None:
            self.enter(descriptor, name)
        else:
            os.close(descriptor)
        return target

    def _go_up(self) -> None:
        """Go to the directory this one was reached by: down again from the root.

        Never by the system's ``..``: a directory that was moved meanwhile has another one.
        """
        if not self._names:
            raise OutsideError
        names = self._names[:-1]
        self.close()
        for name in names:
            if self._step(name) is not None:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
