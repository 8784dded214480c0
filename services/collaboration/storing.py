"""Stores what must be stored: tries until it is, unless that is hopeless or takes too long."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import nats.errors
import nats.js.errors

from services.chassis import errors
from services.collaboration import measures

_FIRST_RETRY = 0.05
_LAST_RETRY = 2.0
_BATCH_DISABLED = 10174
"""JetStream's code for a stream that takes no batches; an earlier release's is about to."""
_BATCH_INCOMPLETE = 10176
"""JetStream's code for a batch of which it has lost some."""


async def insist(
    store: Callable[[], Awaitable[None]],
    *,
    seconds: float,
    wanted: Callable[[], bool] = lambda: True,
) -> None:
    """Store something, and return when it is stored, or is not wanted any more.

    Args:
        store: Stores it; called again when it could not.
        seconds: How long to try.
        wanted: Whether it is wanted still; asked before each attempt. What it raises is raised.

    Raises:
        errors.Unavailable: It could not be stored (NATS_UNAVAILABLE); its cause says why.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    pause = _FIRST_RETRY
    while wanted():
        try:
            await store()
        except (nats.errors.Error, OSError, TimeoutError) as error:
            measures.STORE_FAILURES.inc()
            if _hopeless(error) or loop.time() > until:
                raise unavailable() from error
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause = min(_LAST_RETRY, pause * 2)
        else:
            return


def unavailable() -> errors.Unavailable:
    """Return what clients are told while nothing can be stored."""
    return errors.Unavailable(
        "NATS_UNAVAILABLE", "Edits cannot be stored right now; keep them and join again shortly"
    )


def _hopeless(error: Exception) -> bool:
    """Whether JetStream would refuse the same again, and not for what is only so for a while."""
    return isinstance(error, nats.js.errors.BadRequestError) and error.err_code not in (
        _BATCH_DISABLED,
        _BATCH_INCOMPLETE,
    )
