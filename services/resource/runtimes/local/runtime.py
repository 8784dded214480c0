"""Runs editors as processes: one thing at a time to each, and all taken over after a restart."""

import asyncio
import contextlib
import dataclasses
import weakref
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog

from services.chassis import clock, errors, tasks
from services.resource.changes import Changes
from services.resource.limits import Enforcement, Event
from services.resource.runtimes.local import adoption, ending, logfile, procfs, start, warden, wards
from services.resource.runtimes.local.activity import MEASURED, Observer, Thresholds
from services.resource.runtimes.local.background import Background
from services.resource.runtimes.local.directories import InstanceRoot
from services.resource.runtimes.local.disks import Disks
from services.resource.runtimes.local.editors import Editors
from services.resource.runtimes.local.health import Checks
from services.resource.runtimes.local.measure import Meter
from services.resource.runtimes.local.notices import write_notice
from services.resource.runtimes.local.records import Record
from services.resource.runtimes.local.state import State
from services.resource.workload import (
    Activity,
    Failure,
    Health,
    Measurement,
    Phase,
    Resources,
    Spec,
    Workload,
)

_log = structlog.get_logger(__name__)

_RESYNC_EVERY = 10.0
_LOCK_RETRY = 0.2
_LEFTOVERS_GRACE = 1.0
_WATCHERS_GRACE = 5.0
"""Seconds that what a dead editor left behind may take to end: its next start waits for it."""
_FIRST_WALK = 1.0
"""Seconds that who asks for a new instance's usage waits for the first look at its disk."""

_POLICY = wards.Policy()

Result = TypeVar("Result")


class LocalRuntime:
    """The runtime of one machine; see `runtimes.Runtime` for its promises.

    What is done to an instance runs under its lock in a task of its own, so that a caller who
    hangs up leaves nothing half done. Whatever line we die at: a record is written before its
    process is started, and the process carries a marker by which it is found again, so none
    is doubled and none is lost.
    """

    def __init__(
        self,
        *,
        container_root: Path,
        stack_id: str,
        editor_command: str,
        stop_grace: float,
        starts_at_once: int = 4,
        limits: wards.Policy = _POLICY,
        look_every: float = 2.0,
        auto_create_paths: Callable[[], bool] = lambda: True,
        thresholds: Thresholds = MEASURED,
        health_every: Callable[[], float] = lambda: 30.0,
    ) -> None:
        self._stack_id = stack_id
        self._stop_grace = stop_grace
        self._state = State(container_root)
        self._root = InstanceRoot(container_root)
        self._background = Background()
        self._observer = Observer(root=self._root, thresholds=thresholds)
        self._disks = Disks(self._root)
        self._meter = Meter(stack_id=stack_id, disks=self._disks, observer=self._observer)
        self._measuring = asyncio.Lock()
        self._editors = Editors(
            state=self._state,
            root=self._root,
            background=self._background,
            container_root=container_root.absolute(),
            stack_id=stack_id,
            editor_command=editor_command,
            starts_at_once=starts_at_once,
            auto_create_paths=auto_create_paths,
            on_spawn=self._admit,
            on_exit=self._clean_soon,
        )
        self._warden = warden.Warden(
            stack_id=stack_id, root=self._root, disks=self._disks, policy=limits
        )
        self._checks = Checks(
            ready=self._answering,
            editor_command=editor_command,
            every=health_every,
            background=self._background,
            on_change=self._state.changes.announce,
        )
        self._look_every = look_every
        self._look = asyncio.Event()
        # Instances of which something may run although their editor does not.
        self._unclean: set[str] = set()
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._freeing = asyncio.Lock()
        self._is_ready = False

    @property
    def changes(self) -> Changes:
        """See Runtime."""
        return self._state.changes

    @property
    def is_ready(self) -> bool:
        """Whether what ran already has been taken over."""
        return self._is_ready

    async def run(self) -> None:
        """Take over what runs, then look after it until cancelled; leaves all editors running."""
        waited = False
        while not await asyncio.to_thread(self._state.files.try_lock):
            if not waited:
                _log.warning("another resource service acts on these workloads; waiting for it")
                waited = True
            await asyncio.sleep(_LOCK_RETRY)
        watchers = tasks.Supervisor(
            {
                "walk disks": self._disks.run,
                "hold limits": self._hold,
                "check editors": self._checks.run,
            }
        )
        try:
            await self._take_over()
            self._is_ready = True
            self._background.start(self._free_disk())
            watchers.start()
            while True:
                await self._end_leftovers()
                await asyncio.sleep(_RESYNC_EVERY)
        finally:
            self._is_ready = False
            await watchers.stop(_WATCHERS_GRACE)
            await self._background.stop()
            self._editors.release()
            self._state.files.unlock()

    async def apply(self, spec: Spec) -> Workload:
        """See Runtime."""
        return await self._exclusively(spec.instance_id, lambda: self._apply(spec))

    async def stop(self, instance_id: str) -> Workload:
        """See Runtime."""
        return await self._exclusively(instance_id, lambda: self._stop(instance_id))

    async def delete(self, instance_id: str) -> None:
        """See Runtime. The disk is freed afterwards, in the background."""
        await self._exclusively(instance_id, lambda: self._delete(instance_id))

    def get(self, instance_id: str) -> Workload | None:
        """See Runtime."""
        self._check_ready()
        record = self._state.get(instance_id)
        return None if record is None else record.workload

    def list(self) -> Sequence[Workload]:
        """See Runtime."""
        self._check_ready()
        return [record.workload for record in self._state.all()]

    async def logs(self, instance_id: str, lines: int) -> Sequence[str]:
        """See Runtime."""
        return await asyncio.to_thread(logfile.tail, self._root.of(instance_id), lines)

    async def notify(self, instance_id: str, message: str, *, offer_to_keep: bool) -> None:
        """See Runtime."""
        self._check_ready()
        notice = {"message": message, "offer_to_keep": offer_to_keep} if message else None
        await asyncio.to_thread(write_notice, self._root.of(instance_id), notice)

    def activity(self, instance_id: str) -> Activity | None:
        """See Runtime."""
        return self._observer.activity(instance_id)

    def announce_activity(self) -> None:
        """See Runtime."""
        for instance_id in self._observer.news():
            self._state.changes.announce(instance_id)

    def health(self, instance_id: str) -> Health | None:
        """See Runtime."""
        return self._checks.health(instance_id)

    async def measure(self) -> Mapping[str, Measurement]:
        """See Runtime."""
        self._check_ready()
        async with self._measuring:
            running = self._editors.running()
            known = (record.workload.instance_id for record in self._state.all())
            idle = [instance_id for instance_id in known if instance_id not in running]
            return await asyncio.to_thread(self._meter.measure, running, idle)

    async def measure_new(self, instance_ids: Collection[str]) -> Mapping[str, Measurement]:
        """See Runtime. Waits a moment for the first look at their disks."""
        self._check_ready()
        await self._disks.wait_known(instance_ids, _FIRST_WALK)
        running = {
            name: one for name, one in self._editors.running().items() if name in instance_ids
        }
        idle = [name for name in instance_ids if name not in running]
        return await asyncio.to_thread(self._meter.measure_new, running, idle)

    def enforcement(self, instance_id: str, resources: Resources) -> Sequence[Enforcement]:
        """See Runtime."""
        return self._warden.enforcement(instance_id, resources)

    def limit_events(self, instance_id: str) -> Sequence[Event]:
        """See Runtime."""
        return self._warden.events(instance_id)

    def port_is_free(self, port: int) -> bool:
        """See Runtime."""
        return start.port_is_free(port)

    async def _apply(self, spec: Spec) -> Workload:
        name = spec.instance_id
        record = self._state.get(name)
        if record is not None and self._editors.is_running(name):
            asked = record.workload.spec
            if asked is not None and asked.web_port == spec.web_port:
                if asked != spec:
                    changed = dataclasses.replace(record.workload, spec=spec)
                    record = self._state.put(dataclasses.replace(record, workload=changed))
                    await self._state.try_save(name)
                    self._look.set()
                return record.workload
            await self._end(name, self._stop_grace)
        elif name in self._unclean:
            await self._end(name, _LEFTOVERS_GRACE)
        try:
            return await self._editors.start(spec)
        except start.CannotStart as error:
            failure = Failure(error.code, error.message, clock.now())
            paths = await asyncio.to_thread(self._root.of(name).exist)
            failed = Workload(name, Phase.EXITED, spec, failure=failure, paths_ready=paths)
            self._state.put(Record(failed))
            await self._state.try_save(name)
            raise errors.FailedPrecondition(error.code, error.message, instance_id=name) from error

    async def _stop(self, instance_id: str) -> Workload:
        await self._end(instance_id, self._stop_grace)
        record = self._state.get(instance_id)
        if record is None:
            paths = await asyncio.to_thread(self._root.of(instance_id).exist)
            return Workload(instance_id, Phase.STOPPED, paths_ready=paths)
        stopped = dataclasses.replace(
            record.workload, phase=Phase.STOPPED, runtime_id="", exit_code=0, failure=None
        )
        if stopped != record.workload:
            self._state.put(Record(stopped))
            await self._state.try_save(instance_id)
        return stopped

    async def _delete(self, instance_id: str) -> None:
        await self._end(instance_id, self._stop_grace)
        if await asyncio.to_thread(self._root.discard, instance_id):
            self._background.start(self._free_disk())
        self._state.remove(instance_id)
        self._warden.forget(instance_id)
        self._disks.forget(instance_id)
        await self._state.save(instance_id)

    async def _end(self, instance_id: str, grace: float) -> None:
        await self._editors.end(instance_id, grace)
        self._unclean.discard(instance_id)

    async def _free_disk(self) -> None:
        async with self._freeing:
            await asyncio.to_thread(self._root.empty_trash)

    def _admit(self, spec: Spec, identity: procfs.Identity) -> None:
        self._warden.admit(spec.instance_id, spec.resources, identity)

    async def _hold(self) -> None:
        """Hold instances to their limits, now and then and whenever limits change."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_every):
                    await self._look.wait()
            self._look.clear()
            try:
                await asyncio.to_thread(self._warden.look, self._held())
            except Exception:  # noqa: BLE001 - it outlives whatever it looks at
                # Whatever it was: without the next look nobody is held to anything any more.
                warden.FAILED.inc()
                _log.exception("limits were not looked at")

    def _held(self) -> Mapping[str, wards.Held]:
        """Give the editors that run, with what they may use."""
        held = {}
        for name, identity in self._editors.running().items():
            record = self._state.get(name)
            if record is not None and record.workload.spec is not None:
                workload = record.workload
                ready = workload.phase is Phase.READY
                held[name] = wards.Held(identity, record.workload.spec.resources, ready)
        return held

    def _answering(self) -> Mapping[str, tuple[procfs.Identity, int]]:
        """Give the editors that answered once and are to go on, with their ports."""
        found = {}
        for name, identity in self._editors.running().items():
            record = self._state.get(name)
            workload = record.workload if record is not None else None
            if workload is not None and workload.phase is Phase.READY and workload.spec is not None:
                found[name] = (identity, workload.spec.web_port)
        return found

    async def _take_over(self) -> None:
        """Make what we remember and what runs one again."""
        records = await self._state.load()
        table = await asyncio.to_thread(procfs.read_table)
        found = {
            process.instance_id: process.identity
            for process in table.values()
            if process.stack_id == self._stack_id and process.is_root and not process.is_zombie
        }
        for instance_id, record in records.items():
            paths = await asyncio.to_thread(self._root.of(instance_id).exist)
            workload = dataclasses.replace(record.workload, paths_ready=paths)
            is_alive = record.process is not None and procfs.is_alive(record.process)
            decision = adoption.decide(record, is_alive=is_alive, found=found.get(instance_id))
            self._carry_out(dataclasses.replace(record, workload=workload), decision)
            await self._state.try_save(instance_id)

    def _carry_out(self, record: Record, decision: adoption.Decision) -> None:
        workload = record.workload
        name = workload.instance_id
        process = decision.process
        adopted = process is not None and self._editors.adopt(record, process)
        match decision.verdict:
            case adoption.Verdict.ADOPT if adopted:
                return
            case adoption.Verdict.FINISH_STOP:
                if not adopted:
                    self._state.put(record)
                self._background.start(self._locked(name, lambda: self._stop(name)))
                return
            case adoption.Verdict.NEVER_STARTED:
                workload = dataclasses.replace(workload, phase=Phase.STOPPED, runtime_id="")
            case adoption.Verdict.ADOPT | adoption.Verdict.EXITED:
                failure = ending.explain(None, was_ready=True, log=(), port=0)
                workload = dataclasses.replace(
                    workload, phase=Phase.EXITED, runtime_id="", exit_code=0, failure=failure
                )
        self._state.put(Record(workload))

    async def _end_leftovers(self) -> None:
        """End what carries our marker and belongs to no editor that is to run."""
        table = await asyncio.to_thread(procfs.read_table)
        marked = {one.instance_id for one in table.values() if one.stack_id == self._stack_id}
        for instance_id in marked - self._editors.running().keys():
            self._clean_soon(instance_id)

    def _clean_soon(self, instance_id: str) -> None:
        self._unclean.add(instance_id)
        self._background.start(self._locked(instance_id, lambda: self._clean(instance_id)))

    async def _clean(self, instance_id: str) -> None:
        # Looked at again: while this waited for the lock, an editor may have been started.
        if instance_id in self._unclean and not self._editors.is_running(instance_id):
            await self._end(instance_id, _LEFTOVERS_GRACE)

    async def _exclusively(
        self, instance_id: str, work: Callable[[], Coroutine[Any, Any, Result]]
    ) -> Result:
        self._check_ready()
        return await asyncio.shield(self._background.run(self._locked(instance_id, work)))

    async def _locked(
        self, instance_id: str, work: Callable[[], Coroutine[Any, Any, Result]]
    ) -> Result:
        lock = self._locks.get(instance_id)
        if lock is None:
            self._locks[instance_id] = lock = asyncio.Lock()
        async with lock:
            return await work()

    def _check_ready(self) -> None:
        if not self._is_ready:
            raise errors.Unavailable(
                "RUNTIME_NOT_READY", "The workloads are being taken over; try again shortly"
            )
