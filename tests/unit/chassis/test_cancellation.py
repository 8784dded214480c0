"""Tasks end when they are cancelled, even those that lose a cancellation."""

import asyncio

from services.chassis import cancellation


async def test_a_lost_cancellation_is_repeated() -> None:
    """A loop that swallows the first cancellation, as a Redis call may, still ends."""
    lost = 0

    async def loop() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if lost == 2:
                    raise
                lost += 1

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    assert await cancellation.cancel([task], grace=5) == set()
    assert task.cancelled()
    assert lost == 2


async def test_what_does_not_end_is_told() -> None:
    """Nobody waits longer than the grace for a task that does not end."""
    stubborn = asyncio.Event()

    async def loop() -> None:
        while not stubborn.is_set():
            try:
                await stubborn.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    assert await cancellation.cancel([task], grace=0.1) == {task}
    stubborn.set()
    await task
