"""Runtimes and services to try, and what they leave on the machine."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from services.devstack import editor, ports
from services.resource.runtimes.local import LocalRuntime, procfs, wards
from services.resource.runtimes.local.activity import MEASURED, Thresholds
from services.resource.workload import Phase, Resources, Spec, Workload

RESOURCES = Resources(500, 2 * 2**30, 10 * 2**30)
LIMITS = wards.Policy(groups=False)
TINY = Path(__file__).with_name("tiny_editor.py")


def tiny_editor(directory: Path) -> Path:
    """Write an executable that runs the tiny editor."""
    path = directory / "tiny-editor"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {TINY} "$@"\n')
    path.chmod(0o755)
    return path


def real_editor() -> Path | None:
    """Find a real editor: EDITOR_COMMAND, one on PATH, or the one `scripts/up` installed."""
    return editor.find(os.environ)


def free_base() -> int:
    """Give a port base from which the first ranges' web ports are free."""
    return ports.Ports(ports.free_offset()).instance_base


def stack_id() -> str:
    return f"test-{secrets.token_hex(8)}"


def spec(name: str, port: int, resources: Resources = RESOURCES, /, **environment: str) -> Spec:
    return Spec(name, "default", port, port + 50, resources, environment)


@contextlib.asynccontextmanager
async def running(
    root: Path,
    command: Path | str,
    stack: str,
    *,
    stop_grace: float = 10.0,
    starts_at_once: int = 4,
    auto_create_paths: Callable[[], bool] = lambda: True,
    thresholds: Thresholds = MEASURED,
    limits: wards.Policy = LIMITS,
    look_every: float = 60.0,
    health_every: Callable[[], float] = lambda: 60.0,
) -> AsyncIterator[LocalRuntime]:
    """Run a runtime; its editors are left running, as by a service that ends."""
    runtime = LocalRuntime(
        container_root=root,
        stack_id=stack,
        editor_command=str(command),
        stop_grace=stop_grace,
        starts_at_once=starts_at_once,
        auto_create_paths=auto_create_paths,
        thresholds=thresholds,
        limits=limits,
        look_every=look_every,
        health_every=health_every,
    )
    task = asyncio.create_task(runtime.run())
    try:
        await until(lambda: runtime.is_ready or task.done())
        yield runtime
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def reach(runtime: LocalRuntime, name: str, *phases: Phase) -> Workload:
    """Wait until a workload is in one of the phases; gives it."""
    async with asyncio.timeout(60):
        with runtime.changes.watch() as watcher:
            while True:
                workload = runtime.get(name)
                if workload is not None and workload.phase in phases:
                    return workload
                await watcher.wait(5)


def members(stack: str, name: str = "") -> list[procfs.Process]:
    """List the live processes of a stack, or of one of its instances."""
    return [
        one
        for one in procfs.read_table().values()
        if one.stack_id == stack and not one.is_zombie and name in ("", one.instance_id)
    ]


def roots(stack: str) -> list[procfs.Process]:
    """List the live editors of a stack."""
    return [one for one in members(stack) if one.is_root]


def kill_all(stack: str) -> None:
    """Leave nothing behind."""
    deadline = time.monotonic() + 10
    while left := members(stack):
        for one in left:
            procfs.send(one.identity, signal.SIGKILL)
        assert time.monotonic() < deadline, f"{left} do not end"
        time.sleep(0.02)


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait for something that has to be asked for to become true."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Listen on a port, as another program would."""
    with socket.create_server(("127.0.0.1", port)) as server:
        yield server


@contextlib.contextmanager
def sleeping() -> Iterator[int]:
    """Run a process that does nothing; gives its pid."""
    process = subprocess.Popen(["sleep", "600"])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
