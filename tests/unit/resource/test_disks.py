"""How often the disk of an instance is looked at, and that no walk holds up another."""

import asyncio
import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from services.resource.runtimes.local import disks, sizes
from services.resource.runtimes.local.directories import Directories, InstanceRoot
from tests import counted

MIB = 2**20


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> disks.Disks:
    """Look once in a long while, unless there is a reason."""
    monkeypatch.setattr(disks, "_EVERY", 1e9)
    for name in ("_NEAR_EVERY", "_NEAR_SHARE", "_HURRIED_EVERY", "_HURRIED_SHARE"):
        monkeypatch.setattr(disks, name, 0)
    root = InstanceRoot(tmp_path)
    for name in ("blue", "red"):
        root.of(name).create()
    return disks.Disks(root)


def write(tmp_path: Path, size: int) -> None:
    (tmp_path / "instances/red/workspace" / f"file-{size}").write_bytes(os.urandom(size))


def size(known: disks.Disks, *, limit: int = 0, hurried: bool = False) -> int:
    """Ask, let what is due be looked at, and give what is known then."""
    known.used("red", limit=limit, hurried=hurried)
    while known.turn():
        pass
    found = known.used("red")
    assert found.at is not None
    return found.size


def test_without_a_reason_it_is_remembered(known: disks.Disks, tmp_path: Path) -> None:
    """A walk is not repeated soon, however often somebody asks."""
    before = size(known, limit=1024 * MIB)
    write(tmp_path, MIB)
    assert size(known, limit=1024 * MIB) == before


def test_near_its_limit_or_waited_for_it_is_looked_at(known: disks.Disks, tmp_path: Path) -> None:
    """Close to the limit, and while writes are stopped, changes are seen soon."""
    write(tmp_path, 9 * MIB + MIB // 2)
    assert size(known, limit=10 * MIB) < 10 * MIB
    write(tmp_path, MIB)
    assert size(known, limit=10 * MIB) > 10 * MIB
    write(tmp_path, 2 * MIB)
    assert size(known, hurried=True) > 12 * MIB


def test_a_file_system_that_fills_is_a_reason(
    known: disks.Disks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So much written anywhere that it may have been this instance is looked into."""
    free = [1000 * MIB]
    monkeypatch.setattr(InstanceRoot, "free", lambda _: free[0])
    size(known, limit=10 * MIB)
    write(tmp_path, 6 * MIB)
    free[0] -= 3 * MIB
    assert size(known, limit=10 * MIB) < MIB
    free[0] -= 3 * MIB
    assert size(known, limit=10 * MIB) > 6 * MIB


class Huge:
    """Makes blue's tree one that is walked for ever."""

    def __init__(self) -> None:
        self.begun = self.closed = 0

    def walk(self, directories: Directories) -> Generator[int]:
        if directories.root.name != "blue":
            yield from _WALK(directories)
            return
        self.begun += 1
        try:
            while True:
                time.sleep(0.01)
                yield 512
        finally:
            self.closed += 1


_WALK = Directories.walk


@pytest.fixture
def huge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Huge]:
    found = Huge()
    monkeypatch.setattr(Directories, "walk", lambda directories: found.walk(directories))
    yield found
    assert found.closed == found.begun > 0, "its directories were left open"


@pytest.mark.usefixtures("huge")
async def test_walks_take_turns(known: disks.Disks) -> None:
    """A tree that is walked for ever holds up no other, tells what it has so far, and ends."""
    walking = asyncio.create_task(known.run())
    try:
        known.used("blue")
        async with asyncio.timeout(30):
            while not known.used("blue").size:
                await asyncio.sleep(0.01)
            await known.wait_known(["red"], 30)
        assert known.used("red").at is not None
        assert known.used("blue").at is None
    finally:
        walking.cancel()
        await asyncio.wait([walking])
    assert walking.cancelled()


def test_the_next_of_its_name_has_a_walk_of_its_own(known: disks.Disks, huge: Huge) -> None:
    """What was counted of an instance that is gone is nobody's."""
    known.used("blue")
    known.turn()
    assert known.used("blue").size > 0
    known.forget("blue")
    known.turn()
    assert huge.closed == huge.begun == 1
    assert known.used("blue") == disks.Found(0, None)
    known.forget("blue")


@pytest.mark.usefixtures("huge")
async def test_who_waits_for_a_first_look_does_not_wait_for_ever(known: disks.Disks) -> None:
    """An answer comes, if with what was counted so far."""
    walking = asyncio.create_task(known.run())
    try:
        async with asyncio.timeout(30):
            await known.wait_known(["blue"], 0.2)
    finally:
        walking.cancel()
        await asyncio.wait([walking])


def test_a_walk_that_fails_ends_no_other(
    known: disks.Disks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted, what was known stays, and it is not tried again at once."""
    before = size(known)
    monkeypatch.setattr(Directories, "walk", _broken)
    failed = counted.value("codestudio_disk_walks_failed_total")
    known.used("red", hurried=True)
    known.used("blue")
    while known.turn():
        pass
    assert counted.value("codestudio_disk_walks_failed_total") == failed + 2
    assert known.used("red").size == before
    monkeypatch.setattr(Directories, "walk", _WALK)
    known.used("blue")
    assert not known.turn()
    write(tmp_path, MIB)
    assert size(known, hurried=True) > before


def _broken(_: Directories) -> Generator[int]:
    yield 512
    raise KeyError("broken")


def test_directories_that_hold_nothing_are_steps_too(tmp_path: Path) -> None:
    """However many there are, no step lasts: the walks of others come between."""
    for number in range(50):
        (tmp_path / str(number)).mkdir()
    found = list(sizes.walk(os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)))
    assert len(found) > 50
