import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.resource.runtimes.local.directories import NAMES, InstanceRoot


@pytest.fixture
def root(tmp_path: Path) -> InstanceRoot:
    return InstanceRoot(tmp_path / "data")


def test_directories_are_the_owners_alone(root: InstanceRoot) -> None:
    """All five are made with mode 0700, and making them again changes nothing."""
    blue = root.of("blue")
    blue.create()
    (blue.workspace / "file").write_text("kept")
    blue.create()
    assert blue.exist()
    assert all((blue.root / name).stat().st_mode & 0o777 == 0o700 for name in NAMES)
    assert (blue.workspace / "file").read_text() == "kept"


def test_removing_follows_no_symlink(root: InstanceRoot, tmp_path: Path) -> None:
    """What a workspace's symlinks point at outlives the instance."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    blue = root.of("blue")
    blue.create()
    (blue.workspace / "link").symlink_to(outside, target_is_directory=True)
    (blue.workspace / "file").symlink_to(outside / "precious")
    assert root.discard("blue")
    root.empty_trash()
    assert not blue.root.exists()
    assert (outside / "precious").read_text() == "mine"


def test_an_instance_that_is_a_symlink_is_only_unlinked(root: InstanceRoot, tmp_path: Path) -> None:
    """Even the instance's own directory is not followed where somebody replaced it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    root.of("green").create()
    root.of("blue").root.symlink_to(outside, target_is_directory=True)
    assert root.discard("blue")
    root.empty_trash()
    assert (outside / "precious").read_text() == "mine"
    assert root.of("green").exist()


def _dig(place: Path, depth: int) -> int:
    """Make a directory in a directory in a directory; give the last of them, open."""
    directory = os.open(place, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=directory)
        inner = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = inner
    return directory


def test_removing_a_very_deep_tree(root: InstanceRoot) -> None:
    """Depth beyond every limit on paths, recursion and open files does not stop a removal."""
    blue = root.of("blue")
    blue.create()
    os.close(_dig(blue.workspace, 3000))
    root.discard("blue")
    root.empty_trash()
    assert list(root.of(".trash").root.iterdir()) == []


def test_removing_what_its_owner_write_protected(root: InstanceRoot) -> None:
    """Read-only trees, as Go's module cache is, are removed too."""
    blue = root.of("blue")
    blue.create()
    inner = blue.workspace / "mod" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    inner.chmod(0o500)
    (blue.workspace / "mod").chmod(0o000)
    root.discard("blue")
    root.empty_trash()
    assert list(root.of(".trash").root.iterdir()) == []


def test_discarding_twice_is_quiet(root: InstanceRoot) -> None:
    """There is nothing left the second time."""
    root.of("blue").create()
    assert root.discard("blue")
    assert not root.discard("blue")


def test_opening_takes_no_detour(root: InstanceRoot, tmp_path: Path) -> None:
    """A file that a developer's symlink leads to is not opened."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "editor.log").write_text("key")
    blue = root.of("blue")
    blue.create()
    (blue.logs / "editor.log").symlink_to(secret / "editor.log")
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is looked at
        blue.open_beneath("logs", "editor.log", flags=os.O_RDONLY)
    assert caught.value.errno == errno.ELOOP
    blue.logs.joinpath("editor.log").unlink()
    blue.logs.rmdir()
    blue.logs.symlink_to(secret)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        blue.open_beneath("logs", "editor.log", flags=os.O_RDONLY)
    assert caught.value.errno in {errno.ELOOP, errno.ENOTDIR}


def test_opening_a_pipe_does_not_hang(root: InstanceRoot) -> None:
    """A FIFO in place of a file is refused at once."""
    blue = root.of("blue")
    blue.create()
    os.mkfifo(blue.logs / "editor.log")
    with pytest.raises(ValueError, match="no regular file"):
        blue.open_beneath("logs", "editor.log", flags=os.O_RDONLY)


def test_size_counts_linked_files_once(root: InstanceRoot, tmp_path: Path) -> None:
    """A file with two names is on disk once, and what symlinks point at is not the instance's."""
    blue = root.of("blue")
    blue.create()
    empty = sum(blue.walk())
    (blue.workspace / "big").write_bytes(b"x" * 2**20)
    os.link(blue.workspace / "big", blue.workspace / "again")
    (tmp_path / "outside").write_bytes(b"x" * 2**22)
    (blue.workspace / "link").symlink_to(tmp_path / "outside")
    assert 2**20 <= sum(blue.walk()) - empty < 2**20 + 2**16


@pytest.fixture
def _few_files() -> Iterator[None]:
    """Let no more than some files be open at a time."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("_few_files")
def test_the_size_of_a_very_deep_tree(root: InstanceRoot) -> None:
    """Depth hides nothing, also what comes after it, and keeps few files open."""
    blue = root.of("blue")
    blue.create()
    # Whichever is looked into first, the other is found on the way back.
    for name in ("one", "two"):
        (blue.workspace / name).mkdir()
        bottom = _dig(blue.workspace / name, 100)
        for side in ("left", "right"):
            os.mkdir(side, dir_fd=bottom)
            inner = os.open(side, os.O_RDONLY, dir_fd=bottom)
            for _ in range(1450):
                os.mkdir("d", dir_fd=inner)
                deeper = os.open("d", os.O_RDONLY, dir_fd=inner)
                os.close(inner)
                inner = deeper
            file = os.open("big", os.O_WRONLY | os.O_CREAT, dir_fd=inner)
            os.write(file, b"x" * 2**24)
            os.close(file)
            os.close(inner)
        os.close(bottom)
    try:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        assert sum(blue.walk()) >= 2**26
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    finally:
        # pytest cannot remove it.
        root.discard("blue")
        root.empty_trash()


def test_size_follows_no_directory_that_became_a_symlink(
    root: InstanceRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is exchanged after it was seen, and before it is looked into, is left alone."""
    blue = root.of("blue")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(b"x" * 2**22)
    blue.create()
    others = {"one": "two", "two": "one"}
    for name in others:
        (blue.workspace / name).mkdir()
        (blue.workspace / name / f"in-{name}").touch()
    exchanged = []
    scandir = os.scandir

    def scan(place: int | str) -> object:
        for name in os.listdir(place):  # noqa: PTH208
            if name.startswith("in-") and not exchanged:
                other = blue.workspace / others[name.removeprefix("in-")]
                other.rename(blue.temp / "moved")
                other.symlink_to(outside, target_is_directory=True)
                exchanged.append(other)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", scan)
    assert sum(blue.walk()) < 2**20
    assert exchanged
    monkeypatch.undo()
    blue.root.rename(tmp_path / "elsewhere")
    blue.root.symlink_to(outside, target_is_directory=True)
    assert sum(blue.walk()) == 0
