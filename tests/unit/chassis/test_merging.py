"""Requests of about the same time that travel as one call."""

import asyncio
from collections.abc import Sequence

import pytest

from services.chassis import errors, merging


@pytest.mark.parametrize("at_once", [1, 2])
async def test_who_asks_again_at_once_is_answered(at_once: int) -> None:
    """Also where the answer before was the last that anybody waited for."""

    async def double(asked: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0)
        return [2 * one for one in asked]

    merged = merging.Merged[int, int](
        double,
        name="double",
        at_once=at_once,
        most=10,
        refusal=lambda: errors.Unavailable("BUSY", "Too many wait"),
    )

    async def ask(first: int) -> list[int]:
        return [await merged.ask(first + number) for number in range(50)]

    async with asyncio.timeout(5):
        for found in await asyncio.gather(*(ask(100 * one) for one in range(at_once))):
            assert found == [found[0] + 2 * number for number in range(50)]
