"""The supervisor: a start script a program, one configuration, and its control socket.

Programs are described by scripts rather than in the configuration, because supervisor's format
gives `%`, `;` and `#` meanings of their own; the configuration itself holds relative names only.
Each script can be run by hand.
"""

import http.client
import shlex
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from typing import Any, cast

from services.devstack.layout import Layout
from services.devstack.plan import Program

# A program that lives this long (seconds) has started; one that dies sooner waits one second
# more each time, so that a broken program does not eat a core.
_START_SECONDS = 1
# Supervisor gives a program up after this many early deaths; a stack never gives up.
_START_RETRIES = 1_000_000_000
_LOG_BYTES = 10 * 1024 * 1024
_LOG_BACKUPS = 3
_OPEN_FILES = 65536
_ANSWER_SECONDS = 10.0
_APPEAR_SECONDS = 10.0


class SupervisorError(Exception):
    """The supervisor did not start, or refused what was asked of it."""


class NotRunningError(SupervisorError):
    """No supervisor answers on the stack's socket."""


class Supervisor:
    """The supervisor of one stack, running or not."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def configure(self, programs: Sequence[Program]) -> None:
        """Write the start scripts and the configuration."""
        for old in self._layout.programs.iterdir():
            old.unlink()
        for program in programs:
            script = self._layout.programs / program.name
            script.write_text(render_script(program))
            script.chmod(0o700)
        socket_path = self._layout.supervisor_socket
        short = socket_path.parent == self._layout.run
        name = socket_path.name if short else str(socket_path)
        self._layout.supervisor_config.write_text(render_config(programs, name))

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the supervisor as a daemon of its own session; it starts the programs.

        Raises SupervisorError with what it said when it refused.
        """
        result = subprocess.run(
            (sys.executable, "-m", "supervisor.supervisord", "-c", self._layout.supervisor_config),
            cwd=self._layout.run,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_APPEAR_SECONDS,
            check=False,
        )
        if result.returncode != 0:
            reason = (result.stderr or result.stdout).strip()
            raise SupervisorError(f"supervisor did not start: {reason}")
        deadline = time.monotonic() + _APPEAR_SECONDS
        while not self.running():
            if time.monotonic() > deadline:
                log = self._layout.logs / "supervisord.log"
                raise SupervisorError(f"supervisor does not answer; its log is {log}")
            time.sleep(0.02)

    def running(self) -> bool:
        """Tell whether the supervisor answers."""
        try:
            self._call("getState")
        except NotRunningError:
            return False
        return True

    def states(self) -> dict[str, tuple[str, int]]:
        """Give each program's state (supervisor's word, such as RUNNING) and pid (0: none)."""
        processes = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        return {item["name"]: (item["statename"], item["pid"]) for item in processes}

    def pid(self) -> int:
        """Give the supervisor's own pid."""
        return cast("int", self._call("getPID"))

    def stop(self, programs: Sequence[str], timeout: float) -> None:
        """Ask `programs` to stop together and wait at most `timeout` seconds for the last.

        Those that do not run are left alone. Raises SupervisorError when one goes on.
        """
        for program in programs:
            try:
                self._call("stopProcess", program, False)
            except xmlrpc.client.Fault as fault:
                if "NOT_RUNNING" not in fault.faultString:
                    raise SupervisorError(f"{program}: {fault.faultString}") from fault
        deadline = time.monotonic() + timeout
        while any(pid for name, (_, pid) in self.states().items() if name in programs):
            if time.monotonic() > deadline:
                raise SupervisorError(f"programs did not stop in {timeout:.0f} s")
            time.sleep(0.05)

    def begin(self, program: str) -> None:
        """Start a stopped program; nothing happens when it runs."""
        try:
            self._call("startProcess", program, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise SupervisorError(f"{program}: {fault.faultString}") from fault

    def shutdown(self) -> None:
        """Ask the supervisor to stop what still runs and then itself; returns at once."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: Any) -> object:
        server = xmlrpc.client.ServerProxy(
            "http://supervisor", transport=_UnixTransport(str(self._layout.supervisor_socket))
        )
        try:
            with server:
                return getattr(server.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException) as error:
            raise NotRunningError(f"the supervisor does not answer: {error}") from error


def render_script(program: Program) -> str:
    """Write a program's start script: its files cleared, its environment, then itself."""
    lines = [
        "#!/bin/sh",
        f"cd {shlex.quote(str(program.directory))} || exit 1",
        # Connections are files; the usual soft limit of 1024 is soon used up by fifty editors.
        f"ulimit -Sn {_OPEN_FILES} 2>/dev/null || ulimit -Sn $(ulimit -Hn)",
    ]
    lines += [f"rm -f {shlex.quote(str(path))}" for path in program.stale_files]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in program.environment.items()]
    return "\n".join([*lines, f"exec {shlex.join(program.command)}", ""])


def render_config(programs: Sequence[Program], socket_name: str) -> str:
    """Write supervisor's configuration, to be read with the `run` directory as working one."""
    sections: dict[str, dict[str, object]] = {
        "unix_http_server": {"file": socket_name.replace("%", "%%"), "chmod": "0600"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisord": {
            "logfile": "../logs/supervisord.log",
            "logfile_maxbytes": _LOG_BYTES,
            "logfile_backups": _LOG_BACKUPS,
            "pidfile": "supervisord.pid",
            "childlogdir": "../logs",
        },
    }
    for priority, program in enumerate(programs):
        sections[f"program:{program.name}"] = {
            "command": f"programs/{program.name}",
            "priority": priority,
            "autorestart": "true",
            "startsecs": _START_SECONDS,
            "startretries": _START_RETRIES,
            "stopsignal": "TERM",
            "stopwaitsecs": program.stop_seconds,
            # Editors have sessions of their own and outlive the service that started them.
            "stopasgroup": "false",
            "killasgroup": "false",
            "redirect_stderr": "true",
            "stdout_logfile": f"../logs/{program.name}.log",
            "stdout_logfile_maxbytes": _LOG_BYTES,
            "stdout_logfile_backups": _LOG_BACKUPS,
        }
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in options.items())
        for name, options in sections.items()
    )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("supervisor", timeout=_ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        # Where the base class looks for what it has to close.
        self._connection = ("supervisor", connection)
        return connection
