"""Work that outlives whoever began it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

_log = structlog.get_logger(__name__)

Result = TypeVar("Result")


class Background:
    """Tasks that are kept until they end; what fails unseen is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run work that nobody waits for."""
        task = self.run(work)
        task.add_done_callback(_tell)
        return task

    def run(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run work whose caller waits for it, but may give up."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancel everything and wait for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tell(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("background work failed", exc_info=error)
