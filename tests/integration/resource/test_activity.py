"""What counts as use of an instance, and what its owner cannot make us take for it."""

import asyncio
import contextlib
import datetime
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from services.chassis import clock
from services.resource.runtimes.local import LocalRuntime
from services.resource.runtimes.local.activity import Thresholds
from services.resource.workload import Activity, Phase
from tests.integration.resource import rig

THRESHOLDS = Thresholds(cores=0.5, editor_cores=0.5, stretch=0.2, longest_gap=60)
BUSY = ("-c", "while True: pass")
ASLEEP = ("-c", "import time; time.sleep(600)")


@pytest.fixture
async def blue(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> AsyncIterator[LocalRuntime]:
    """Run a runtime with one instance, blue, that was looked at once."""
    data = tmp_path / "data"
    async with rig.running(data, tiny, stack_id, stop_grace=1, thresholds=THRESHOLDS) as runtime:
        await runtime.apply(rig.spec("blue", port_base))
        await rig.reach(runtime, "blue", Phase.READY)
        await runtime.measure()
        yield runtime


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give where blue's editor tells of input."""
    return tmp_path / "data" / "instances" / "blue" / "user-data" / "activity"


@contextlib.contextmanager
def terminal(stack_id: str, *words: str) -> Iterator[int]:
    """Run a Python of blue's with some arguments; gives its pid."""
    (root,) = rig.roots(stack_id)
    environment = {"CODESTUDIO_WORKLOAD": f"{stack_id}/blue/{root.pid}"}
    with subprocess.Popen(
        (sys.executable, *words), env=environment, start_new_session=True
    ) as process:
        try:
            yield process.pid
        finally:
            process.kill()


async def looked(runtime: LocalRuntime) -> Activity:
    """Look once more, a stretch after the last time."""
    await asyncio.sleep(THRESHOLDS.stretch * 1.5)
    await runtime.measure()
    activity = runtime.activity("blue")
    assert activity is not None
    return activity


async def seen(runtime: LocalRuntime, what: Callable[[Activity], object]) -> Activity:
    """Look again and again until something is seen."""
    async with asyncio.timeout(20):
        while not what(activity := await looked(runtime)):
            pass
    return activity


def touch(path: Path, seconds: float) -> None:
    """Have a file modified at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (seconds, seconds))


def play(trick: str, place: Path, tmp_path: Path) -> None:
    """Put something in the place of the file."""
    elsewhere = tmp_path / "elsewhere"
    touch(elsewhere / "activity" / "input", time.time())
    match trick:
        case "file":
            place.mkdir()
            (place / "input").symlink_to(elsewhere / "activity" / "input")
        case "directory":
            place.symlink_to(elsewhere / "activity")
        case "above":
            place.parent.rename(tmp_path / "moved")
            place.parent.symlink_to(elsewhere)
        case "fifo":
            place.mkdir()
            os.mkfifo(place / "input")


async def test_a_busy_process_is_use_and_a_sleeping_one_is_not(
    blue: LocalRuntime, stack_id: str
) -> None:
    """By what the processes do, not by their being there."""
    with terminal(stack_id, *ASLEEP):
        await looked(blue)  # it starts, which takes time
        for _ in range(3):
            assert (await looked(blue)).last_busy is None
    with terminal(stack_id, *BUSY):
        began = clock.now()
        activity = await seen(blue, lambda one: one.last_busy)
    assert activity.last_busy is not None
    assert activity.last_busy >= began
    ended = (await looked(blue)).last_busy
    assert (await looked(blue)).last_busy == ended


async def test_work_of_children_that_came_and_went_is_use(
    blue: LocalRuntime, stack_id: str
) -> None:
    """A build is many short processes, of which none may be there when we look."""
    build = "import subprocess\nwhile True: subprocess.run(['/bin/true'])"
    with terminal(stack_id, "-c", build):
        await seen(blue, lambda one: one.last_busy)


async def test_the_editors_own_work_is_none(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """An open tab keeps it at work; only what it does beyond that counts."""
    for most, is_use in ((10.0, False), (0.1, True)):
        thresholds = Thresholds(cores=0.3, editor_cores=most, stretch=0.2)
        data = tmp_path / str(most)
        async with rig.running(data, tiny, stack_id, thresholds=thresholds) as runtime:
            await runtime.apply(rig.spec("blue", port_base))
            await rig.reach(runtime, "blue", Phase.READY)
            await runtime.measure()
            with terminal(stack_id, *BUSY, "/out/bootstrap-fork"):
                if is_use:
                    await seen(runtime, lambda one: one.last_busy)
                else:
                    await looked(runtime)
                    for _ in range(3):
                        assert (await looked(runtime)).last_busy is None
            await runtime.stop("blue")


async def test_input_is_when_it_was(blue: LocalRuntime, place: Path) -> None:
    """The time is the editor's, not that of our look."""
    at = time.time() - 3600
    touch(place / "input", at)
    activity = await looked(blue)
    assert activity.last_input is not None
    assert abs(activity.last_input.timestamp() - at) < 0.001


async def test_a_time_to_come_is_input_once(blue: LocalRuntime, place: Path) -> None:
    """Nobody is at work for ever because of one wrong time."""
    touch(place / "input", time.time() + 10**8)
    first = await looked(blue)
    assert first.last_input is not None
    assert first.last_input <= clock.now()
    assert (await looked(blue)).last_input == first.last_input


@pytest.mark.parametrize("trick", ["file", "directory", "fifo", "above"])
async def test_nothing_outside_the_instance_is_looked_at(
    blue: LocalRuntime, place: Path, tmp_path: Path, trick: str
) -> None:
    """Whatever its owner puts in the place of the file, nothing is followed and nothing hangs."""
    play(trick, place, tmp_path)
    assert (await looked(blue)).last_input is None


async def test_the_clock_restarts_with_the_runtime(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """What happened while it was away may not have been seen."""
    data = tmp_path / "data"
    async with rig.running(data, tiny, stack_id) as runtime:
        await runtime.apply(rig.spec("blue", port_base))
        await rig.reach(runtime, "blue", Phase.READY)
        await runtime.measure()
        assert runtime.activity("blue") is not None
    began = clock.now()
    async with rig.running(data, tiny, stack_id) as runtime:
        assert runtime.activity("blue") is None
        await runtime.measure()
        activity = runtime.activity("blue")
        assert activity is not None
        assert activity.observed_since >= began


async def test_the_clock_restarts_after_a_gap(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """The machine slept: nobody could have used it."""
    gap = Thresholds(longest_gap=3.0)
    async with rig.running(tmp_path / "data", tiny, stack_id, thresholds=gap) as runtime:
        await runtime.apply(rig.spec("blue", port_base))
        await rig.reach(runtime, "blue", Phase.READY)
        await runtime.measure()
        first = await looked(runtime)
        assert (await looked(runtime)).observed_since == first.observed_since
        await asyncio.sleep(3.1)
        assert (await looked(runtime)).observed_since > first.observed_since


async def test_an_editor_that_cannot_be_seen_stops_the_clock(
    blue: LocalRuntime, place: Path, stack_id: str
) -> None:
    """While an extension host runs without our extension, nobody is idle; one that tells is."""
    with terminal(stack_id, *ASLEEP, "--type=extensionHost") as pid:
        blind = await seen(
            blue, lambda one: clock.now() - one.observed_since < datetime.timedelta(seconds=0.2)
        )
        assert (await looked(blue)).observed_since > blind.observed_since
        touch(place / f"host-{pid}", time.time())
        told = await looked(blue)
        assert (await looked(blue)).observed_since == told.observed_since
        # Of an earlier host that had the same pid.
        touch(place / f"host-{pid}", time.time() - 3600)
        assert (await looked(blue)).observed_since > told.observed_since


async def test_what_was_not_reported_yet_is_not_known(blue: LocalRuntime) -> None:
    """The extension reports at most every few seconds: the last ones are open."""
    activity = await looked(blue)
    assert clock.now() - activity.observed_at > datetime.timedelta(seconds=5)


async def test_a_watch_is_told_when_something_was_seen(blue: LocalRuntime, place: Path) -> None:
    """Not of every look."""
    blue.announce_activity()
    with blue.changes.watch() as watcher:
        await looked(blue)
        blue.announce_activity()
        assert await watcher.wait(0.05) == []
        touch(place / "input", time.time())
        await looked(blue)
        assert await watcher.wait(0.05) == []
        blue.announce_activity()
        assert await watcher.wait(0.05) == ["blue"]
