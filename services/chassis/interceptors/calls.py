"""Counts the calls that are running, so that a server can wait for the last of them."""

import asyncio


class Calls:
    """The calls running in one server.

    gRPC's own `stop` returns before handlers have finished.
    """

    def __init__(self) -> None:
        self.running = 0
        """Handlers that have begun and not ended."""
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self) -> None:
        """Count a call in."""
        self.running += 1
        if self.running == 1:
            self._idle.clear()

    def end(self) -> None:
        """Count it out again."""
        self.running -= 1
        if self.running == 0:
            self._idle.set()

    async def wait_idle(self, seconds: float) -> bool:
        """Wait until no call runs; whether that happened in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
