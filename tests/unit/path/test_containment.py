"""No path leads outside an instance: written, linked, or exchanged while it is followed."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.path import names
from services.path.local import beneath, inspection, probing, walking
from tests.unit.path.conftest import ID, Disk, make, open_files

_PARTS = st.sampled_from(["a", "b", "c", "..", ".", "secret", "workspace", "fox", "outside"])
_RELATIVE = st.lists(_PARTS, min_size=1, max_size=6).map("/".join)


def _targets(disk: Disk) -> st.SearchStrategy[str]:
    starts = [str(disk.root), str(disk.instances), str(disk.outside), "/", "/proc/self/cwd"]
    absolute = st.tuples(st.sampled_from(starts), _RELATIVE).map("/".join)
    return _RELATIVE | absolute | st.sampled_from(starts)


def _is_inside(disk: Disk, place: str) -> bool:
    root = str(disk.root.resolve())
    return place == root or place.startswith(root + "/")


@settings(max_examples=300)
@given(data=st.data())
def test_links_however_made(data: st.DataObject) -> None:
    """Of any links: what is inside is found as the system finds it; nothing outside is."""
    with tempfile.TemporaryDirectory() as directory:
        disk = make(Path(directory))
        for folder in ("a", "b", "a/b"):
            (disk.workspace / folder).mkdir()
        (disk.workspace / "a/secret").write_text("mine")
        for _ in range(data.draw(st.integers(1, 5))):
            place = disk.root / data.draw(st.sampled_from(["c", "workspace/c", "workspace/a/c"]))
            with contextlib.suppress(FileExistsError):
                place.symlink_to(data.draw(_targets(disk)))
        path = data.draw(_RELATIVE)
        try:
            parts = names.relative(path)
        except names.BadPathError:
            return
        with beneath.root(disk.instances, ID) as root:
            finding = inspection.inspect(root, parts)
        # As a path the system follows; a way that leaves and comes back is one that leaves.
        whole = disk.root.joinpath(*map(os.fsdecode, parts))
        if finding.exists:
            assert _is_inside(disk, str(whole.resolve(strict=True)))
        elif whole.exists() and _stays_inside(disk, parts):
            pytest.fail(f"{path} exists and was not found: {finding.reason}")


def _stays_inside(disk: Disk, parts: tuple[bytes, ...]) -> bool:
    """Follow a path one link after the other, as POSIX says; whether it never leaves."""
    here, ahead, links = disk.root.resolve(), [os.fsdecode(one) for one in reversed(parts)], 0
    while ahead:
        name = ahead.pop()
        step = here.parent if name == ".." else here / name
        if step.is_symlink():
            links += 1
            target = str(step.readlink())
            if links > 40:
                return False
            if target.startswith("/"):
                if not _is_inside(disk, "/".join(target.split("/")[: len(disk.root.parts)])):
                    return False
                ahead.extend(reversed(target.split("/")[len(disk.root.parts) :]))
                here = disk.root.resolve()
            else:
                ahead.extend(reversed(target.split("/")))
            continue
        here = step if name not in ("", ".") else here
        if not _is_inside(disk, str(here)):
            return False
    return True


@pytest.mark.parametrize(
    ("target", "exists"),
    [
        ("../../../outside/secret", False),
        ("/etc/passwd", False),
        ("/proc/self/root/etc/passwd", False),
        ("loop", False),
        ("file", True),
        ("../workspace/file", True),
        ("{root}/workspace/file", True),
        ("{root}/../../outside", False),
        ("{root}-other/workspace", False),
    ],
)
def test_single_links(disk: Disk, target: str, exists: bool) -> None:
    """One link of each kind, and its own name in the listing."""
    (disk.workspace / "file").write_text("x")
    (disk.instances / f"{ID}-other" / "workspace").mkdir(parents=True)
    (disk.workspace / "loop").symlink_to(target.format(root=disk.root))
    with beneath.root(disk.instances, ID) as root:
        assert inspection.inspect(root, (b"workspace", b"loop")).exists is exists
    (link,) = [each for each in disk.walk() if each.path == (b"loop",)]
    assert link.kind is walking.Kind.SYMLINK
    assert link.link_target.decode() == target.format(root=disk.root)
    assert link.link_outside == (not exists and target != "loop")


def test_an_instance_that_is_a_link(disk: Disk) -> None:
    """A link in place of an instance's own directory is no instance."""
    (disk.instances / "owl").symlink_to(disk.root)
    with pytest.raises(NotADirectoryError), beneath.root(disk.instances, "owl"):
        pass


def test_links_made_to_keep_us_busy(disk: Disk) -> None:
    """Links that go up and down without end are given up, soon."""
    folder = disk.workspace
    for _ in range(100):
        folder /= "d"
        folder.mkdir()
    target = "d/" * 100 + "../" * 100
    for number in range(40):
        (disk.workspace / f"l{number}").symlink_to((target + f"l{number + 1}/")[:4095])
    with beneath.root(disk.instances, ID) as root:
        finding = inspection.inspect(root, (b"workspace", b"l0"))
    assert not finding.exists
    assert "circles" in finding.reason


def test_a_device_is_never_opened(disk: Disk) -> None:
    """A pipe nobody writes to neither blocks us nor is read."""
    os.mkfifo(disk.workspace / "pipe")
    os.mkfifo(disk.workspace / ".gitignore")
    with beneath.root(disk.instances, ID) as root:
        assert inspection.inspect(root, (b"workspace", b"pipe")).exists
    assert [each.kind for each in disk.walk()] == [walking.Kind.OTHER] * 2


_SWAP = """
import ctypes, select, sys
libc = ctypes.CDLL(None, use_errno=True)
here, there = (name.encode() for name in sys.argv[1:])
EXCHANGE, AT_FDCWD = 2, -100
count = 0
print("swapping", flush=True)
while count % 100 or not select.select([sys.stdin], [], [], 0)[0]:
    if libc.renameat2(AT_FDCWD, here, AT_FDCWD, there, EXCHANGE):
        sys.exit(f"errno {ctypes.get_errno()}")
    count += 1
print(count)
"""


@contextlib.contextmanager
def swapping(place: Path, target: Path) -> Iterator[None]:
    """Exchange a directory for a link, in one step and back again, as fast as a process can."""
    link = place.with_name("link")
    link.symlink_to(target)
    swapper = subprocess.Popen(
        [sys.executable, "-c", _SWAP, place, link],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert swapper.stdout is not None
    try:
        assert swapper.stdout.readline() == "swapping\n"
        yield
    finally:
        told, _ = swapper.communicate("enough", timeout=10)
        if place.is_symlink():
            link.rename(place.with_name("real"))
            place.unlink()
            place.with_name("real").rename(place)
        else:
            link.unlink()
    assert int(told) > 1000


def _often(work: Callable[[], None]) -> None:
    """Work on for long enough to be met by the exchange between any two lines, many times."""
    until = time.monotonic() + 2
    while time.monotonic() < until:
        work()


def test_swapped_while_looked_at(disk: Disk) -> None:
    """A directory exchanged for a link outside is seen as the one or as nothing."""
    (disk.workspace / "d").mkdir()
    (disk.outside / "only-outside").mkdir()
    seen: set[bool] = set()
    with swapping(disk.workspace / "d", disk.outside), beneath.root(disk.instances, ID) as root:
        _often(
            lambda: seen.update(
                inspection.inspect(root, (b"workspace", b"d", name)).exists
                for name in (b"secret", b"only-outside")
            )
        )
    assert seen == {False}


def test_swapped_while_listed(disk: Disk) -> None:
    """Nothing outside is ever listed, by way of a directory that becomes a link, at any depth."""
    (disk.workspace / "d" / "e").mkdir(parents=True)
    (disk.workspace / "d" / "e" / "inside").touch()
    (disk.outside / "e").mkdir()
    (disk.outside / "e" / "secret2").touch()
    seen: set[str] = set()
    with swapping(disk.workspace / "d", disk.outside):
        _often(lambda: seen.update(disk.listed(limit=1)))
    assert not {each for each in seen if "secret" in each}
    assert "d/e/inside" in seen


def test_begun_at_what_is_swapped(disk: Disk) -> None:
    """The directory a listing begins at is no link either."""
    (disk.workspace / "d" / "e").mkdir(parents=True)
    (disk.outside / "e").mkdir()
    (disk.outside / "e" / "secret2").touch()
    seen: set[str] = set()

    def look() -> None:
        with contextlib.suppress(OSError):
            seen.update(disk.listed(path=(b"d", b"e")))

    with swapping(disk.workspace / "d", disk.outside):
        _often(look)
    assert seen == set()


def test_swapped_while_probed(disk: Disk) -> None:
    """A probe is never written through a link, and none is left behind."""
    outcomes: set[str] = set()
    before = disk.outside.stat().st_mtime_ns

    def test() -> None:
        with beneath.root(disk.instances, ID) as root:
            outcomes.add(probing.probe(root, b"temp", 10, lambda: None).failed_step)

    with swapping(disk.root / "temp", disk.outside):
        _often(test)
    # A file that was there for a moment only leaves its mark in the time.
    assert disk.outside.stat().st_mtime_ns == before
    assert outcomes == {"", "open"}
    left = [each for each in disk.root.rglob("*") if each.name.startswith(probing.PREFIX)]
    assert left == []


def test_a_directory_moved_out_meanwhile(disk: Disk) -> None:
    """The way up from a directory that was moved outside does not lead to where it went."""
    (disk.workspace / "d").mkdir()
    (disk.workspace / "up").symlink_to("d/../../../../outside/secret")
    (disk.workspace / "out").symlink_to("d/../secret")
    away = disk.outside / "moved"
    ended = threading.Event()

    def move() -> None:
        while not ended.is_set():
            (disk.workspace / "d").rename(away)
            away.rename(disk.workspace / "d")

    thread = threading.Thread(target=move)
    thread.start()
    try:
        with beneath.root(disk.instances, ID) as root:
            for _ in range(3000):
                # By the system's own "..", the second would be the secret outside.
                for name in (b"up", b"out"):
                    assert not inspection.inspect(root, (b"workspace", name)).exists
    finally:
        ended.set()
        thread.join()


def test_no_descriptor_is_left_open(disk: Disk) -> None:
    """Whatever was refused, all that was opened is closed again."""
    (disk.workspace / "a" / "b").mkdir(parents=True)
    (disk.workspace / "a" / "up").symlink_to("../../../..")
    (disk.workspace / "a" / "in").symlink_to("b/../../a")
    before = open_files()
    with beneath.root(disk.instances, ID) as root:
        for path in ("a/up", "a/in", "a/in/up", "a/b/x", "none"):
            inspection.inspect(root, (b"workspace", *names.relative(path)))
    disk.walk(limit=1)
    with contextlib.suppress(OSError):
        disk.walk(path=(b"none", b"x"))
    assert open_files() == before
    shutil.rmtree(disk.workspace)
    with pytest.raises(FileNotFoundError):
        disk.walk()
    assert open_files() == before
