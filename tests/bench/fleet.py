"""Fifty real editors on one machine: do they all serve, and what do they and we cost."""

import asyncio
import time
from typing import Any

import aiohttp
import codestudio
import psutil

from tests.bench import figures
from tests.bench.target import Target

_EDITORS = 50
_REST_SECONDS = 30
_SETTLE_SECONDS = 20
_DEADLINE = 600.0


async def measure(target: Target) -> dict[str, Any]:
    """Start the fleet, load every page through the gateway, weigh it at rest, stop it."""
    async with codestudio.AsyncClient(target.gateway_url, token=target.token) as client:
        began = time.perf_counter()
        fleet = await asyncio.gather(*(client.instances.create() for _ in range(_EDITORS)))
        await asyncio.gather(*(item.wait_until_running(timeout=_DEADLINE) for item in fleet))
        all_running = time.perf_counter() - began
        pages = await _load_pages(target, [item.id for item in fleet])
        await asyncio.sleep(_SETTLE_SECONDS)
        weights = await asyncio.to_thread(_weigh, target)
        await asyncio.gather(*(item.delete() for item in fleet))
        await asyncio.gather(*(item.wait_until_deleted(timeout=_DEADLINE) for item in fleet))
    return {
        "editors": _EDITORS,
        "all_running_s": round(all_running, 1),
        "pages_served": pages,
        **weights,
    }


async def _load_pages(target: Target, ids: list[str]) -> int:
    """Count the editors whose page, through the gateway, is VS Code."""
    headers = {"authorization": f"Bearer {target.token}"}
    served = 0
    async with aiohttp.ClientSession(headers=headers) as http:
        for name in ids:
            async with http.get(f"{target.gateway_url}/i/{name}/") as response:
                served += response.status == 200 and "workbench" in await response.text()
    return served


def _weigh(target: Target) -> dict[str, Any]:
    editors = target.stack.editors()
    control = [psutil.Process(pid) for _, pid in target.stack.states().values() if pid]
    control += [child for process in control for child in process.children(recursive=True)]
    names = {pid: name for name, (_, pid) in target.stack.states().items()}
    control = list({process.pid: process for process in control}.values())
    control = [process for process in control if process not in editors]
    before = _cpu_seconds(control), _cpu_seconds(editors)
    time.sleep(_REST_SECONDS)
    after = _cpu_seconds(control), _cpu_seconds(editors)
    editor_memory = sum(_memory(process) for process in editors)
    parts = {names.get(process.pid, "other"): _memory(process) for process in control}
    return {
        "processes_per_editor": round(len(editors) / _EDITORS, 1),
        "memory_per_editor_mib": figures.mebibytes(editor_memory / _EDITORS),
        "control_plane_memory_mib": figures.mebibytes(sum(_memory(item) for item in control)),
        "control_plane_parts_mib": {
            name: figures.mebibytes(count) for name, count in sorted(parts.items())
        },
        "control_plane_cpu_at_rest_cores": round((after[0] - before[0]) / _REST_SECONDS, 3),
        "editors_cpu_at_rest_cores": round((after[1] - before[1]) / _REST_SECONDS, 3),
    }


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes if process.is_running())


def _memory(process: psutil.Process) -> float:
    """Give the proportional set size: what is shared is shared out, so that sums are true."""
    return float(process.memory_full_info().pss)
