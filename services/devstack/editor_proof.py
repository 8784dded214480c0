"""Proves that an editor works: it tells its version, and a server started with it answers."""

import os
import subprocess
import tempfile
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from services.devstack.ports import LOOPBACK, any_free_port

_VERSION_SECONDS = 30.0
_ANSWER_SECONDS = 60.0


class ProofError(Exception):
    """The editor does not work; says at what it failed."""


def prove(command: Path, logs: Path) -> None:
    """Check that `command --version` works and that a server started with it answers /healthz.

    Raises ProofError.
    """
    log = logs / "editor-proof.log"
    with tempfile.TemporaryDirectory() as home, log.open("wb") as output:
        # Even --version writes a configuration where it finds none: keep it out of the user's.
        environment = {**os.environ, "XDG_CONFIG_HOME": home}
        result = subprocess.run(
            (command, "--version"),
            env=environment,
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=False,
        )
        if result.returncode != 0:
            raise ProofError(f"--version failed: {result.stderr.strip()[-300:]}")
        port = any_free_port()
        arguments = (
            *("--auth", "none", "--bind-addr", f"{LOOPBACK}:{port}"),
            *("--user-data-dir", f"{home}/user-data", "--extensions-dir", f"{home}/extensions"),
        )
        process = subprocess.Popen(
            (command, *arguments), env=environment, stdout=output, stderr=output
        )
        try:
            _await_answer(process, port, log)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ProofError(f"it ended with status {process.returncode}; its log is {log}")
        connection = HTTPConnection(LOOPBACK, port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            time.sleep(0.1)
        finally:
            connection.close()
    raise ProofError(f"no answer in {_ANSWER_SECONDS:.0f} s; its log is {log}")
