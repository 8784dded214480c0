"""What instances use, sampled in the background and remembered for an hour."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Mapping

import structlog
from prometheus_client import Counter, Gauge, Histogram

from services.chassis import clock, errors
from services.resource.archive import Archive
from services.resource.runtimes import Runtime
from services.resource.samples import History, Sample, at
from services.resource.workload import Measurement

_log = structlog.get_logger(__name__)

SECONDS = Histogram(
    "codestudio_usage_sample_seconds",
    "Time it took to measure all instances once, in seconds.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
MISSED = Counter(
    "codestudio_usage_samples_missed", "Samples that were due and not taken: gaps in the history."
)
UNSAVED = Counter(
    "codestudio_usage_samples_unsaved",
    "Samples that are in memory only, and lost at a restart: Redis was away or refused.",
)

CPU = Gauge("codestudio_usage_cpu_cores", "CPU in use, in cores.", ("namespace",))
MEMORY = Gauge("codestudio_usage_memory_bytes", "Memory in use, in bytes.", ("namespace",))
STORAGE = Gauge("codestudio_usage_storage_bytes", "Disk in use, in bytes.", ("namespace",))

_FRESH_SECONDS = 1.0
"""New instances are measured on demand at most this often, however many ask."""


class Usage:
    """The usage of all instances: now, and in the last hour."""

    def __init__(self, *, runtime: Runtime, archive: Archive, history: History) -> None:
        """Begin with no samples.

        Args:
            runtime: What measures.
            archive: Where the history outlives us.
            history: The history, empty.
        """
        self._runtime = runtime
        self._archive = archive
        self._history = history
        self._unread: set[str] | None = None
        self._is_saved = True
        # Gone, and not yet in the archive too.
        self._gone: set[str] = set()
        # Gone since the measurement that is under way began.
        self._left: set[str] = set()
        self._current: dict[str, Sample] = {}
        # Of those the next sample will be the first of.
        self._early: dict[str, Sample] = {}
        self._asked_at = -_FRESH_SECONDS
        self._sampling = asyncio.Lock()

    @property
    def resolution(self) -> float:
        """Seconds between two samples of the history."""
        return self._history.resolution

    async def run(self) -> None:
        """Sample at every tick, until cancelled."""
        while True:
            with contextlib.suppress(errors.Unavailable):  # the runtime: not ready yet
                # Of what ran before us only a second look tells what it uses since.
                await self._sample()
                break
            await asyncio.sleep(_FRESH_SECONDS)
        tick = 0.0
        while True:
            before, tick = tick, self._history.next_tick(time.time())
            if tick == before:  # woken a moment too early
                tick += self.resolution
            await asyncio.sleep(tick - time.time())
            if time.time() >= tick + self.resolution / 2:
                # The machine slept or is overloaded: this stretch was not the one it claims.
                MISSED.inc()
                continue
            with contextlib.suppress(errors.Unavailable):
                await self._sample()
                # Not more often, however often it is measured on demand: every watch is told.
                self._runtime.announce_activity()
                await self._remember(tick)
            # What it took longer than a stretch was not sampled.
            MISSED.inc(max(0.0, (time.time() - tick) // self.resolution))

    async def current(self) -> dict[str, Sample]:
        """Give the newest sample of every instance; measures those now that have none.

        These have used what they used since they began; the samples' own stretches stay as they
        are, however often somebody asks.

        Raises errors.Unavailable while the runtime cannot tell.
        """
        known = {workload.instance_id for workload in self._runtime.list()}
        async with self._sampling:
            new = known - self._current.keys() - self._early.keys()
            if new and time.monotonic() - self._asked_at >= _FRESH_SECONDS:
                self._left.clear()
                measured = await self._runtime.measure_new(new)
                self._asked_at = time.monotonic()
                self._early |= self._samples(measured)
        found = self._early | self._current
        return {name: one for name, one in found.items() if name in known}

    def history(self, instance_id: str) -> list[Sample]:
        """Give the samples of an instance's last hour, oldest first; gaps are gaps."""
        return self._history.of(instance_id, clock.now())

    async def forget(self, instance_id: str) -> None:
        """Drop all samples of an instance that is gone: the next of that name is another's.

        Where Redis is away they are dropped there as soon as it is back.
        """
        self._history.forget(instance_id)
        self._current.pop(instance_id, None)
        self._early.pop(instance_id, None)
        if self._unread is not None:
            self._unread.discard(instance_id)
        self._left.add(instance_id)
        # At the next tick once more: a sample may be on its way.
        self._gone.add(instance_id)
        try:
            await self._archive.write({}, [instance_id])
        except Exception as error:
            known = errors.from_exception(error)
            if isinstance(known, errors.Internal):
                raise

    async def _sample(self) -> None:
        async with self._sampling:
            self._left.clear()
            with SECONDS.time():
                measured = await self._runtime.measure()
            self._current = self._samples(measured)
            self._early = {
                name: one for name, one in self._early.items() if name not in self._current
            }

    def _samples(self, measured: Mapping[str, Measurement]) -> dict[str, Sample]:
        now = clock.now()
        return {
            name: Sample(now, one.cpu_cores, one.memory, one.storage, one.processes, one.storage_at)
            for name, one in measured.items()
            if name not in self._left
        }

    async def _remember(self, tick: float) -> None:
        samples = {
            name: dataclasses.replace(one, time=at(tick)) for name, one in self._current.items()
        }
        if self._unread is None:
            self._unread = set(samples)
        self._tell(samples)
        gone, self._gone = self._history.add(samples) | self._gone, set()
        self._unread -= gone
        try:
            await self._restore()
            await self._archive.write(samples, gone)
        except Exception as error:
            self._gone |= gone
            known = errors.from_exception(error)
            if isinstance(known, errors.Internal):
                raise
            UNSAVED.inc(len(samples))
            if self._is_saved:  # once, not at every tick
                _log.warning("samples of usage are not saved", code=known.code, why=known.message)
            self._is_saved = False
        else:
            if not self._is_saved:
                _log.info("samples of usage are saved again")
            self._is_saved = True

    def _tell(self, samples: Mapping[str, Sample]) -> None:
        """Show what each namespace uses."""
        namespaces = {
            one.instance_id: one.spec.namespace for one in self._runtime.list() if one.spec
        }
        sums: dict[str, tuple[float, int, int]] = {}
        for name, one in samples.items():
            namespace = namespaces.get(name, "")
            cpu, memory, storage = sums.get(namespace, (0.0, 0, 0))
            sums[namespace] = (cpu + one.cpu_cores, memory + one.memory, storage + one.storage)
        for gauge, number in ((CPU, 0), (MEMORY, 1), (STORAGE, 2)):
            gauge.clear()
            for namespace, used in sums.items():
                gauge.labels(namespace).set(used[number])

    async def _restore(self) -> None:
        """Read what our last life kept of the instances we found."""
        for instance_id in sorted(self._unread or ()):
            samples = await self._archive.read(instance_id)
            assert self._unread is not None
            if instance_id in self._unread:  # not forgotten meanwhile
                self._history.restore(instance_id, samples)
                self._unread.discard(instance_id)
