"""Hears of every change of an instance, and knows since when it has missed none.

Every replica listens for itself. What was looked at after it began to listen, and has not been
announced as changed since, is as it was; anything else may not be. So after NATS was away, or
Redis when something was to be forgotten, whatever was kept before counts for nothing.
"""

import asyncio
import contextlib
import datetime
from collections.abc import Iterator

import nats.errors
from nats.aio.msg import Msg

from services.chassis import clock, connectors
from services.path.store import Store, Unreachable

SUBJECTS = "events.instance.>"
"""Where the Instance service tells of changes: ``events.instance.<namespace>.<id>``."""

_CHECK_EVERY = 1.0
"""Seconds between two looks at the connection while nothing is heard."""


class Looking:
    """Somebody looks at an instance's files, and wants to keep what is seen."""

    def __init__(self) -> None:
        self.outdated = False
        """Whether the instance has changed since."""


class Changes:
    """Forgets what is kept of instances that change."""

    def __init__(
        self, *, nats: connectors.Nats, store: Store, clock_skew: datetime.timedelta
    ) -> None:
        """Prepare.

        Args:
            nats: The connection.
            store: Where to forget.
            clock_skew: How far the clocks of two replicas may be apart.
        """
        self._nats = nats
        self._store = store
        self._clock_skew = clock_skew
        self._since: datetime.datetime | None = None
        self._reconnects = 0
        self._waiting: set[str] = set()
        self._told = asyncio.Event()
        self._looking: dict[str, set[Looking]] = {}

    def trusts(self, moment: datetime.datetime) -> bool:
        """Whether every change since a moment would have been heard of."""
        since = self._listening_since()
        return since is not None and moment >= since + self._clock_skew

    @contextlib.contextmanager
    def looking(self, instance_id: str) -> Iterator[Looking]:
        """Note that an instance is being looked at."""
        mark = Looking()
        self._looking.setdefault(instance_id, set()).add(mark)
        try:
            yield mark
        finally:
            marks = self._looking[instance_id]
            marks.discard(mark)
            if not marks:
                del self._looking[instance_id]

    async def drop(self, instance_id: str) -> None:
        """Forget what is kept of an instance: it is not so any more."""
        self._announce(instance_id)
        await self._forget()

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._nats.wait_ready()
        subscription = await self._nats.client.subscribe(SUBJECTS, cb=self._hear)
        try:
            self._begin()
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CHECK_EVERY):
                        await self._told.wait()
                self._listening_since()
                await self._forget()
        finally:
            self._since = None
            with contextlib.suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()

    async def _hear(self, message: Msg) -> None:
        self._announce(message.subject.rpartition(".")[2])

    def _announce(self, instance_id: str) -> None:
        for mark in self._looking.get(instance_id, ()):
            mark.outdated = True
        self._waiting.add(instance_id)
        self._told.set()

    async def _forget(self) -> None:
        self._told.clear()
        changed, self._waiting = self._waiting, set()
        if not changed:
            return
        try:
            await self._store.drop(changed)
        except Unreachable:
            # It may have it still when it comes back.
            if self._since is not None:
                self._since = clock.now()

    def _begin(self) -> None:
        self._reconnects = self._nats.client.stats["reconnects"]
        self._since = clock.now()

    def _listening_since(self) -> datetime.datetime | None:
        """Since when nothing was missed; None where something may be missed right now."""
        if self._since is None or not self._nats.client.is_connected:
            return None
        if self._nats.client.stats["reconnects"] != self._reconnects:
            # What happened in between nobody told us.
            self._begin()
        return self._since
