"""Which processes of an instance may be ended for its limits: never those of the editor itself.

Without its editor a person could neither see why nor do anything about it.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

from services.resource.runtimes.local.procfs import Identity, Process

_PARTS = (b"out/node/entry", b"bootstrap-fork", b"out/server-main")
"""Words in the command lines of VS Code's own processes, in code-server and openvscode-server:
its servers, extension host, file watcher and the host of its terminals."""


def of(members: Collection[Process], root: Identity) -> list[Process]:
    """Give the processes of an instance that are not its editor's own."""
    children: dict[int, list[Process]] = {}
    for one in members:
        children.setdefault(one.parent, []).append(one)
    own = {root.pid}
    pending = [root.pid]
    while pending:
        for child in children.get(pending.pop(), ()):
            if child.pid not in own and _is_part(child.pid):
                own.add(child.pid)
                pending.append(child.pid)
    return [one for one in members if one.pid not in own]


def newest(processes: Iterable[Process], count: int) -> list[Process]:
    """Give those that were started last."""
    ordered = sorted(processes, key=lambda one: one.identity.started, reverse=True)
    return ordered[:count]


def name_of(pid: int) -> str:
    """Give what a process is called, for people."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "process"


def _is_part(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return any(part in words for part in _PARTS)
