"""Paths: kept answers beside fresh ones, and a tree of 100,000 files beside a bare walk of it."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from codestudio.path.v1 import path_service_pb2, path_service_pb2_grpc

from tests.bench import figures
from tests.bench.target import Target

_CALLS = 400
_ROUNDS = 3
_FILES = 100_000
_DIRECTORIES = 1_000
_PAGES = (1_000, 10_000)
_SAMPLE_SECONDS = 0.02
_READY_SECONDS = 20.0

_BARE = """
import os, sys, time
began, count = time.perf_counter(), 0
for folder, folders, files in os.walk(sys.argv[1]):
    folders.sort()
    for name in sorted(folders + files):
        os.lstat(os.path.join(folder, name))
        count += 1
print(count, time.perf_counter() - began)
"""

Call = Callable[[], Awaitable[Any]]


async def measure(target: Target) -> dict[str, Any]:
    """Measure path info, then project structures, straight at the path service."""
    config = instance_pb2.InstanceConfig(desired_state=instance_pb2.DESIRED_STATE_STOPPED)
    async with target.channel("gateway") as gateway, target.channel("path") as channel:
        made = await instance_service_pb2_grpc.InstanceServiceStub(gateway).CreateInstance(
            instance_service_pb2.CreateInstanceRequest(config=config), metadata=target.metadata
        )
        place = target.stack.layout.root / "instances" / made.id
        for name in ("user-data", "extensions", "workspace", "logs", "temp"):
            (place / name).mkdir(parents=True)
        stub = path_service_pb2_grpc.PathServiceStub(channel)
        found = {"info": await _info(stub, made.id, target)}
        for shape, directories in (("nested", _DIRECTORIES), ("flat", 1)):
            workspace = place / "workspace"
            await asyncio.to_thread(_fill, workspace, directories)
            found[f"structure_{shape}"] = await _structure(stub, made.id, workspace, target)
            await asyncio.to_thread(subprocess.run, ["rm", "-rf", workspace], check=True)
            workspace.mkdir()
    return found


async def _info(stub: Any, instance_id: str, target: Target) -> dict[str, Any]:
    """Compare a kept answer with a fresh one; both ask the Instance service who may see it."""

    def call(*, refresh: bool) -> Awaitable[path_service_pb2.PathInfo]:
        request = path_service_pb2.GetPathInfoRequest(instance_id=instance_id, refresh=refresh)
        answer: Awaitable[path_service_pb2.PathInfo] = stub.GetPathInfo(
            request, metadata=target.metadata
        )
        return answer

    def refused() -> Awaitable[Any]:
        # Looks at next to nothing: what asking the Instance service and a thread cost.
        request = path_service_pb2.GetProjectStructureRequest(instance_id=instance_id, path="none")
        return _refused(stub.GetProjectStructure(request, metadata=target.metadata))

    deadline = time.perf_counter() + _READY_SECONDS
    while not (await call(refresh=False)).cached:
        if time.perf_counter() > deadline:
            raise RuntimeError("nothing is kept")
        await asyncio.sleep(0.1)
    ways: dict[str, Call] = {
        "cached": lambda: call(refresh=False),
        "fresh": lambda: call(refresh=True),
        "no_such_path": refused,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):
        for name, way in ways.items():
            for _ in range(_CALLS):
                began = time.perf_counter()
                await way()
                times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "one_after_another": {name: figures.milliseconds(values) for name, values in times.items()},
        "cached_to_fresh": round(medians["cached"] / medians["fresh"], 2),
    }


async def _refused(call: Awaitable[Any]) -> None:
    try:
        await call
    except Exception as error:
        if "PATH_NOT_FOUND" not in repr(getattr(error, "trailing_metadata", lambda: "")()):
            raise


async def _structure(
    stub: Any, instance_id: str, workspace: Path, target: Target
) -> dict[str, Any]:
    """Walk all pages of each size; beside it, os.walk with an lstat and a sort, in a process."""
    process = psutil.Process(target.stack.pid("path"))
    bare = min([await asyncio.to_thread(_bare, workspace) for _ in range(_ROUNDS)])
    found: dict[str, Any] = {"files": _FILES, "bare_walk_s": round(bare, 2)}
    for size in _PAGES:
        before = process.memory_info().rss
        highest = _Highest(process)
        pages: list[float] = []
        count, token = 0, ""
        while True:
            began = time.perf_counter()
            page = await stub.GetProjectStructure(
                path_service_pb2.GetProjectStructureRequest(
                    instance_id=instance_id, page_size=size, page_token=token
                ),
                metadata=target.metadata,
            )
            pages.append(time.perf_counter() - began)
            count += len(page.entries)
            token = page.next_page_token
            if not token:
                break
        peak = await highest.stop()
        if count < _FILES:
            raise RuntimeError(f"{count} entries of {_FILES}")
        found[f"pages_of_{size}"] = {
            "entries": count,
            "pages": len(pages),
            "whole_walk_s": round(sum(pages), 2),
            "ratio_to_bare": round(sum(pages) / bare, 1),
            "page": figures.milliseconds(pages),
            "memory_before_mib": figures.mebibytes(before),
            "memory_growth_at_peak_mib": figures.mebibytes(max(0, peak - before)),
        }
    return found


class _Highest:
    """Watches how much memory a process has at most."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._stopped = asyncio.Event()
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> int:
        """Stop watching; gives the most there was, in bytes."""
        self._stopped.set()
        return await self._task

    async def _watch(self) -> int:
        highest = 0
        while not self._stopped.is_set():
            highest = max(highest, self._process.memory_info().rss)
            await asyncio.sleep(_SAMPLE_SECONDS)
        return highest


def _bare(workspace: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _BARE, workspace], capture_output=True, text=True, check=True
    )
    _, seconds = done.stdout.split()
    return float(seconds)


def _fill(workspace: Path, directories: int) -> None:
    each = _FILES // directories
    for number in range(directories):
        folder = workspace / f"package-{number // 30:03d}" / f"module-{number:05d}"
        folder.mkdir(parents=True)
        for file in range(each):
            os.close(os.open(folder / f"source_file_{file:06d}.py", os.O_CREAT | os.O_WRONLY))
