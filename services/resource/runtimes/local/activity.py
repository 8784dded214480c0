"""When instances were last used: what their editors report, and what their processes do.

An open browser tab keeps an editor at work without anybody being there, so neither a connection
nor the editor's own processor time is use. Use is

- input, which our extension (`extension/`) reports by the times of files in the instance;
- the processor time of everything else an instance runs: terminals, tasks, debuggers. The
  editor's own processes count as far as they do more than an idle one ever did.

Measured with code-server 4.139, a page open, nobody there: 0.03 to 0.08 of a core in means of
15 s, 0.20 in the first; of the other processes together less than 0.01.
"""

import dataclasses
import datetime
import os
import stat
import time
from collections.abc import Collection, Iterable, Mapping

from services.chassis import clock
from services.resource.runtimes.local import procfs
from services.resource.runtimes.local.directories import Directories, InstanceRoot
from services.resource.runtimes.local.procfs import Identity, Process
from services.resource.workload import Activity

ACTIVITY = ("user-data", "activity")
"""Where an instance's editor tells of input, beneath the instance's root."""

_REPORT_LAG = datetime.timedelta(seconds=6)
"""How late input may be reported: REPORT_EVERY of the extension, and a moment."""
_SLACK = 2.0
"""Seconds by which clocks of different kinds may differ."""
_SETTLED = 5.0
"""Seconds after its start in which a process may still become another program."""
_OWN = (b"/out/bootstrap-fork", b"/out/node/entry", b"/out/server-main.js")
"""What the programs of an editor itself are called, code-server's and openvscode-server's."""
_HOST = b"--type=extensionHost"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From where on processor time is use."""

    cores: float = 0.05
    """Of all processes but the editor's own, and of these beyond `editor_cores`."""
    editor_cores: float = 0.25
    stretch: float = 10.0
    """Seconds over which the mean is taken, at least."""
    longest_gap: float = 60.0
    """Seconds between two looks after which the time between them is unknown."""


MEASURED = Thresholds()
"""What the measurement above leads to."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Kind:
    is_own: bool
    is_host: bool


@dataclasses.dataclass(slots=True)
class _Watched:
    """One editor, from its first look on."""

    editor: Identity
    activity: Activity
    looked_at: datetime.datetime
    reported: int = -1
    """Time of the file of input when it was looked at last, in nanoseconds; -1 without one."""
    used: dict[Identity, int] = dataclasses.field(default_factory=dict)
    """Ticks by process at the end of the last stretch."""
    since: float = 0.0
    """That end, in seconds since boot."""
    kinds: dict[Identity, _Kind] = dataclasses.field(default_factory=dict)


class Observer:
    """Watches for use; `look` blocks and belongs in one thread at a time, the rest anywhere."""

    def __init__(self, *, root: InstanceRoot, thresholds: Thresholds) -> None:
        self._root = root
        self._thresholds = thresholds
        self._watched: dict[str, _Watched] = {}
        self._told: dict[str, Activity] = {}

    def activity(self, instance_id: str) -> Activity | None:
        """Give when an instance was used; None for one that was not looked at yet."""
        watched = self._watched.get(instance_id)
        return None if watched is None else watched.activity

    def news(self) -> list[str]:
        """Give the ids of instances of which something was seen since last asked."""
        # That it was looked at once more is no news.
        now = {
            name: dataclasses.replace(one.activity, observed_at=one.activity.observed_since)
            for name, one in list(self._watched.items())
        }
        changed = [name for name, one in now.items() if self._told.get(name) != one]
        self._told = now
        return changed

    def keep(self, instance_ids: Collection[str]) -> None:
        """Forget all but these."""
        self._watched = {name: one for name, one in self._watched.items() if name in instance_ids}

    def look(self, instance_id: str, editor: Identity, members: Collection[Process]) -> None:
        """Look at an instance whose editor runs, given with all its processes."""
        now, boottime = clock.now(), time.clock_gettime(time.CLOCK_BOOTTIME)
        watched = self._watched.get(instance_id)
        if watched is None or watched.editor != editor:
            watched = _Watched(editor, Activity(now, now), now)
        gap = abs((now - watched.looked_at).total_seconds())
        kinds = {one.identity: self._kind(watched, one, boottime) for one in members}
        watched.kinds = {one: kind for one, kind in kinds.items() if kind is not None}
        hosts = [one for one, kind in watched.kinds.items() if kind.is_host]
        reported, seeing = _reports(self._root.of(instance_id), [one.pid for one in hosts])
        activity = watched.activity
        if gap > self._thresholds.longest_gap or _is_blind(hosts, seeing, boottime):
            activity = dataclasses.replace(activity, observed_since=now)
        if reported >= 0 and reported != watched.reported:
            # Only that it moved counts: a time in the future would be use for ever.
            at = min(datetime.datetime.fromtimestamp(reported / 1e9, datetime.UTC), now)
            activity = dataclasses.replace(activity, last_input=max(activity.last_input or at, at))
            watched.reported = reported
        if boottime - watched.since >= self._thresholds.stretch:
            if self._is_busy(watched, members, boottime):
                activity = dataclasses.replace(activity, last_busy=now)
            watched.used = {one.identity: _ticks(one) for one in members}
            watched.since = boottime
        looked = now - max(_REPORT_LAG, datetime.timedelta(seconds=boottime - watched.since))
        watched.activity = dataclasses.replace(activity, observed_at=looked)
        watched.looked_at = now
        self._watched[instance_id] = watched

    def _is_busy(self, watched: _Watched, members: Iterable[Process], now: float) -> bool:
        if not watched.since:
            return False  # nothing to compare with
        own = others = 0
        for process in members:
            ticks = _ticks(process)
            is_new = process.identity.started / procfs.TICKS >= watched.since - _SLACK
            before = watched.used.get(process.identity, 0 if is_new else ticks)
            kind = watched.kinds.get(process.identity)
            if process.identity == watched.editor or (kind is not None and kind.is_own):
                own += max(0, ticks - before)
            else:
                others += max(0, ticks - before)
        seconds = (now - watched.since) * procfs.TICKS
        beyond = max(0.0, own / seconds - self._thresholds.editor_cores)
        return others / seconds + beyond >= self._thresholds.cores

    def _kind(self, watched: _Watched, process: Process, now: float) -> _Kind | None:
        known = watched.kinds.get(process.identity)
        if known is not None and now - process.identity.started / procfs.TICKS > _SETTLED:
            return known
        words = procfs.command_line(process.pid)
        if not words:
            return None
        program = words[:4]
        return _Kind(
            is_own=any(own in word for own in _OWN for word in program), is_host=_HOST in words
        )


def _ticks(process: Process) -> int:
    """Give all processor time of a process and of those of its children that have ended."""
    return process.ticks + process.children_ticks


def _is_blind(hosts: Iterable[Identity], seeing: Mapping[int, float], boottime: float) -> bool:
    """Whether an editor is open in which our extension does not look.

    It began before it was given ours, or its owner has switched ours off.
    """
    booted = time.time() - boottime
    return any(
        seeing.get(one.pid, 0.0) < booted + one.started / procfs.TICKS - _SLACK for one in hosts
    )


def _reports(directories: Directories, hosts: Iterable[int]) -> tuple[int, dict[int, float]]:
    """Read what the extension told.

    The directory is the developer's, who may have put anything there: nothing in it is opened,
    and no symlink is followed.

    Args:
        directories: The instance's.
        hosts: Pids of its extension hosts.

    Returns:
        When there was input last, in nanoseconds since 1970, or -1; and when each host began to
        look, in seconds since 1970, for those that do.
    """
    try:
        place = directories.open_directory(*ACTIVITY)
    except OSError:
        return -1, {}
    try:
        reported = _modified(place, "input")
        began = {pid: _modified(place, f"host-{pid}") / 1e9 for pid in hosts}
    finally:
        os.close(place)
    return reported, began


def _modified(place: int, name: str) -> int:
    """Give when a regular file was modified, in nanoseconds since 1970; -1 where there is none."""
    try:
        status = os.stat(name, dir_fd=place, follow_symlinks=False)
    except OSError:
        return -1
    return status.st_mtime_ns if stat.S_ISREG(status.st_mode) else -1
