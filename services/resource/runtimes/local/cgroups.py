"""Control groups (version 2): the kernel holds an instance as a whole, where it lets us.

Without root that is where a part of the tree was delegated to us, as systemd does for every user's
own services: a directory we may write, whose parent lets its children have controllers. It is
found by trying, not by assuming: a group is made, and what it can do is what counts. See the
kernel's cgroup-v2.rst, "Delegation" and "No Internal Process Constraint".
"""

import contextlib
import dataclasses
import os
import re
from collections.abc import Collection
from pathlib import Path

from services.resource.workload import Resources

_NEEDED = frozenset({"memory", "pids"})
_WANTED = ("cpu", "memory", "pids")
_PERIOD = 100_000
"""Microseconds over which CPU is shared out, the kernel's own default."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reached:
    """How often the kernel held a group back."""

    ended: int = 0
    """Processes it ended for memory."""
    forks: int = 0
    """Processes it did not let start."""


class Groups:
    """The groups of one stack's instances."""

    def __init__(self, top: Path, controllers: Collection[str]) -> None:
        """Use a group that `find` made.

        Args:
            top: Its directory.
            controllers: What its children can be held by.
        """
        self.top = top
        self.controllers = frozenset(controllers)

    def join(self, instance_id: str, pids: Collection[int]) -> None:
        """Put processes into the group of an instance; what they start is in it too."""
        group = self.top / instance_id
        with contextlib.suppress(OSError):
            group.mkdir(exist_ok=True)
            inside = set(map(int, (group / "cgroup.procs").read_text().split()))
            for pid in pids:
                if pid not in inside:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        (group / "cgroup.procs").write_text(str(pid))

    def hold(self, instance_id: str, limits: Resources, processes: int, *, cpu: bool) -> None:
        """Hold an instance's group to limits.

        Args:
            instance_id: The instance.
            limits: What it may use.
            processes: Processes it may have; 0 for any number.
            cpu: Whether its CPU is held too; a start may use all there is.
        """
        group = self.top / instance_id
        quota = max(1000, limits.cpu * _PERIOD // 1000) if cpu else "max"
        values = {
            "memory.max": str(limits.memory),
            "memory.swap.max": "0",
            "pids.max": str(processes or "max"),
            "cpu.max": f"{quota} {_PERIOD}",
        }
        for name, value in values.items():
            # Not every kernel has swap or the cpu controller.
            with contextlib.suppress(OSError):
                file = group / name
                if _rounded(file.read_text().strip()) != _rounded(value):
                    file.write_text(value)

    def reached(self, instance_id: str) -> Reached:
        """Tell how often an instance was held back since its group was made."""
        group = self.top / instance_id
        return Reached(
            _count(group / "memory.events", "oom_kill"), _count(group / "pids.events", "max")
        )

    def remove(self, instance_id: str) -> None:
        """Remove the group of an instance that runs no longer."""
        with contextlib.suppress(OSError):
            (self.top / instance_id).rmdir()


def find(stack_id: str) -> tuple[Groups | None, str]:
    """Find where groups can be made; without one, say why not."""
    own = _own()
    if own is None:
        return None, "there are no control groups of version 2"
    name = "codestudio-" + re.sub(r"[^A-Za-z0-9_-]", "-", stack_id)
    for parent in (own, own.parent):
        if not all(
            os.access(parent / file, os.W_OK)
            for file in (".", "cgroup.procs", "cgroup.subtree_control")
        ):
            continue
        groups = _make(parent, parent / name)
        if groups is not None:
            return groups, ""
    return None, f"no control group at {own} or above it is delegated with memory and pids"


def _make(parent: Path, top: Path) -> Groups | None:
    try:
        _enable(parent)
        top.mkdir(exist_ok=True)
        _enable(top)
        has = frozenset((top / "cgroup.subtree_control").read_text().split())
    except OSError:
        return None
    if has >= _NEEDED:
        return Groups(top, has)
    with contextlib.suppress(OSError):
        top.rmdir()
    return None


def _enable(group: Path) -> None:
    """Let the children of a group have controllers, as many as it has itself."""
    for controller in _WANTED:
        # Refused where processes are in the group itself, or it does not have the controller.
        with contextlib.suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _own() -> Path | None:
    """Give the directory of our own group; None without version 2."""
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    path = next((one.removeprefix("0::") for one in groups if one.startswith("0::")), None)
    if path is None:
        return None
    for mount in mounts:
        before, _, after = mount.partition(" - ")
        root, point = before.split()[3:5]
        if after.split()[0] == "cgroup2" and path.startswith(root):
            return Path(point) / path.removeprefix(root).lstrip("/")
    return None


def _count(file: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _rounded(value: str) -> str:
    """Make sizes comparable: the kernel keeps them in whole pages."""
    return str(int(value) // 4096 * 4096) if value.isdigit() and len(value) > 6 else value
