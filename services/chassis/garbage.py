"""When Python looks for garbage that refers to itself: at our times, not in the middle of a burst.

It looks through everything when a quarter more is there than last time, as when a thousand clients
have just come: 50 ms in which nobody is served. What is made and dropped in between is found by the
looks at what is young, as always.
"""

import asyncio
import gc

_EVERY = 60.0
"""Seconds between two looks through everything."""
_DROPPED = 200
"""Large things dropped between two looks at most."""
_NEVER = 1_000_000

_dropped = 0


async def run() -> None:
    """Look through everything now and then, for ever.

    What is here when it begins is here to stay, and is passed over.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    while True:
        await asyncio.sleep(_EVERY)
        _collect()


def dropped() -> None:
    """Take note that something large was dropped that refers to itself: it waits for a look."""
    global _dropped
    _dropped += 1
    if _dropped >= _DROPPED:
        _collect()


def _collect() -> None:
    global _dropped
    _dropped = 0
    gc.collect()
