"""The editors that run: started or adopted, followed to their end, ended."""

import asyncio
import contextlib
import dataclasses
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from services.chassis import clock
from services.resource.runtimes.local import editor, ending, logfile, readiness, start
from services.resource.runtimes.local.background import Background
from services.resource.runtimes.local.directories import InstanceRoot
from services.resource.runtimes.local.process import EditorProcess, spawn
from services.resource.runtimes.local.procfs import Identity
from services.resource.runtimes.local.records import Record
from services.resource.runtimes.local.state import State
from services.resource.runtimes.local.termination import end_instance
from services.resource.workload import Phase, Spec, Workload, fingerprint

_log = structlog.get_logger(__name__)

_EXPLAIN_LINES = 50
_TURN_SECONDS = 15.0
"""How long an editor that does not answer may keep the next from starting."""


class Editors:
    """Starts and ends editors; what is done to one instance, its caller does one at a time."""

    def __init__(
        self,
        *,
        state: State,
        root: InstanceRoot,
        background: Background,
        container_root: Path,
        stack_id: str,
        editor_command: str,
        starts_at_once: int,
        auto_create_paths: Callable[[], bool],
        on_spawn: Callable[[Spec, Identity], None],
        on_exit: Callable[[str], None],
    ) -> None:
        """Begin with no editors.

        Args:
            state: Where workloads are kept.
            root: The instances' directories.
            background: Where editors are followed.
            container_root: CONTAINER_ROOT of the editors' environment.
            stack_id: Marks what is ours.
            editor_command: The editor, or empty to look it up.
            starts_at_once: Editors that may be starting at one time; others wait their turn.
            auto_create_paths: Tells whether a start makes the directories that are missing.
            on_spawn: Told of each editor before it begins its work; may block some ms.
            on_exit: Told of each instance whose editor ended by itself.
        """
        self._state = state
        self._root = root
        self._background = background
        self._container_root = container_root
        self._stack_id = stack_id
        self._editor_command = editor_command
        self._starting = asyncio.Semaphore(starts_at_once)
        self._auto_create_paths = auto_create_paths
        self._on_spawn = on_spawn
        self._on_exit = on_exit
        self._processes: dict[str, EditorProcess] = {}

    def running(self) -> Mapping[str, Identity]:
        """Give the editors that run, by instance id."""
        return {
            instance_id: process.identity
            for instance_id, process in self._processes.items()
            if process.is_running
        }

    def is_running(self, instance_id: str) -> bool:
        """Tell whether an instance's editor runs."""
        process = self._processes.get(instance_id)
        return process is not None and process.is_running

    def release(self) -> None:
        """Watch none any more; they go on."""
        for process in self._processes.values():
            process.release()
        self._processes.clear()

    async def start(self, spec: Spec) -> Workload:
        """Start an editor where none runs; returns when its process is there.

        Raises start.CannotStart.
        """
        name = spec.instance_id
        prepared = await asyncio.to_thread(
            start.prepare,
            spec,
            self._root.of(name),
            editor_command=self._editor_command,
            stack_id=self._stack_id,
            container_root=self._container_root,
            auto_create_paths=self._auto_create_paths(),
        )
        promise = Workload(
            name,
            Phase.STARTING,
            spec,
            start_time=clock.now(),
            paths_ready=True,
            started_environment=fingerprint(spec.environment),
        )
        try:
            # Before the deed: should we die right after it, the process is known to be wanted.
            self._state.put(Record(promise, log_position=prepared.log_position))
            await self._state.save(name)
            identity, child, gate = await asyncio.to_thread(
                spawn, prepared.command, prepared.environment, prepared.directory, prepared.log
            )
        except OSError as error:
            raise start.CannotStart(
                ending.EDITOR_NOT_STARTED, f"The editor cannot be started: {error.strerror}"
            ) from error
        finally:
            os.close(prepared.log)
        workload = dataclasses.replace(promise, runtime_id=f"pid {identity.pid}")
        self._state.put(Record(workload, identity, prepared.log_position))
        await asyncio.to_thread(self._on_spawn, spec, identity)
        self._watch(name, EditorProcess(identity, child, gate))
        await self._state.try_save(name)
        _log.info("editor started", instance_id=name, pid=identity.pid, port=spec.web_port)
        return workload

    def adopt(self, record: Record, identity: Identity) -> bool:
        """Take over an editor that runs; False where it has just ended."""
        try:
            process = EditorProcess(identity)
        except ProcessLookupError:
            return False
        name = record.workload.instance_id
        workload = dataclasses.replace(record.workload, runtime_id=f"pid {identity.pid}")
        self._state.put(dataclasses.replace(record, workload=workload, process=identity))
        self._watch(name, process)
        _log.info("editor adopted", instance_id=name, pid=identity.pid)
        return True

    async def end(self, instance_id: str, grace: float) -> None:
        """End everything of an instance, whether its editor runs or only left something."""
        record = self._state.get(instance_id)
        process = self._processes.get(instance_id)
        if record is not None and process is not None and process.is_running:
            stopping = dataclasses.replace(record.workload, phase=Phase.STOPPING)
            self._state.put(dataclasses.replace(record, workload=stopping))
            await self._state.try_save(instance_id)
        root = None if process is None else process.identity
        await end_instance(self._stack_id, instance_id, root, grace)
        if process is not None:
            await process.exited
            if self._processes.get(instance_id) is process:
                del self._processes[instance_id]

    def _watch(self, instance_id: str, process: EditorProcess) -> None:
        self._processes[instance_id] = process
        self._background.start(self._follow(instance_id, process))

    async def _follow(self, instance_id: str, process: EditorProcess) -> None:
        """Follow an editor to its end."""
        record = self._state.get(instance_id)
        if record is not None and record.workload.phase is Phase.STARTING:
            async with self._turn():
                await self._follow_start(instance_id, process, record)
        code = await process.exited
        record = self._state.get(instance_id)
        if self._processes.get(instance_id) is not process or record is None:
            return
        if record.workload.phase is Phase.STOPPING:
            return  # whoever ends it sees to the rest
        del self._processes[instance_id]
        # Before anybody is told: who starts it again at once must wait for what is left of it,
        # such as code-server's second process, which still holds the port.
        self._on_exit(instance_id)
        await self._note_exit(record, code)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a turn to start an editor.

        A start is all work for the processor. Taken in turn, the first editors answer while the
        last still wait, none is later than if all had begun together, and the services get their
        share. One that takes too long loses its turn, not its start.
        """
        await self._starting.acquire()
        ending = contextlib.ExitStack()
        ending.callback(self._starting.release)
        timer = asyncio.get_running_loop().call_later(_TURN_SECONDS, ending.close)
        try:
            yield
        finally:
            timer.cancel()
            ending.close()

    async def _follow_start(self, instance_id: str, process: EditorProcess, record: Record) -> None:
        spec = record.workload.spec
        assert spec is not None, "what was started was asked for"
        path = await asyncio.to_thread(editor.health_path, self._editor_command)
        process.proceed()
        started = time.monotonic()
        ready = asyncio.create_task(
            readiness.wait_ready(spec.web_port, path, process.identity.pid, started)
        )
        try:
            either: set[asyncio.Future[Any]] = {ready, process.exited}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                return
            ready.result()
        finally:
            ready.cancel()
        at = clock.now()
        while process.is_running:
            record = self._state.get(instance_id) or record
            if record.workload.phase is not Phase.STARTING:
                return
            workload = dataclasses.replace(record.workload, phase=Phase.READY, ready_time=at)
            if await self._state.put_lasting(dataclasses.replace(record, workload=workload)):
                return

    async def _note_exit(self, record: Record, code: int | None) -> None:
        workload = record.workload
        name = workload.instance_id
        assert workload.spec is not None, "what ended was asked for"
        lines = await asyncio.to_thread(
            logfile.tail, self._root.of(name), _EXPLAIN_LINES, since=record.log_position
        )
        failure = ending.explain(
            code,
            was_ready=workload.ready_time is not None,
            log=lines,
            port=workload.spec.web_port,
        )
        if self._state.get(name) is not record:
            return  # started anew meanwhile
        exited = dataclasses.replace(
            workload, phase=Phase.EXITED, runtime_id="", exit_code=code or 0, failure=failure
        )
        self._state.put(Record(exited))
        _log.warning("editor ended", instance_id=name, code=code, why=failure.message)
        await self._state.try_save(name)
