"""Ends tasks for certain.

A cancellation can get lost: `asyncio.wait_for` of Python 3.11 returns its result instead when
both come in the same moment, and clients of Redis and NATS call it for every command. A loop
around such a call then goes on, and whoever waits for it waits for ever.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN = 0.05
"""Seconds until a task that goes on is cancelled again."""


async def cancel(tasks: Iterable[asyncio.Task[Any]], *, grace: float) -> set[asyncio.Task[Any]]:
    """Cancel tasks, again and again, until they have ended.

    Args:
        tasks: What is to end; what it ended with is not raised.
        grace: Seconds to wait at most.

    Returns:
        What has not ended in time.

    """
    left = set(tasks)
    deadline = asyncio.get_running_loop().time() + grace
    while left:
        for task in left:
            task.cancel()
        seconds = deadline - asyncio.get_running_loop().time()
        if seconds <= 0:
            break
        _, left = await asyncio.wait(left, timeout=min(_AGAIN, seconds))
    return left
