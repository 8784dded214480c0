"""What instances use: CPU and memory of their processes, disk of their directories."""

import dataclasses
import time
from collections.abc import Collection, Mapping

from services.resource.runtimes.local import procfs
from services.resource.runtimes.local.activity import Observer
from services.resource.runtimes.local.directories import InstanceRoot
from services.resource.runtimes.local.procfs import Identity, Process, Table
from services.resource.workload import Measurement

_DISK_EVERY = 60.0
"""Seconds between two walks through an instance's files, at least."""

_DISK_SHARE = 50
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


@dataclasses.dataclass(slots=True)
class _Disk:
    size: int = 0
    walked_at: float = float("-inf")
    took: float = 0.0
    free: int = 0
    """What was free on its file system then."""


class Meter:
    """Measures instances again and again; blocking, so it belongs in a thread, one at a time."""

    def __init__(self, *, stack_id: str, root: InstanceRoot, observer: Observer) -> None:
        self._stack_id = stack_id
        self._root = root
        self._observer = observer
        self._ticks: dict[Identity, int] = {}
        self._measured_at = 0.0
        self._disks: dict[str, _Disk] = {}

    def measure(
        self, running: Mapping[str, Identity], idle: Collection[str]
    ) -> dict[str, Measurement]:
        """Measure running instances, given with their editors, and the disk of idle ones.

        CPU is the mean since the last measurement, for what is younger than that since its
        start. Processes that came and went in between are not seen.
        """
        table = procfs.read_table()
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        used: dict[Identity, int] = {}
        found = {}
        for instance_id, root in running.items():
            members = procfs.of_instance(table, self._stack_id, instance_id, _present(table, root))
            self._observer.look(instance_id, root, members)
            used.update((one.identity, one.ticks) for one in members)
            found[instance_id] = Measurement(
                cpu_cores=sum(self._cores(one, now) for one in members),
                memory=procfs.memory(one.pid for one in members),
                storage=self.disk(instance_id),
                processes=len(members),
            )
        self._observer.keep(running)
        for instance_id in idle:
            found[instance_id] = Measurement(0.0, 0, self.disk(instance_id), 0)
        self._ticks = used
        self._measured_at = now
        self._disks = {name: disk for name, disk in self._disks.items() if name in found}
        return found

    def _cores(self, process: Process, now: float) -> float:
        started = process.identity.started / procfs.TICKS
        before = self._ticks.get(process.identity)
        # One that is older than the last measurement and was not in it has just come to this
        # instance (its marker was not read): its past is not this stretch's.
        since = self._measured_at if before is not None else started
        seconds = max(now - since, 1 / procfs.TICKS)
        return (process.ticks - (before or 0)) / procfs.TICKS / seconds

    def disk(self, instance_id: str, *, limit: int = 0, hurried: bool = False) -> int:
        """Give the disk an instance uses, in bytes, as of a minute ago or less long.

        Args:
            instance_id: The instance.
            limit: What it may use: it is looked at more often when it may be over that soon, by
                its size or by what was written to the whole file system since. 0 for none.
            hurried: Whether somebody waits for it to shrink.
        """
        disk = self._disks.setdefault(instance_id, _Disk())
        free = self._root.free()
        every, share = _DISK_EVERY, _DISK_SHARE
        if hurried:
            every, share = _HURRIED_EVERY, _HURRIED_SHARE
        elif limit and (
            disk.size >= _NEAR * limit or disk.free - free > _NEAR * (limit - disk.size) / 2
        ):
            every, share = _NEAR_EVERY, _NEAR_SHARE
        begin = time.monotonic()
        if begin >= disk.walked_at + max(every, disk.took * share):
            disk.size = self._root.of(instance_id).size()
            disk.walked_at, disk.took, disk.free = begin, time.monotonic() - begin, free
        return disk.size


def _present(table: Table, root: Identity) -> int | None:
    process = table.get(root.pid)
    return root.pid if process is not None and process.identity == root else None
