"""Who waits for changes is told which instances changed, never how often.

A watcher that falls behind holds at most one entry an instance: it is told that the instance
changed and reads how it is now (level-triggered), so a slow reader costs nothing and misses
nothing that still matters.
"""

import asyncio
import contextlib
from collections.abc import Iterator


class Watcher:
    """One that waits for changes."""

    def __init__(self) -> None:
        # A dictionary for its order: who changed first is told first.
        self._changed: dict[str, None] = {}
        self._wake = asyncio.Event()

    def notify(self, instance_id: str) -> None:
        """Note that an instance changed."""
        self._changed[instance_id] = None
        self._wake.set()

    async def wait(self, timeout: float) -> list[str]:
        """Give the ids of instances that changed since last asked; none after `timeout` s."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        changed = list(self._changed)
        self._changed.clear()
        self._wake.clear()
        return changed


class Changes:
    """Spreads changes to every watcher."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    @contextlib.contextmanager
    def watch(self) -> Iterator[Watcher]:
        """Begin to note changes; read the state after this and nothing is missed."""
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def announce(self, instance_id: str) -> None:
        """Tell every watcher that an instance changed."""
        for watcher in self._watchers:
            watcher.notify(instance_id)
