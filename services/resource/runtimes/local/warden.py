"""Holds instances to their limits without privileges: looks every few seconds, and acts.

Where control groups were delegated to us the kernel holds CPU, memory and processes of an
instance as a whole (`cgroups`); what is said below of those is for everywhere else.

What the kernel keeps for single processes (`prlimit`) is set on every process of an instance, so
that what these start inherits it. What it does not keep is measured:

- memory: where an instance is over its limit at two looks in a row, its largest process that is
  not the editor's own is ended;
- disk: where its files are over its limit, nothing the editor starts (terminals, tasks) can write
  to a file any more, and the editor itself only to small ones, until they are not. Nothing is
  removed, and removing stays possible;
- processes: where there are more than allowed, the newest are ended.

Everything done is an event, and a line in the instance's own log.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Collection, Iterator, Mapping

import structlog
from prometheus_client import Counter, Histogram

from services.chassis import clock
from services.chassis.quantities import format_memory
from services.resource.limits import Enforcement, Event, Resource
from services.resource.runtimes.local import (
    cgroups,
    logfile,
    means,
    prlimit,
    procfs,
    victims,
)
from services.resource.runtimes.local.directories import InstanceRoot
from services.resource.runtimes.local.disks import Disks
from services.resource.runtimes.local.processors import Processors
from services.resource.runtimes.local.procfs import Identity, Process
from services.resource.runtimes.local.wards import NEVER, Held, Policy, Ward
from services.resource.workload import Resources

_log = structlog.get_logger(__name__)

ACTIONS = Counter(
    "codestudio_limit_actions",
    "What was done to hold instances to their limits: ended a process, stopped or let go writes.",
    ("resource", "action"),
)
SECONDS = Histogram(
    "codestudio_limit_look_seconds",
    "Time it took to look at all instances once, in seconds.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
FAILED = Counter(
    "codestudio_limit_looks_failed", "Looks at all instances that ended with an unforeseen error."
)
INSTANCES_FAILED = Counter(
    "codestudio_limit_instances_failed",
    "Looks at one instance that ended with an unforeseen error; the others were looked at.",
)

_STRIKES = 2
_LET_GO = 0.98
"""Share of the limit below which writes are let go: at the limit itself they would flicker."""
_LEEWAY = 16 * 2**20
"""Size up to which the editor's own processes can write files nevertheless: one that cannot even
write its log ends, and with it goes the way to free space."""
_PASSES = 4
"""Times new processes are looked for that were started while their parents were being limited."""


class Warden:
    """Looks and acts; looking blocks, so it belongs in a thread, one look at a time.

    An instance may be admitted or forgotten during a look.
    """

    def __init__(self, *, stack_id: str, root: InstanceRoot, disks: Disks, policy: Policy) -> None:
        """Begin with nothing held.

        Args:
            stack_id: Marks what is ours.
            root: The instances' directories.
            disks: Knows how much of it they use.
            policy: What to hold them to.
        """
        self._stack_id = stack_id
        self._root = root
        self._disks = disks
        self._policy = policy
        self._machine = frozenset(os.sched_getaffinity(0))
        self._processors = Processors(self._machine)
        self._wards: dict[str, Ward] = {}
        # Gone, and not yet taken out of what only `look` touches.
        self._forgotten: set[str] = set()
        # A name may be given away in one thread while another takes it back.
        self._naming = threading.Lock()
        self._groups: cgroups.Groups | None = None
        why = "LOCAL_CGROUPS is off"
        if policy.groups:
            self._groups, why = cgroups.find(stack_id)
        if self._groups is not None:
            _log.info("limits are held by control groups", group=str(self._groups.top))
        else:
            _log.info("limits are held process by process and by measuring", why=why)

    def admit(self, instance_id: str, limits: Resources, root: Identity) -> None:
        """Hold an editor to its limits before it begins its work."""
        with self._naming:
            if instance_id in self._forgotten:  # another of the same name
                self._forgotten.discard(instance_id)
                self._wards[instance_id] = Ward()
                if self._groups is not None:  # what its group counted is its predecessor's
                    self._wards[instance_id].reached = self._groups.reached(instance_id)
            ward = self._wards.setdefault(instance_id, Ward())
        size = min(_LEEWAY, limits.storage) if ward.full else limits.storage
        prlimit.hold_file_size(root.pid, size, ward.sizes)
        if self._groups is not None:
            # Before it starts anything: all it starts is in its group.
            self._groups.join(instance_id, [root.pid])
            most = self._policy.most_processes
            self._groups.hold(instance_id, limits, most, cpu=False)

    def look(self, running: Mapping[str, Held]) -> None:
        """Look at all running instances and do what their limits ask for."""
        with SECONDS.time():
            table = procfs.read_table()
            for instance_id, held in running.items():
                if instance_id not in self._forgotten:
                    ward = self._wards.setdefault(instance_id, Ward())
                    with self._alone(instance_id, ward):
                        members = self._members(table, instance_id, held.root)
                        self._look_at(instance_id, ward, held, members)
        for instance_id in self._wards.keys() - running.keys():
            ward = self._wards.get(instance_id, Ward())
            with self._alone(instance_id, ward):
                ward.strikes, ward.stuck, ward.confined = 0, False, False
                self._release(instance_id)
                ward.reached = NEVER
        # Only now: what was looked at while it was forgotten goes too.
        for instance_id in tuple(self._forgotten):
            with self._naming:
                if instance_id not in self._forgotten:  # admitted just now, as another
                    continue
                self._forgotten.discard(instance_id)
                ward = self._wards.pop(instance_id, Ward())
                with self._alone(instance_id, ward):
                    self._release(instance_id)

    def forget(self, instance_id: str) -> None:
        """Forget an instance that is gone; does not wait for a look."""
        with self._naming:
            self._forgotten.add(instance_id)
            self._wards.pop(instance_id, None)

    def events(self, instance_id: str) -> list[Event]:
        """Give what was done lately, oldest first."""
        ward = self._wards.get(instance_id)
        return list(ward.events) if ward else []

    def enforcement(self, instance_id: str, limits: Resources) -> list[Enforcement]:
        """Tell how an instance is held to its limits."""
        ward = self._wards.get(instance_id, Ward())
        by = self._groups.controllers if self._groups is not None else frozenset()
        policy = self._policy
        return [
            means.cpu(
                limits,
                by_group="cpu" in by,
                by_affinity=policy.processors,
                processors=len(self._machine),
                confined=ward.confined,
            ),
            means.memory(limits, by_group="memory" in by, over=ward.strikes > 0),
            means.storage(limits, full=ward.full),
            means.processes(policy.most_processes, by_group="pids" in by),
        ]

    @contextlib.contextmanager
    def _alone(self, instance_id: str, ward: Ward) -> Iterator[None]:
        """Let what goes wrong with one instance concern no other; told once until it goes well."""
        try:
            yield
        except Exception:  # noqa: BLE001 - the others are held whatever is wrong with one
            INSTANCES_FAILED.inc()
            if not ward.failing:
                _log.exception("limits of one instance were not looked at", instance_id=instance_id)
            ward.failing = True
        else:
            ward.failing = False

    def _release(self, instance_id: str) -> None:
        """Give back what the machine keeps for an instance of which nothing runs."""
        self._processors.forget(instance_id)
        if self._groups is not None:
            self._groups.remove(instance_id)

    def _look_at(self, instance_id: str, ward: Ward, held: Held, members: list[Process]) -> None:
        self._hold_storage(instance_id, ward, held, members)
        if self._groups is not None:
            self._hold_group(self._groups, instance_id, ward, held, members)
            return
        self._hold_memory(instance_id, ward, held, members)
        self._hold_processes(instance_id, ward, held, members)
        self._hold_processors(instance_id, ward, held, members)

    def _hold_storage(
        self, instance_id: str, ward: Ward, held: Held, members: list[Process]
    ) -> None:
        limit = held.limits.storage
        found = self._disks.used(instance_id, hurried=ward.full, limit=limit)
        if found.at is None:
            # Not known yet: what an earlier life of ours stopped is not let go meanwhile.
            return
        used = found.size
        full = used > limit * (_LET_GO if ward.full else 1)
        if full != ward.full:
            ward.full = full
            if full:
                message = (
                    f"Disk limit {format_memory(limit)} exceeded ({_mib(used)} in use): terminals"
                    " cannot write files until some are removed or the limit is raised"
                )
            else:
                message = f"Disk below its limit again ({_mib(used)} in use): writes go on"
            self._tell(instance_id, ward, Resource.STORAGE, "stop" if full else "let_go", message)
        # What the editor has is ours, also of an earlier life; its children inherited it.
        ward.sizes |= {0, limit, _LEEWAY, prlimit.file_size(held.root.pid)}
        for _ in range(_PASSES):
            if not self._hold_files(ward, limit, held, members):
                return
            # While a parent was being limited, it may have started what is not.
            members = self._members(procfs.read_table(), instance_id, held.root)

    def _hold_files(self, ward: Ward, limit: int, held: Held, members: list[Process]) -> bool:
        """Set the limits of file size of all processes; whether any was changed."""
        own = set(members)
        if ward.full:
            own -= set(victims.of(members, held.root))
        changed = False
        for one in members:
            size = limit
            if ward.full:
                size = min(_LEEWAY, limit) if one in own else 0
            changed |= prlimit.hold_file_size(one.pid, size, ward.sizes)
        return changed

    def _hold_group(
        self,
        groups: cgroups.Groups,
        instance_id: str,
        ward: Ward,
        held: Held,
        members: list[Process],
    ) -> None:
        groups.join(instance_id, [one.pid for one in members])
        groups.hold(instance_id, held.limits, self._policy.most_processes, cpu=held.is_ready)
        for one in victims.of(members, held.root):
            procfs.offer(one.pid)
        before, ward.reached = ward.reached, groups.reached(instance_id)
        if ward.reached.ended > before.ended:
            count = ward.reached.ended - before.ended
            limit = format_memory(held.limits.memory)
            message = f"Memory limit {limit} reached: the kernel ended {count} of its processes"
            self._tell(instance_id, ward, Resource.MEMORY, "end", message)
        if ward.reached.forks > before.forks:
            most = self._policy.most_processes
            message = f"It has {most} processes, the most there may be: no more could start"
            self._tell(instance_id, ward, Resource.PROCESSES, "stop", message)

    def _hold_memory(
        self, instance_id: str, ward: Ward, held: Held, members: list[Process]
    ) -> None:
        limit = held.limits.memory
        # Resident memory is quick to read and never less than what counts.
        if sum(procfs.resident(one.pid) for one in members) <= limit:
            ward.strikes, ward.stuck = 0, False
            return
        used = procfs.memory(one.pid for one in members)
        if used <= limit:
            ward.strikes, ward.stuck = 0, False
            return
        ward.strikes += 1
        if ward.strikes < _STRIKES:
            return
        sizes = {one: procfs.memory([one.pid]) for one in victims.of(members, held.root)}
        over = f"Memory limit {format_memory(limit)} exceeded ({_mib(used)} in use)"
        if not sizes:
            if not ward.stuck:
                ward.stuck = True
                message = f"{over} by the editor itself: close what it has open, or raise the limit"
                self._tell(instance_id, ward, Resource.MEMORY, "none", message)
            return
        largest = max(sizes, key=lambda one: sizes[one])
        name = victims.name_of(largest.pid)
        procfs.send(largest.identity, signal.SIGKILL)
        ward.strikes = 0
        message = f"{over}: ended {name} (pid {largest.pid}, {_mib(sizes[largest])})"
        self._tell(instance_id, ward, Resource.MEMORY, "end", message)

    def _hold_processes(
        self, instance_id: str, ward: Ward, held: Held, members: list[Process]
    ) -> None:
        most = self._policy.most_processes
        if not most or len(members) <= most:
            return
        ended = victims.newest(victims.of(members, held.root), len(members) - most)
        for one in ended:
            procfs.send(one.identity, signal.SIGKILL)
        message = f"It had {len(members)} processes of {most}: ended the newest {len(ended)}"
        self._tell(instance_id, ward, Resource.PROCESSES, "end", message)

    def _hold_processors(
        self, instance_id: str, ward: Ward, held: Held, members: list[Process]
    ) -> None:
        if not self._policy.processors or not held.is_ready:
            return
        if self._processors.all_of_them(held.limits.cpu):
            if ward.confined:
                self._confine(members, self._machine)
                ward.confined = False
            self._processors.forget(instance_id)
            return
        has = prlimit.processors_of(held.root.pid)
        known = has if has < self._machine else ()
        wanted = self._processors.assign(instance_id, held.limits.cpu, known)
        self._confine(members, wanted)
        ward.confined = True

    def _confine(self, members: Collection[Process], processors: Collection[int]) -> None:
        for one in members:
            # Threads were confined with their process, or inherit it from who starts them.
            if prlimit.processors_of(one.pid) != frozenset(processors):
                prlimit.hold_processors(one.pid, processors)

    def _members(self, table: procfs.Table, instance_id: str, root: Identity) -> list[Process]:
        present = table.get(root.pid)
        pid = root.pid if present is not None and present.identity == root else None
        return procfs.of_instance(table, self._stack_id, instance_id, pid)

    def _tell(
        self, instance_id: str, ward: Ward, resource: Resource, action: str, message: str
    ) -> None:
        now = clock.now()
        ACTIONS.labels(resource.value, action).inc()
        _log.warning("limit", instance_id=instance_id, resource=resource.value, what=message)
        ward.events.append(Event(now, resource, message))
        with contextlib.suppress(OSError, ValueError):
            logfile.note(self._root.of(instance_id), f"[codestudio] {clock.iso(now)} {message}")


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
