"""What instances use, sampled in the background and remembered for an hour."""

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import time

from services.chassis import clock, errors
from services.resource.runtimes import Runtime

_FRESH_SECONDS = 1.0
"""Samples taken on demand are at least this far apart, however many ask."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What one instance used over one stretch of time."""

    time: datetime.datetime
    """End of the stretch."""
    cpu_cores: float
    """Mean of the stretch."""
    memory: int
    """Bytes at its end; of processes, the share of memory that is theirs (PSS)."""
    storage: int
    """Bytes on disk at its end; looked at once a minute or less often."""
    processes: int
    """How many there were."""


class Usage:
    """The usage of all instances: now, and in the last hour."""

    def __init__(self, *, runtime: Runtime, every_seconds: float, history_samples: int) -> None:
        """Begin with no samples.

        Args:
            runtime: What measures.
            every_seconds: Time between two samples of history.
            history_samples: How many are kept of each instance.
        """
        self._runtime = runtime
        self.every_seconds = every_seconds
        self._history_samples = history_samples
        self._current: dict[str, Sample] = {}
        self._history: dict[str, collections.deque[Sample]] = {}
        self._sampled_at = -_FRESH_SECONDS
        self._sampling = asyncio.Lock()

    async def run(self) -> None:
        """Sample now and then, until cancelled."""
        while True:
            with contextlib.suppress(errors.Unavailable):  # the runtime: not ready yet
                await self._sample()
                # Not more often, however often it is measured on demand: every watch is told.
                self._runtime.announce_activity()
                self._remember()
            await asyncio.sleep(self.every_seconds)

    async def current(self) -> dict[str, Sample]:
        """Give the newest sample of every instance; takes one now for those that have none.

        Raises errors.Unavailable while the runtime cannot tell.
        """
        known = {workload.instance_id for workload in self._runtime.list()}
        async with self._sampling:
            is_old = time.monotonic() - self._sampled_at >= _FRESH_SECONDS
            if is_old and not known <= self._current.keys():
                await self._measure()
        return {name: one for name, one in self._current.items() if name in known}

    def history(self, instance_id: str) -> list[Sample]:
        """Give the samples of an instance's last hour, oldest first."""
        return list(self._history.get(instance_id, ()))

    async def _sample(self) -> None:
        async with self._sampling:
            await self._measure()

    async def _measure(self) -> None:
        measured = await self._runtime.measure()
        self._sampled_at = time.monotonic()
        now = clock.now()
        self._current = {
            name: Sample(now, one.cpu_cores, one.memory, one.storage, one.processes)
            for name, one in measured.items()
        }

    def _remember(self) -> None:
        self._history = {
            name: self._history.get(name, collections.deque(maxlen=self._history_samples))
            for name in self._current
        }
        for name, sample in self._current.items():
            self._history[name].append(sample)
