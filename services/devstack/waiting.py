"""Waits until programs are healthy, and says which one is not and why."""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from services.devstack.health import UnhealthyError
from services.devstack.plan import Program
from services.devstack.supervision import Supervisor

_INTERVAL = 0.1
# A program that has been started this often without becoming healthy will not become so.
_STARTS_ALLOWED = 4
_LOG_LINES = 15


class NotHealthyError(Exception):
    """A program did not become healthy; the message names it, its last words and its log."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far one program has come."""

    program: str
    state: str
    """`waiting` for a process, `starting`, or `healthy`."""
    seconds: float
    """Since waiting began; stands still once healthy."""
    reason: str = ""
    """Why it is not healthy yet."""


Observer = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """Observe nothing."""


def until_healthy(
    supervisor: Supervisor,
    programs: Sequence[Program],
    *,
    timeout: float,
    logs: Path,
    observe: Observer = ignore,
) -> None:
    """Wait until every program's check passes; `observe` hears of each several times a second.

    Raises NotHealthyError after `timeout` seconds, or sooner when a program keeps ending.
    """
    start = time.monotonic()
    reasons: dict[str, str] = {program.name: "" for program in programs}
    healthy: dict[str, float] = {}
    over = threading.Event()

    def watch(program: Program) -> None:
        while not over.is_set():
            try:
                program.check()
            except UnhealthyError as error:
                reasons[program.name] = str(error)
                over.wait(_INTERVAL)
            else:
                healthy[program.name] = time.monotonic() - start
                return

    starts: dict[str, set[int]] = {program.name: set() for program in programs}
    with ThreadPoolExecutor(max_workers=max(1, len(programs))) as pool:
        try:
            futures = [pool.submit(watch, program) for program in programs]
            while True:
                states = supervisor.states()
                for program in programs:
                    _, pid = states.get(program.name, ("STOPPED", 0))
                    starts[program.name].update({pid} - {0})
                    observe(_progress(program.name, pid, healthy, reasons, start))
                for future in futures:
                    if future.done():
                        future.result()
                if len(healthy) == len(programs):
                    return
                _give_up(starts, healthy, reasons, logs, time.monotonic() - start > timeout)
                time.sleep(_INTERVAL)
        finally:
            over.set()


def _progress(
    name: str, pid: int, healthy: Mapping[str, float], reasons: Mapping[str, str], start: float
) -> Progress:
    if name in healthy:
        return Progress(name, "healthy", healthy[name])
    state = "starting" if pid else "waiting"
    return Progress(name, state, time.monotonic() - start, reasons[name])


def _give_up(
    starts: Mapping[str, set[int]],
    healthy: Mapping[str, float],
    reasons: Mapping[str, str],
    logs: Path,
    late: bool,
) -> None:
    for name, pids in starts.items():
        if name in healthy:
            continue
        if len(pids) > _STARTS_ALLOWED:
            raise NotHealthyError(_obituary(name, "keeps ending", logs))
        if late:
            raise NotHealthyError(_obituary(name, f"is not healthy: {reasons[name]}", logs))


def _obituary(name: str, what: str, logs: Path) -> str:
    log = logs / f"{name}.log"
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:] if log.exists() else []
    return "\n".join([f"{name} {what}", *(f"  | {line}" for line in lines), f"its log is {log}"])
