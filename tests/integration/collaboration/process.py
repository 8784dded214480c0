"""The Collaboration service as processes of its own, which can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from services.devstack import ports
from tests.integration.collaboration import rig
from tests.integration.instance.rig import until

_ROOT = Path(__file__).parents[3]


class Process:
    """One replica."""

    def __init__(self, parts: rig.Parts, **over: Any) -> None:
        self.port = ports.any_free_port()
        self._http_port = ports.any_free_port()
        settings = parts.settings(
            **{**over, "port": self.port, "http_port": self._http_port, "web_port": 0}
        )
        given = settings.model_dump(mode="json", exclude_unset=True)
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(_ROOT),
            **{name.upper(): str(value) for name, value in given.items()},
        }
        self._running: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        self._running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.collaboration"),
            env=self._environment,
            cwd=_ROOT,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                assert self._running is not None
                assert self._running.returncode is None, "the service ended by itself"
                with contextlib.suppress(aiohttp.ClientError):
                    url = f"http://127.0.0.1:{self._http_port}/ready"
                    async with session.get(url) as answer:
                        return answer.status == 200
                return False

            await until(ready, "the service is ready", 60)

    def memory(self) -> int:
        """Tell how many bytes of memory it has."""
        assert self._running is not None
        return int(psutil.Process(self._running.pid).memory_info().rss)

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):
                self._running.kill()
            await self._running.wait()
            self._running = None


@contextlib.asynccontextmanager
async def process(parts: rig.Parts, **over: Any) -> AsyncIterator[tuple[Process, rig.Replica]]:
    """Run a replica as a process, and a client of it."""
    running = Process(parts, **over)
    try:
        await running.start()
        client = rig.Replica(running.port, parts)
        try:
            yield running, client
        finally:
            await client.close()
    finally:
        await running.kill()
