"""How long an instance takes from create to RUNNING, beside a bare editor's own start."""

import asyncio
import statistics
import time
from typing import Any

import codestudio

from tests.bench import editors, figures
from tests.bench.target import Target

_ONE_BY_ONE = 9
_AT_ONCE = 20
_ROUNDS_AT_ONCE = 3
_DEADLINE = 180.0


async def _start(client: codestudio.AsyncClient) -> float:
    """Create an instance, wait until it is RUNNING, delete it; return the seconds to RUNNING."""
    began = time.perf_counter()
    instance = await client.instances.create()
    await instance.wait_until_running(timeout=_DEADLINE)
    seconds = time.perf_counter() - began
    await instance.delete()
    await instance.wait_until_deleted(timeout=_DEADLINE)
    return seconds


async def _start_at_once(client: codestudio.AsyncClient) -> list[float]:
    """Do the same for `_AT_ONCE` together; none is deleted before all of them run."""

    async def one() -> tuple[codestudio.AsyncInstance, float]:
        began = time.perf_counter()
        instance = await client.instances.create()
        await instance.wait_until_running(timeout=_DEADLINE)
        return instance, time.perf_counter() - began

    started = await asyncio.gather(*(one() for _ in range(_AT_ONCE)))
    await asyncio.gather(*(instance.delete() for instance, _ in started))
    await asyncio.gather(
        *(instance.wait_until_deleted(timeout=_DEADLINE) for instance, _ in started)
    )
    return [seconds for _, seconds in started]


async def measure(target: Target, editor_command: str) -> dict[str, Any]:
    """Alternate bare starts and ours, so that both meet the same machine."""
    bare: list[float] = []
    ours: list[float] = []
    bare_many: list[float] = []
    ours_many: list[float] = []
    async with codestudio.AsyncClient(target.gateway_url, token=target.token) as client:
        await editors.bare_start(editor_command)
        await _start(client)
        for _ in range(_ONE_BY_ONE):
            bare.append(await editors.bare_start(editor_command))
            ours.append(await _start(client))
        for _ in range(_ROUNDS_AT_ONCE):
            bare_many += await editors.bare_starts(editor_command, _AT_ONCE)
            ours_many += await _start_at_once(client)
    return {
        "one": _compare(bare, ours),
        "twenty_at_once": _compare(bare_many, ours_many),
        "target": "ratio of medians <= 1.3",
    }


def _compare(bare: list[float], ours: list[float]) -> dict[str, Any]:
    return {
        "bare_editor": figures.milliseconds(bare),
        "create_to_running": figures.milliseconds(ours),
        "ratio": round(statistics.median(ours) / statistics.median(bare), 2),
    }
