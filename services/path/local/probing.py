"""Tests a directory by using it: writes, syncs, reads back, compares and removes a file."""

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator

from services.path.filesystem import Probe
from services.path.local import beneath, reasons

PREFIX = ".codestudio-probe-"
"""What the names of probes begin with."""

_CHUNK = 1024 * 1024


class _FailedError(Exception):
    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason


def probe(root: beneath.Root, name: bytes, size: int, check: Callable[[], None]) -> Probe:
    """Test a directory of an instance.

    Args:
        root: The instance's own directory.
        name: The directory in it; never reached by a link.
        size: Bytes to write.
        check: Raises when nobody waits any more; the probe is removed all the same.
    """
    try:
        directory = beneath.open_directories(root, (name,))
    except OSError as error:
        return Probe(failed_step="open", reason=reasons.of(error))
    try:
        return _test(directory, secrets.token_bytes(size), check)
    finally:
        os.close(directory)


def _test(directory: int, content: bytes, check: Callable[[], None]) -> Probe:
    """Do every step; the file lives in `directory`, whatever has its path by now."""
    name = f"{PREFIX}{secrets.token_hex(8)}"
    found = Probe(free_bytes=_free(directory))
    try:
        with _step("create"):
            # New, and no link: what is there already is never written to.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(name, flags, 0o600, dir_fd=directory)
        try:
            _use(found, file, content, check)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=directory)
            raise
        finally:
            os.close(file)
        with _step("remove"):
            os.unlink(name, dir_fd=directory)
    except _FailedError as failed:
        found.failed_step, found.reason = failed.step, failed.reason
    return found


def _use(found: Probe, file: int, content: bytes, check: Callable[[], None]) -> None:
    began = time.perf_counter()
    with _step("write"):
        for start in range(0, len(content), _CHUNK):
            check()
            _write(file, content[start : start + _CHUNK])
    check()
    with _step("sync"):
        os.fsync(file)
    found.write_seconds = time.perf_counter() - began
    # From the disk rather than from memory, as far as the system does us the favour.
    with contextlib.suppress(OSError):
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    check()
    began = time.perf_counter()
    with _step("read"):
        read = _read(file, len(content))
    found.read_seconds = time.perf_counter() - began
    if read != content:
        raise _FailedError("compare", "what was read is not what was written")


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _FailedError(name, reasons.of(error)) from error


def _write(file: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        written = os.write(file, left)
        if not written:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        left = left[written:]


def _read(file: int, size: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    parts = []
    while size:
        part = os.read(file, min(size, _CHUNK))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _free(directory: int) -> int:
    with contextlib.suppress(OSError):
        status = os.fstatvfs(directory)
        return status.f_bavail * status.f_frsize
    return 0
