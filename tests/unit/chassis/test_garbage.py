"""When garbage that refers to itself is looked for."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from services.chassis import cancellation, garbage


class Circle:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(garbage, "_dropped", 0)
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


async def test_what_is_old_is_looked_through_when_enough_was_dropped() -> None:
    """And at no other time, but for the look of each minute."""
    running = asyncio.create_task(garbage.run())
    await asyncio.sleep(0)
    circle = Circle()
    gc.collect(0)
    gc.collect(1)  # now it is old
    seen = weakref.ref(circle)
    del circle
    kept = [[] for _ in range(200_000)]
    assert seen() is not None
    for _ in range(199):
        garbage.dropped()
    assert seen() is not None
    garbage.dropped()
    assert seen() is None
    assert len(kept) == 200_000
    await cancellation.cancel([running], grace=1.0)


async def test_what_is_old_is_looked_through_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little is dropped."""
    monkeypatch.setattr(garbage, "_EVERY", 0.1)
    running = asyncio.create_task(garbage.run())
    await asyncio.sleep(0)
    seen = weakref.ref(Circle())
    async with asyncio.timeout(5):
        while seen() is not None:
            await asyncio.sleep(0.05)
    await cancellation.cancel([running], grace=1.0)
