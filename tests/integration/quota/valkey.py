"""A Valkey server of a test's own, which keeps what it is told as a stack's does."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import redis

from services.devstack import binaries, plan, ports

_START_SECONDS = 15.0


class Valkey:
    """A server process on a free port; its data outlives it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it, on the port it had before, and wait until it answers.

        Args:
            environment: Variables over our own.
        """
        self.port = self.port or ports.any_free_port()
        self._process = subprocess.Popen(
            (
                binaries.valkey_server(),
                *("--port", str(self.port)),
                *("--bind", "127.0.0.1"),
                *("--dir", self._directory),
                *plan.VALKEY_PERSISTENCE,
            ),
            env={**os.environ, **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with redis.Redis.from_url(self.url) as client:
            deadline = time.monotonic() + _START_SECONDS
            while not _answers(client):
                assert time.monotonic() < deadline, "Valkey does not start"
                assert self._process.poll() is None, "Valkey ended"
                time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def cut(self, size: int) -> None:
        """Cut so many bytes off the end of what it wrote; only while it does not run."""
        file = max(self._directory.rglob("*.incr.aof"), key=lambda one: one.stat().st_mtime)
        with file.open("r+b") as written:
            written.truncate(max(0, file.stat().st_size - size))

    def lose_data(self) -> None:
        """Remove what it wrote; only while it does not run."""
        for file in sorted(self._directory.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:  # also while it loads its file
        return False
