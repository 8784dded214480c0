"""What is told of workloads, and what of it is kept."""

import asyncio
import threading
from pathlib import Path
from unittest import mock

from services.resource.runtimes.local.records import Record, Records
from services.resource.runtimes.local.state import State
from services.resource.workload import Phase, Workload

STARTING = Record(Workload("ada", Phase.STARTING))
READY = Record(Workload("ada", Phase.READY))
STOPPING = Record(Workload("ada", Phase.STOPPING))


class SlowDisk:
    """Holds the next save up until it is let go."""

    def __init__(self, files: Records) -> None:
        self.reached = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._go = threading.Event()
        self._save = files.save

    def save(self, record: Record) -> None:
        self._loop.call_soon_threadsafe(self.reached.set)
        assert self._go.wait(10)
        self._save(record)

    def let_go(self) -> None:
        self._go.set()


def kept(root: Path) -> Phase:
    """Read what our next life would."""
    return Records(root).load()["ada"].workload.phase


async def make(root: Path) -> State:
    """Make a state with one workload that is kept."""
    state = State(root)
    (root / "workloads").mkdir()
    state.put(STARTING)
    await state.save("ada")
    return state


async def test_what_is_to_last_is_kept_before_anybody_sees_it(tmp_path: Path) -> None:
    """Neither who asks nor who watches sees what a crash would take back."""
    state = await make(tmp_path)
    disk = SlowDisk(state.files)
    with mock.patch.object(state.files, "save", disk.save), state.changes.watch() as watcher:
        putting = asyncio.create_task(state.put_lasting(READY))
        await disk.reached.wait()
        assert state.get("ada") is STARTING
        assert not await watcher.wait(0.01)
        disk.let_go()
        assert await putting
        assert state.get("ada") is READY
        assert await watcher.wait(1) == ["ada"]
    assert kept(tmp_path) is Phase.READY


async def test_what_is_to_last_gives_way(tmp_path: Path) -> None:
    """A stop that comes meanwhile is not overwritten, in memory or on disk."""
    state = await make(tmp_path)
    disk = SlowDisk(state.files)
    with mock.patch.object(state.files, "save", disk.save):
        putting = asyncio.create_task(state.put_lasting(READY))
        await disk.reached.wait()
        state.put(STOPPING)
        disk.let_go()
        assert not await putting
    assert state.get("ada") is STOPPING
    assert kept(tmp_path) is Phase.STOPPING
