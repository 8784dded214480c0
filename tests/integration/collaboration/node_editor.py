"""Editors in processes of Node: the real packages yjs and y-websocket, installed from npm."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from services.devstack import binaries
from tests import npm

PACKAGES = {"yjs": "13.6.33", "y-websocket": "3.1.0", "ws": "8.18.3"}
_SCRIPT = Path(__file__).parent / "node" / "client.mjs"


class Node:
    """An editor in a process of Node."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, do: str, /, **order: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
        async with asyncio.timeout(30):
            return json.loads(await self._process.stdout.readline())


def installed(**over: str) -> Path:
    folder = npm.installed({**PACKAGES, **over})
    # Beside node_modules, where Node looks for packages.
    shutil.copy(_SCRIPT, folder / _SCRIPT.name)
    return folder


@contextlib.asynccontextmanager
async def node(
    folder: Path, url: str, room: str, token: str = "", *, connect: bool = True
) -> AsyncIterator[Node]:
    """Start an editor; one that does not connect by itself does when it is told `online`."""
    process = await asyncio.create_subprocess_exec(
        binaries.node(),
        _SCRIPT.name,
        url,
        room,
        token,
        *(() if connect else ("offline",)),
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Node(process)
    finally:
        process.kill()
        await process.wait()
