"""A queue of instances to look at: each at most once in it, and never looked at twice at a time."""

import asyncio
import enum
import itertools


class Urgency(enum.IntEnum):
    """Who waits: people before repairs before routine."""

    HUMAN = 0
    """Somebody just asked for something."""
    REPAIR = 1
    """Something happened to a workload, or a pause is over."""
    ROUTINE = 2
    """The regular look at everything."""


class Workqueue:
    """Keys in order of urgency, then of arrival.

    A key that is added while it is being worked on is given out again afterwards. The number of
    keys is bounded by the number of instances.
    """

    def __init__(self) -> None:
        self._entries: asyncio.PriorityQueue[tuple[Urgency, int, str]] = asyncio.PriorityQueue()
        self._waiting: dict[str, Urgency] = {}
        self._again: dict[str, Urgency] = {}
        self._busy: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: str, urgency: Urgency) -> None:
        """Add a key; one that waits already becomes as urgent as the more urgent of both."""
        if key in self._busy:
            self._again[key] = min(urgency, self._again.get(key, urgency))
            return
        waiting = self._waiting.get(key)
        if waiting is not None and waiting <= urgency:
            return
        self._waiting[key] = urgency
        self._entries.put_nowait((urgency, next(self._order), key))

    def add_later(self, key: str, seconds: float, urgency: Urgency) -> None:
        """Add a key after a while, or earlier if it was to be added earlier anyway."""
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(when, self._due, key, urgency)

    async def get(self) -> tuple[str, Urgency]:
        """Wait for the most urgent key and take it; `done` has to follow."""
        while True:
            urgency, _, key = await self._entries.get()
            # A key that became more urgent has left its earlier entry behind.
            if self._waiting.get(key) is urgency:
                del self._waiting[key]
                self._busy.add(key)
                return key, urgency

    def done(self, key: str) -> None:
        """Give a key back; one that was added meanwhile comes again."""
        self._busy.discard(key)
        urgency = self._again.pop(key, None)
        if urgency is not None:
            self.add(key, urgency)

    def close(self) -> None:
        """Forget what is to be added later."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _due(self, key: str, urgency: Urgency) -> None:
        self._timers.pop(key, None)
        self.add(key, urgency)
