"""What is let go of is gone, and does not wait until Python looks for garbage."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from services.chassis.http2.call import Call
from services.collaboration.room import Room
from services.collaboration.session import Session
from tests.integration.collaboration import rig


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """Have nobody look for garbage meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def there() -> dict[type, int]:
    """Count rooms and streams in memory; holds none of them afterwards."""
    kinds = list(map(type, gc.get_objects()))
    return {kind: kinds.count(kind) for kind in (Room, Session, Call)}


@pytest.mark.usefixtures("_no_collector")
async def test_rooms_and_streams_go_with_their_last_user(parts: rig.Parts) -> None:
    """Their memory is free at once: they are in no circle of references."""
    async with rig.replica(parts, unload_seconds=0.1, quiet_seconds=0.05) as service:
        before = there()
        for number in range(10):
            await service.open(f"{number}.txt", "x")
            async with service.editor(f"{number}.txt") as ada:
                ada.insert(0, "y")
                await ada.stored()
        assert there() != before
        async with asyncio.timeout(20):
            while there() != before:
                await asyncio.sleep(0.1)
