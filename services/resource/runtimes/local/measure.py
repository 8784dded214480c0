"""What instances use: CPU and memory of their processes, disk of their directories."""

import time
from collections.abc import Collection, Mapping

from services.resource.runtimes.local import procfs
from services.resource.runtimes.local.activity import Observer
from services.resource.runtimes.local.disks import Disks
from services.resource.runtimes.local.procfs import Identity, Process, Table
from services.resource.workload import Measurement


class Meter:
    """Measures instances again and again; blocking, so it belongs in a thread.

    `measure` is called by one at a time, `measure_new` by anybody.
    """

    def __init__(self, *, stack_id: str, disks: Disks, observer: Observer) -> None:
        self._stack_id = stack_id
        self._disks = disks
        self._observer = observer
        self._ticks: dict[Identity, int] = {}
        self._measured_at = 0.0

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
            members = self._members(table, instance_id, root)
            self._observer.look(instance_id, root, members)
            used.update((one.identity, one.ticks) for one in members)
            cores = sum(self._cores(one, now) for one in members)
            found[instance_id] = self._measurement(instance_id, members, cores)
        self._observer.keep(running)
        for instance_id in idle:
            found[instance_id] = self._measurement(instance_id, (), 0.0)
        self._ticks = used
        self._measured_at = now
        self._disks.keep(found)
        return found

    def measure_new(
        self, running: Mapping[str, Identity], idle: Collection[str]
    ) -> dict[str, Measurement]:
        """Measure some, CPU as the mean since their processes began; `measure` sees nothing of it.

        So whoever asks in between shortens the stretch of no sample.
        """
        table = procfs.read_table()
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        found = {}
        for instance_id, root in running.items():
            members = self._members(table, instance_id, root)
            cores = sum(_mean(one.ticks, now - _started(one)) for one in members)
            found[instance_id] = self._measurement(instance_id, members, cores)
        for instance_id in idle:
            found[instance_id] = self._measurement(instance_id, (), 0.0)
        return found

    def _members(self, table: Table, instance_id: str, root: Identity) -> list[Process]:
        process = table.get(root.pid)
        pid = root.pid if process is not None and process.identity == root else None
        return procfs.of_instance(table, self._stack_id, instance_id, pid)

    def _measurement(
        self, instance_id: str, members: Collection[Process], cores: float
    ) -> Measurement:
        disk = self._disks.used(instance_id)
        return Measurement(
            cpu_cores=cores,
            memory=procfs.memory(one.pid for one in members),
            storage=disk.size,
            storage_at=disk.at,
            processes=len(members),
        )

    def _cores(self, process: Process, now: float) -> float:
        before = self._ticks.get(process.identity)
        # One that is older than the last measurement and was not in it has just come to this
        # instance (its marker was not read): its past is not this stretch's.
        since = self._measured_at if before is not None else _started(process)
        return _mean(process.ticks - (before or 0), now - since)


def _started(process: Process) -> float:
    return process.identity.started / procfs.TICKS


def _mean(ticks: int, seconds: float) -> float:
    """Give the mean of what was used over a stretch of time, in cores."""
    return ticks / procfs.TICKS / max(seconds, 1 / procfs.TICKS)
