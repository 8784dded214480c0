"""How much disk instances use: their files are walked in the background, a short turn each.

Some developers have millions of files. Who wants a size is given the one of the newest walk that
has ended, with its age, and waits for none that is under way. Several walks go on at a time and
take turns, so that a huge tree holds up no small one; only one thread ever walks.
"""

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import time
from collections.abc import Collection, Generator, Iterable

import structlog
from prometheus_client import Counter, Histogram

from services.chassis import clock
from services.resource.runtimes.local.directories import InstanceRoot

_log = structlog.get_logger(__name__)

SECONDS = Histogram(
    "codestudio_disk_walk_seconds",
    "Time it took from the beginning of a walk through an instance's files to its end, in seconds.",
    buckets=(0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 1800),
)
FAILED = Counter(
    "codestudio_disk_walks_failed",
    "Walks through an instance's files that ended with an unforeseen error.",
)

_EVERY = 60.0
"""Seconds between two walks through an instance's files, at least."""
_SHARE = 50
"""A walk that took n seconds is repeated after 50 n at the earliest: 2 % of a core, however
many files a developer has."""

_NEAR = 0.9
"""Share of a limit from which on it may soon be passed."""
_NEAR_EVERY = 5.0
_NEAR_SHARE = 20
"""The same where an instance is close to its limit of disk: it will soon be over it."""

_HURRIED_EVERY = 2.0
_HURRIED_SHARE = 10
"""The same where somebody waits for it: writes are stopped until files are removed."""

_TURN = 0.05
"""Seconds a walk goes on before another has its turn, about."""
_AT_ONCE = 8
"""Walks that take turns; each has up to 33 directories open."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What an instance had on disk."""

    size: int
    """Bytes; while the first walk is under way, what it has counted so far."""
    at: datetime.datetime | None
    """When the walk began that found it; None before the first has ended."""


@dataclasses.dataclass(eq=False, slots=True)
class _Disk:
    found: Found = Found(0, None)
    is_pending: bool = False
    """Whether a walk is under way or waits for its turn."""
    walked_at: float = float("-inf")
    took: float = 0.0
    """Seconds the last walk was at work."""
    free: int = 0
    """What was free on its file system then."""


@dataclasses.dataclass(eq=False, slots=True)
class _Walk:
    instance_id: str
    disk: _Disk
    steps: Generator[int]
    at: datetime.datetime
    began: float
    free: int
    size: int = 0
    took: float = 0.0


class Disks:
    """Knows the disk of instances; may be asked by any thread, walks in one."""

    def __init__(self, root: InstanceRoot) -> None:
        """Begin with nothing known."""
        self._root = root
        self._disks: dict[str, _Disk] = {}
        self._due: collections.deque[tuple[str, _Disk]] = collections.deque()
        # Only the thread that walks touches these.
        self._walks: collections.deque[_Walk] = collections.deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked = asyncio.Event()
        self._ended = asyncio.Event()

    def used(self, instance_id: str, *, limit: int = 0, hurried: bool = False) -> Found:
        """Give the disk an instance used at last look, and see that it is looked at again soon.

        Args:
            instance_id: The instance.
            limit: What it may use: it is looked at more often when it may be over that soon, by
                its size or by what was written to the whole file system since. 0 for none.
            hurried: Whether somebody waits for it to shrink.
        """
        disk = self._disks.setdefault(instance_id, _Disk())
        if not disk.is_pending and self._is_due(disk, limit=limit, hurried=hurried):
            disk.is_pending = True
            self._due.append((instance_id, disk))
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # closed: nobody walks any more
                    self._loop.call_soon_threadsafe(self._asked.set)
        return disk.found

    async def wait_known(self, instance_ids: Iterable[str], seconds: float) -> None:
        """Wait until the first walk of each of these has ended, or no longer."""
        wanted = set(instance_ids)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(self.used(name).at is None for name in wanted):
                    self._ended.clear()
                    await self._ended.wait()

    def forget(self, instance_id: str) -> None:
        """Forget an instance that is gone: the next of that name begins with nothing known."""
        self._disks.pop(instance_id, None)

    def keep(self, instance_ids: Collection[str]) -> None:
        """Forget all but these."""
        for name in tuple(self._disks):
            if name not in instance_ids:
                self.forget(name)

    async def run(self) -> None:
        """Walk whenever it is time to, until cancelled."""
        self._loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] | None = None
        try:
            self._asked.set()  # whoever asked before
            while True:
                await self._asked.wait()
                self._asked.clear()
                while self._due or self._walks:
                    turn = asyncio.ensure_future(asyncio.to_thread(self.turn))
                    if await asyncio.shield(turn):
                        self._ended.set()
        finally:
            self._loop = None
            if turn is not None:
                await turn  # is over soon, and no thread may be left that walks
            while self._walks:
                self._drop(self._walks.popleft())

    def turn(self) -> bool:
        """Walk for a moment where any walk is due; whether one ended by that."""
        while self._due and len(self._walks) < _AT_ONCE:
            instance_id, disk = self._due.popleft()
            # Until it has begun: whatever goes wrong, it is asked for again.
            disk.is_pending = False
            self._walks.append(self._begin(instance_id, disk))
            disk.is_pending = True
        if not self._walks:
            return False
        walk = self._walks.popleft()
        if self._disks.get(walk.instance_id) is not walk.disk:  # gone, or another of its name
            self._drop(walk)
            return False
        try:
            is_over = _go_on(walk)
        except Exception:  # noqa: BLE001 - the others' walks go on whatever is wrong with one
            FAILED.inc()
            _log.exception("files were not looked at", instance_id=walk.instance_id)
            # What was found before stays; the next walk has its time, as after any other.
            walk.disk.walked_at = walk.began
            self._drop(walk)
            return True
        if not is_over:
            self._walks.append(walk)
            return False
        SECONDS.observe(time.monotonic() - walk.began)
        disk = walk.disk
        disk.walked_at, disk.took, disk.free = walk.began, walk.took, walk.free
        disk.found = Found(walk.size, walk.at)
        disk.is_pending = False
        return True

    def _begin(self, instance_id: str, disk: _Disk) -> _Walk:
        steps = self._root.of(instance_id).walk()
        return _Walk(instance_id, disk, steps, clock.now(), time.monotonic(), self._root.free())

    def _drop(self, walk: _Walk) -> None:
        walk.steps.close()
        walk.disk.is_pending = False

    def _is_due(self, disk: _Disk, *, limit: int, hurried: bool) -> bool:
        every, share = _EVERY, _SHARE
        size = disk.found.size
        if hurried:
            every, share = _HURRIED_EVERY, _HURRIED_SHARE
        elif limit and (
            size >= _NEAR * limit or disk.free - self._root.free() > _NEAR * (limit - size) / 2
        ):
            every, share = _NEAR_EVERY, _NEAR_SHARE
        return time.monotonic() >= disk.walked_at + max(every, disk.took * share)


def _go_on(walk: _Walk) -> bool:
    """Take steps for a moment; whether there are no more."""
    began = time.monotonic()
    try:
        for size in walk.steps:
            walk.size += size
            if time.monotonic() - began >= _TURN:
                return False
        return True
    finally:
        walk.took += time.monotonic() - began
        if walk.disk.found.at is None:
            walk.disk.found = Found(walk.size, None)
