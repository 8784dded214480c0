"""A probe uses a directory for real, says which step failed and why, and leaves nothing."""

import contextlib
import errno
import os
import resource
import subprocess
from collections.abc import Iterator

import pytest

from services.path.filesystem import Probe
from services.path.local import beneath, probing
from services.path.local.workers import AbandonedError
from tests.unit.path.conftest import ID, Disk


def probe(disk: Disk, name: bytes = b"workspace", size: int = 4096) -> Probe:
    """Test a directory; nothing may be left of it."""
    with beneath.root(disk.instances, ID) as root:
        found = probing.probe(root, name, size, lambda: None)
    assert left(disk) == []
    return found


def left(disk: Disk) -> list[str]:
    return [each.name for each in disk.root.rglob("*") if each.is_file()]


@contextlib.contextmanager
def mounted(disk: Disk, *options: str) -> Iterator[None]:
    """Put a file system of one megabyte where the workspace is."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system to fill")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk.workspace],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        if options:
            subprocess.run(["mount", "-o", ",".join(options), disk.workspace], check=True)
        yield
    finally:
        subprocess.run(["umount", disk.workspace], check=True)


@pytest.mark.parametrize("size", [1, 4096, 3 * 1024**2 + 1])
def test_all_is_well(disk: Disk, size: int) -> None:
    """Of any size: both times and what is free are told."""
    found = probe(disk, size=size)
    assert (found.failed_step, found.reason) == ("", "")
    assert found.write_seconds > 0
    assert found.read_seconds > 0
    status = os.statvfs(disk.workspace)
    assert abs(found.free_bytes - status.f_bavail * status.f_frsize) < 10 * 1024**3


def test_full_disk(disk: Disk) -> None:
    """A disk that fills up while it is written to."""
    with mounted(disk):
        found = probe(disk, size=2 * 1024**2)
        assert found.failed_step == "write"
        assert found.reason == "the disk is full (ENOSPC)"
        assert found.free_bytes == 1024**2
        assert probe(disk, size=1000).failed_step == ""


def test_read_only(disk: Disk) -> None:
    """A file system nobody may write to."""
    with mounted(disk, "remount", "ro"):
        found = probe(disk)
    assert (found.failed_step, found.reason) == (
        "create",
        "the file system is read-only (EROFS)",
    )


def test_file_too_large(disk: Disk) -> None:
    """A limit on the size of files, met in the middle of writing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        found = probe(disk, size=20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (found.failed_step, found.reason) == ("write", "the file would be too large (EFBIG)")


def test_no_permission(common_disk: Disk) -> None:
    """Directories that may not be written to, or not even be read."""
    common_disk.workspace.chmod(0o500)
    found = probe(common_disk)
    assert (found.failed_step, found.reason) == ("create", "permission denied (EACCES)")
    common_disk.workspace.chmod(0o000)
    found = probe(common_disk)
    assert (found.failed_step, found.reason) == ("open", "permission denied (EACCES)")


def test_missing_linked_or_a_file(disk: Disk) -> None:
    """What is no directory cannot be opened as one."""
    (disk.root / "temp").rmdir()
    assert probe(disk, b"temp").reason == "does not exist (ENOENT)"
    (disk.root / "temp").symlink_to(disk.outside)
    assert probe(disk, b"temp").failed_step == "open"
    assert [each.name for each in disk.outside.iterdir()] == ["secret"]
    (disk.root / "temp").unlink()
    os.mkfifo(disk.root / "temp")
    assert probe(disk, b"temp").reason == "not a directory (ENOTDIR)"


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_given_up(disk: Disk, number: int) -> None:
    """Whichever step it is given up at, nothing is left."""
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks == number:
            assert len(left(disk)) == 1
            raise AbandonedError

    with beneath.root(disk.instances, ID) as root, pytest.raises(AbandonedError):
        probing.probe(root, b"workspace", 2 * 1024**2, check)
    assert left(disk) == []


def test_a_directory_removed_meanwhile(disk: Disk) -> None:
    """A directory that goes away under the probe is a failed step, not a fault of ours."""
    with beneath.root(disk.instances, ID) as root:
        directory = beneath.open_directories(root, (b"temp",))
        try:
            (disk.root / "temp").rmdir()
            found = probing._test(directory, b"x", lambda: None)
        finally:
            os.close(directory)
    assert (found.failed_step, found.reason) == ("create", "does not exist (ENOENT)")


def test_what_no_test_can_provoke(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails to sync, and one that gives back something else."""
    real = os.read

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        found = probe(disk)
    assert (found.failed_step, found.reason) == ("sync", "the disk reports an error (EIO)")
    with monkeypatch.context() as patch:
        patch.setattr(os, "read", lambda file, size: real(file, size)[:-1] + b"!")
        found = probe(disk, size=16)
    assert found.failed_step == "compare"
    assert found.write_seconds > 0
