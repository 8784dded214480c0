"""Channels of a stream whose documents are being loaded, and what came for them since.

Loading takes as long as the database does; meanwhile the stream's other channels go on. Messages
for a channel stay in their order: what comes behind its join waits until that is done.
"""

import asyncio
import collections
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from codestudio.collaboration.v1 import collaborate_pb2

_BYTES = 1024**2
"""Bytes of messages that may wait; then nothing further is read."""
_BESIDE = 200
"""Bytes a message takes beside its content, about."""

Request = collaborate_pb2.CollaborateRequest

Take: TypeAlias = Callable[[Request], Awaitable[None]]
"""Does what a message says, and waits for what that needs; must not raise."""


class _Channel:
    def __init__(self) -> None:
        self.later: collections.deque[Request] = collections.deque()
        self.task: asyncio.Task[None] | None = None


class Joining:
    """Takes what belongs behind a join that has to wait."""

    def __init__(self) -> None:
        self.channels: dict[int, _Channel] = {}
        """By their numbers."""
        self._waiting = 0

    @property
    def full(self) -> bool:
        """Whether so much waits that nothing further should be read."""
        return self._waiting > _BYTES

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs for it."""
        return [one.task for one in self.channels.values() if one.task is not None]

    def begin(self, join: Request, take: Take) -> None:
        """Take a join, however long it has to wait.

        Args:
            join: The message.
            take: Does what it says, and then what those say that come behind it.
        """
        channel = self.channels[join.channel] = _Channel()
        channel.task = asyncio.create_task(
            self._run(join, channel.later, take), name=f"join channel {join.channel}"
        )

    def keeps(self, request: Request) -> bool:
        """Keep a message for later where it is behind a join; whether it is."""
        channel = self.channels.get(request.channel)
        if channel is None:
            return False
        channel.later.append(request)
        self._waiting += request.ByteSize() + _BESIDE
        return True

    async def drained(self) -> None:
        """Wait until it is not full any more."""
        while self.full:
            await self._progress()

    async def done(self) -> None:
        """Wait until nothing waits any more."""
        while self.channels:
            await self._progress()

    async def _progress(self) -> None:
        await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _run(self, request: Request, later: collections.deque[Request], take: Take) -> None:
        try:
            await take(request)
            while later:
                following = later.popleft()
                self._waiting -= following.ByteSize() + _BESIDE
                await take(following)
        finally:
            del self.channels[request.channel]
