"""When a stream's headers go out."""

import asyncio
from typing import Any

_PATIENCE = 0.25
"""Seconds to wait for a first answer. A refusal comes well before; a watch may be quiet for long,
and its client wants to know that it is open."""


class Opening:
    """Sends the headers of one stream with its first answer, or soon where there is none yet.

    Not at once: what is refused before has no headers, and so reaches REST callers with the
    status of its error instead of 200.
    """

    def __init__(self, rpc: Any) -> None:
        """Begin to wait; `stop` has to follow."""
        self._rpc = rpc
        self._sending: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._send)

    async def now(self) -> None:
        """Return when they are out."""
        self._timer.cancel()
        if self._sending is None:
            self._send()
        assert self._sending is not None
        await self._sending

    async def stop(self) -> None:
        """Wait no longer; what is being sent is sent."""
        self._timer.cancel()
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)

    def _send(self) -> None:
        self._sending = asyncio.create_task(
            self._rpc.send_initial_metadata(self._rpc.trailing_metadata()), name="open stream"
        )
