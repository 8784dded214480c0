"""Finds and ends a stack's processes by the marker in their environment.

The supervisor knows its programs; the editors, and whatever a supervisor that was killed left
behind, are known by the marker alone. A process without this stack's marker is never touched.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence

import psutil

STACK_MARKER = "CODESTUDIO_STACK_ID"
"""The environment variable every process of a stack carries, its editors included."""

_KILL_SECONDS = 5.0


def of_stack(stack_id: str) -> list[psutil.Process]:
    """List this user's processes that carry the marker of `stack_id`, but for the caller."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(STACK_MARKER) == stack_id:
                found.append(process)
        except (psutil.Error, OSError):  # gone meanwhile, or another user's
            continue
    return found


def split_by_session(
    processes: Iterable[psutil.Process], session: int
) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Part the supervisor's own programs (in its session) from editors (in theirs)."""
    inside: list[psutil.Process] = []
    outside: list[psutil.Process] = []
    for process in processes:
        try:
            (inside if os.getsid(process.pid) == session else outside).append(process)
        except ProcessLookupError:
            continue
    return inside, outside


def end(processes: Sequence[psutil.Process], grace: float) -> None:
    """Ask `processes` to end, kill those that have not after `grace` seconds, and wait.

    Those the caller itself runs under (`down` typed in a terminal of an editor it stops) are
    asked last and not waited for.
    """
    own = {process.pid for process in psutil.Process().parents()}
    others = [process for process in processes if process.pid not in own]
    for process in others:
        _signal(process.terminate)
    _, alive = psutil.wait_procs(others, timeout=grace)
    for process in alive:
        _signal(process.kill)
    psutil.wait_procs(alive, timeout=_KILL_SECONDS)
    for process in processes:
        if process.pid in own:
            _signal(process.terminate)


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send()
