"""Runs the steps of an installation: reported, logged one file each, and abortable."""

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

# npm prints the cause near the end; the compiler up to a few screens before it.
_LAST_WORDS = 20_000
_STEP_SECONDS = 1800.0

Report = Callable[[str, str, str], None]
"""Hears of each step: its name, `working`, `done` or `failed`, and a note."""


class StepError(Exception):
    """A step's command failed."""

    def __init__(self, step: str, status: int, log: Path, last_words: str) -> None:
        super().__init__(f"{step}: exit status {status}")
        self.step = step
        self.status = status
        self.log = log
        self.last_words = last_words


class Steps:
    """Steps that share an environment and end together; a context manager."""

    def __init__(
        self,
        environment: Mapping[str, str],
        logs: Path,
        report: Report,
        kind: str,
    ) -> None:
        """Run in `environment`; the log of a step is `<kind>-<its name>.log` in `logs`."""
        self._environment = environment
        self._logs = logs
        self._report = report
        self._kind = kind
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._aborted = False

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def run(self, name: str, directory: Path, command: Sequence[str]) -> None:
        """Run a command in `directory`. Raises StepError when it fails or takes 30 minutes."""
        log = self._logs / f"{self._kind}-{re.sub(r'[^a-z0-9]+', '-', name.lower())}.log"

        def work() -> None:
            with log.open("wb") as output:
                status = self._wait(self._start(command, directory, output.fileno()))
            if status != 0:
                raise StepError(name, status, log, _tail(log))

        self.call(name, work)

    def call(self, name: str, work: Callable[[], None]) -> None:
        """Do `work` as a step."""
        self._report(name, "working", "")
        try:
            work()
        except BaseException:
            self._report(name, "failed", "")
            raise
        self._report(name, "done", "")

    def abort(self) -> None:
        """End every command with its children; nothing happens when none runs."""
        with self._guard:
            self._aborted = True
            running = list(self._running)
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _start(
        self, command: Sequence[str], directory: Path, output: int
    ) -> subprocess.Popen[bytes]:
        with self._guard:
            if self._aborted:
                raise InterruptedError("the installation was aborted")
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A group of its own, so that its compilers can be ended with it.
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(_STEP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()
        finally:
            with self._guard:
                self._running.discard(process)


def _tail(log: Path) -> str:
    return log.read_bytes()[-_LAST_WORDS:].decode(errors="replace")
