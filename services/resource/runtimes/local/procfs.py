"""The machine's processes, read from /proc: who they are, whose they are, what they use.

A process is known by its pid *and* the time it began, in clock ticks since boot: pids come
round again, and a wall-clock time would move whenever the clock is set. Editors and all they
start carry our markers in their environment, so they are found again after any crash of ours.
"""

import contextlib
import dataclasses
import functools
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

STACK_MARKER = "CODESTUDIO_STACK_ID"
"""Variable by which everything that belongs to a stack is known; `down` looks for it."""

WORKLOAD_MARKER = "CODESTUDIO_WORKLOAD"
"""Variable by which we know our own: ``<stack id>/<instance id>/<pid of the editor>``.

One variable, not three: a whole stack started from an editor's terminal inherits that editor's
variables, and with some of them replaced by its own it would look like part of an instance.
Children inherit the editor's pid but have other pids, so the editor is told from them.
"""

TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks a second, the unit of /proc's times."""

_PROC = Path("/proc")
_OFFERED = 800
"""Editors have 500; 1000 is the most there is."""
_MARKER_PARTS = 3
_WANTED = f"{WORKLOAD_MARKER}=".encode()


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """One process, never mistaken for a later one with its pid."""

    pid: int
    started: int
    """When it began, in ticks since boot."""
    boot: str
    """Which boot that was."""


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """One process as it was when it was looked at."""

    identity: Identity
    parent: int
    is_zombie: bool
    """Whether it has ended and only waits for its parent to notice."""
    ticks: int
    """CPU it has used, user and system, in ticks."""
    children_ticks: int
    """CPU that those of its children used that have ended."""
    session: int
    """Pid of its session's leader."""
    stack_id: str = ""
    """The stack its marker names."""
    instance_id: str = ""
    """The instance its marker names."""
    is_root: bool = False
    """Whether it is an editor itself rather than something an editor started."""

    @property
    def pid(self) -> int:
        """Its pid."""
        return self.identity.pid


Table = Mapping[int, Process]
"""Processes by pid."""


@functools.cache
def boot_id() -> str:
    """Give the id of this boot of the machine."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def look(pid: int) -> Process | None:
    """Look at one process, without its markers; None where there is none."""
    try:
        line = (_PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may itself hold parentheses and spaces; see proc(5).
    fields = line[line.rindex(b")") + 2 :].split()
    return Process(
        identity=Identity(pid, int(fields[19]), boot_id()),
        parent=int(fields[1]),
        is_zombie=fields[0] in (b"Z", b"X"),
        ticks=int(fields[11]) + int(fields[12]),
        children_ticks=int(fields[13]) + int(fields[14]),
        session=int(fields[3]),
    )


def is_alive(identity: Identity) -> bool:
    """Tell whether this very process still runs."""
    process = look(identity.pid)
    return process is not None and process.identity == identity and not process.is_zombie


def command_line(pid: int) -> list[bytes]:
    """Give the words a process was started with; none where it has ended or has none."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def read_table() -> Table:
    """Look at all processes of the machine with their markers; some 20 µs each."""
    table = {}
    for name in os.listdir(_PROC):  # noqa: PTH208 - names alone: a Path for each costs more than the read
        if not name.isdigit():
            continue
        process = look(int(name))
        if process is not None:
            table[process.pid] = _mark(process)
    return table


def of_instance(
    table: Table, stack_id: str, instance_id: str, root: int | None = None
) -> list[Process]:
    """Select what belongs to an instance: what carries its markers, and what `root` started.

    The second finds those that cleared their environment, the first those whose parents have
    ended. What did both is not found.
    """
    members = {
        process.pid
        for process in table.values()
        if process.stack_id == stack_id and process.instance_id == instance_id
    }
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    pending = list(members)
    if root is not None and root in table:
        members.add(root)
        pending.append(root)
    while pending:
        for child in children.get(pending.pop(), ()):
            if child not in members:
                members.add(child)
                pending.append(child)
    # A stack started from an editor's terminal must not take itself for that editor's.
    own = os.getsid(0)
    found = [table[pid] for pid in members]
    return [one for one in found if not one.is_zombie and one.session != own]


def send(identity: Identity, number: signal.Signals) -> None:
    """Send a signal to this very process, or to nobody where it has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # The descriptor pins the process, so the check cannot go stale before the signal.
        descriptor = os.pidfd_open(identity.pid)
        try:
            if is_alive(identity):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def memory(pids: Iterable[int]) -> int:
    """Add up the memory of processes, in bytes: PSS, or RSS where that may not be read.

    PSS counts a page shared by n processes as 1/n of a page in each, so that sums are true:
    fifty editors share the pages of one Node.
    """
    return sum(_memory(pid) for pid in pids)


def offer(pid: int) -> None:
    """Make the kernel end this process before editors when memory runs out."""
    with contextlib.suppress(OSError):
        file = _PROC / str(pid) / "oom_score_adj"
        if int(file.read_text()) < _OFFERED:
            file.write_text(str(_OFFERED))


def resident(pid: int) -> int:
    """Give the memory of a process that is in use, shared or not, in bytes; quick to read."""
    try:
        pages = (_PROC / str(pid) / "statm").read_bytes().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _memory(pid: int) -> int:
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except PermissionError:
        with contextlib.suppress(OSError):
            resident = (_PROC / str(pid) / "statm").read_bytes().split()[1]
            return int(resident) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _mark(process: Process) -> Process:
    try:
        environment = (_PROC / str(process.pid) / "environ").read_bytes()
    except OSError:  # another user's, or gone meanwhile
        return process
    for item in environment.split(b"\0"):
        if item.startswith(_WANTED):
            marker = item.removeprefix(_WANTED).decode(errors="replace")
            parts = marker.rsplit("/", 2)
            if len(parts) == _MARKER_PARTS:
                stack_id, instance_id, root = parts
                return dataclasses.replace(
                    process,
                    stack_id=stack_id,
                    instance_id=instance_id,
                    is_root=root == str(process.pid),
                )
    return process
