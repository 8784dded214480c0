"""Background tasks that are meant to run for ever, and are watched.

A task that ends by itself, with an error or without, is a fault: it is
logged, counted, makes the service not ready until it runs again, and is
restarted with backoff.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

import structlog

from services.chassis import cancellation, connectors, errors, metrics

_log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]
"""A coroutine function of no arguments that runs until it is cancelled."""

FIRST_PAUSE = 0.5
"""Seconds before the first restart; doubles up to `LAST_PAUSE`."""

LAST_PAUSE = 30.0
"""Seconds before a restart at most: what went wrong may be mended by then."""

SETTLED = 60.0
"""Seconds a task must have run for its next fault to count as a first one."""


class Supervisor:
    """Runs named tasks."""

    def __init__(self, work: Mapping[str, Work]) -> None:
        self._work = dict(work)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._faults: dict[str, str] = {}

    @property
    def faults(self) -> Mapping[str, str]:
        """Tasks that are down right now, and why."""
        return dict(self._faults)

    @property
    def ready(self) -> connectors.Readiness:
        """Whether every task runs."""
        down = "; ".join(f"{name}: {why}" for name, why in self._faults.items())
        return connectors.Readiness(ok=not down, reason=down)

    def start(self) -> None:
        """Start every task."""
        for name, work in self._work.items():
            self._running[name] = asyncio.create_task(self._keep(name, work), name=name)

    async def stop(self, grace: float) -> None:
        """Cancel every task and wait for them, at most grace seconds."""
        for task in await cancellation.cancel(self._running.values(), grace=grace):
            _log.error("task does not end when cancelled", task=task.get_name())
        self._running.clear()

    async def _keep(self, name: str, work: Work) -> None:
        pause = FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                await work()
                reason = "ended by itself"
                _log.error("task ended by itself", task=name)
            except Exception as error:  # noqa: BLE001 - a watcher must outlive whatever it watches
                reason = self._log_fault(name, error)
            self._faults[name] = reason
            metrics.TASK_RESTARTS.labels(name).inc()
            if loop.time() - started >= SETTLED:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause = min(LAST_PAUSE, pause * 2)
            del self._faults[name]

    @staticmethod
    def _log_fault(name: str, error: Exception) -> str:
        known = errors.from_exception(error)
        if isinstance(known, errors.Unavailable):
            # A dependency is down, which its connector tells; a stack would only hide that.
            _log.warning("task failed", task=name, code=known.code)
            return known.code
        _log.error("task failed", task=name, exc_info=error)
        return type(error).__name__
