"""A whole stack as one object: what `up` and `down` are made of, and tests start their own with.

stack = Stack(tmp_path, port_offset=ports.free_offset())
stack.up()
os.kill(stack.pid("valkey"), signal.SIGKILL)
stack.wait_healthy(timeout=30)
stack.down()
"""

import contextlib
import fcntl
import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import psutil

from services.devstack import plan as planning
from services.devstack import ports, processes, record, waiting
from services.devstack.layout import DEFAULT_DATA_DIR, Layout
from services.devstack.plan import Plan, Program
from services.devstack.supervision import NotRunningError, Supervisor

START_SECONDS = 120.0
"""Until when everything must be healthy: a cold disk and a busy machine included."""
_LOCK_SECONDS = 150.0
_STOP_SECONDS = 30.0
_EDITOR_GRACE = 5.0
"""How long an editor may take to write its state before it is killed, in seconds."""


class StackBusyError(Exception):
    """Another `up` or `down` is at work on this stack."""


class Stack:
    """One stack: its data directory, its ports, its programs."""

    def __init__(
        self,
        data_dir: Path = DEFAULT_DATA_DIR,
        *,
        port_offset: int = 0,
        services: Sequence[str] | None = None,
        gateway: bool = True,
        editor_command: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Describe a stack; nothing runs before `up`.

        `services` names those to run (None: all there are), `gateway` says whether Envoy does,
        `environment` holds settings for every service. A stack that already runs in `data_dir`
        keeps what it was started with.
        """
        self.layout = Layout.of(data_dir)
        self._port_offset = port_offset
        self._services = services
        self._gateway = gateway
        self._editor_command = editor_command
        self._environment = environment or {}
        self._supervisor = Supervisor(self.layout)

    @property
    def running(self) -> bool:
        """Whether the stack's supervisor runs."""
        return self._supervisor.running()

    @property
    def plan(self) -> Plan:
        """What runs, or would be started."""
        known = record.read(self.layout)
        if known and self.running:
            return known.plan(self.layout)
        offset = ports.Ports(self._port_offset)
        url = f"http://localhost:{offset['gateway']}"
        services = planning.available_services() if self._services is None else self._services
        return Plan(
            layout=self.layout,
            ports=offset,
            stack_id=known.stack_id if known else record.new_stack_id(),
            services=tuple(services),
            gateway_host=os.environ.get("BIND_HOST", ports.LOOPBACK),
            gateway_url=os.environ.get("GATEWAY_URL", url),
            editor_command=self._editor_command,
            extra_environment=self._environment,
        )

    def up(
        self, observe: waiting.Observer = waiting.ignore, timeout: float = START_SECONDS
    ) -> bool:
        """Start everything and wait until it is healthy; say whether it had to be started.

        Raises PortsTakenError, SupervisorError, NotHealthyError (the stack is stopped again) or
        StackBusyError.
        """
        self.layout.create()
        with self._lock():
            fresh = not self.running
            plan = self.plan
            programs = self._start(plan) if fresh else self._running_programs(plan)
            try:
                self._wait(programs, timeout, observe)
            except BaseException:
                if fresh:
                    self._stop()
                raise
        return fresh

    def down(self) -> bool:
        """Stop everything this stack started, editors included; say whether there was anything.

        Data, and which instances ought to run, survive. Raises SupervisorError when a program
        cannot be stopped, or StackBusyError.
        """
        if not self.layout.root.exists():
            return False
        with self._lock():
            return self._stop()

    def pid(self, program: str) -> int:
        """Give a program's process id, 0 while it has none.

        Raises KeyError for an unknown program, NotRunningError when the stack does not run.
        """
        return self._supervisor.states()[program][1]

    def states(self) -> dict[str, tuple[str, int]]:
        """Give each program's state in the supervisor's words, and its process id."""
        return self._supervisor.states()

    def stop(self, program: str) -> None:
        """Stop one program; it stays stopped until `start`."""
        self._supervisor.stop([program], _STOP_SECONDS)

    def start(self, program: str, timeout: float = START_SECONDS) -> None:
        """Start a stopped program and wait until it is healthy."""
        self._supervisor.begin(program)
        self.wait_healthy([program], timeout)

    def restart(self, program: str, timeout: float = START_SECONDS) -> None:
        """Stop a program properly, start it again and wait until it is healthy."""
        self.stop(program)
        self.start(program, timeout)

    def wait_healthy(
        self, programs: Sequence[str] | None = None, timeout: float = START_SECONDS
    ) -> None:
        """Wait until `programs` (None: all) are healthy. Raises NotHealthyError."""
        chosen = [
            program
            for program in self._running_programs(self.plan)
            if programs is None or program.name in programs
        ]
        self._wait(chosen, timeout, waiting.ignore)

    def editors(self) -> list[psutil.Process]:
        """List the processes of this stack's editors."""
        plan = self.plan
        _, outside = processes.split_by_session(
            processes.of_stack(plan.stack_id), self._supervisor.pid()
        )
        return outside

    def _start(self, plan: Plan) -> list[Program]:
        self._end_leftovers(plan.stack_id)
        gateway = _gateway() if self._gateway else None
        names = [*planning.INFRASTRUCTURE, *plan.services, *(["envoy"] if gateway else [])]
        ports.require_free(planning.port_table(plan, names))
        plan.credentials.mint()
        programs = planning.programs(plan, gateway)
        self._supervisor.configure(programs)
        record.Record.of(plan, names).write(self.layout)
        self._supervisor.start({**os.environ, processes.STACK_MARKER: plan.stack_id})
        return programs

    def _running_programs(self, plan: Plan) -> list[Program]:
        running = self._supervisor.states()
        # Envoy's files are not written again: it watches them.
        return planning.programs(plan, (lambda _: []) if "envoy" in running else None)

    def _wait(self, programs: Sequence[Program], timeout: float, observe: waiting.Observer) -> None:
        waiting.until_healthy(
            self._supervisor,
            programs,
            timeout=timeout,
            logs=self.layout.logs,
            observe=observe,
        )

    def _stop(self) -> bool:
        known = record.read(self.layout)
        stopped = False
        with contextlib.suppress(NotRunningError):
            stopped = self._stop_supervised()
        rest = processes.of_stack(known.stack_id) if known else []
        processes.end(rest, _EDITOR_GRACE)
        self.layout.supervisor_socket.unlink(missing_ok=True)
        return stopped or bool(rest)

    def _stop_supervised(self) -> bool:
        states = self._supervisor.states()
        # The services first: nothing then starts an editor again that is ended next, and they
        # can still write to the databases while they stop.
        front = [name for name in states if name not in planning.INFRASTRUCTURE]
        self._supervisor.stop(front, _STOP_SECONDS)
        processes.end(self.editors(), _EDITOR_GRACE)
        self._supervisor.stop(planning.INFRASTRUCTURE, _STOP_SECONDS)
        daemon = psutil.Process(self._supervisor.pid())
        self._supervisor.shutdown()
        with contextlib.suppress(psutil.TimeoutExpired):  # the sweep that follows ends it
            daemon.wait(_STOP_SECONDS)
        return True

    def _end_leftovers(self, stack_id: str) -> None:
        """End what a supervisor that was killed left running, except editors: they are adopted."""
        try:
            session = int(self.layout.supervisor_pid.read_text())
        except (FileNotFoundError, ValueError):
            return
        inside, _ = processes.split_by_session(processes.of_stack(stack_id), session)
        processes.end(inside, _STOP_SECONDS)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with self.layout.lock.open("w") as file:
            deadline = time.monotonic() + _LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StackBusyError(
                            f"another up or down is at work on {self.layout.root}"
                        ) from None
                    time.sleep(0.1)
            yield


def _gateway() -> Callable[[Plan], list[str]] | None:
    """Find what prepares Envoy; None while the tree has no gateway."""
    if importlib.util.find_spec("services.devstack.gateway") is None:
        return None
    module = importlib.import_module("services.devstack.gateway")
    return cast("Callable[[Plan], list[str]]", module.prepare)
