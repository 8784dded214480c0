"""The Collaboration service as processes of its own, which can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import multiprocessing.process
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import psutil
import uvloop

from services.chassis import lifecycle
from services.collaboration import app
from services.collaboration.settings import CollaborationSettings
from services.devstack import ports
from tests.integration.collaboration import rig
from tests.integration.instance.rig import until

# Forked off a process that has imported everything and started nothing: a replica by itself takes
# two seconds to import what it needs.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


class Process:
    """One replica."""

    def __init__(self, parts: rig.Parts, **over: Any) -> None:
        self.port = ports.any_free_port()
        self._http_port = ports.any_free_port()
        settings = parts.settings(
            **{**over, "port": self.port, "http_port": self._http_port, "web_port": 0}
        )
        given = settings.model_dump(mode="json", exclude_unset=True)
        self._environment = {name.upper(): str(value) for name, value in given.items()}
        self._running: multiprocessing.process.BaseProcess | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        self._running = _FORKS.Process(target=_serve, args=(self._environment,), daemon=True)
        await asyncio.to_thread(self._running.start)
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                assert self._running is not None
                assert self._running.exitcode is None, "the service ended by itself"
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
            self._running.kill()
            await self._ended()

    async def stop(self) -> None:
        """End it as an orderly restart does."""
        if self._running is not None:
            self._running.terminate()
            code = await self._ended()
            assert code == 0, code

    async def _ended(self) -> int | None:
        assert self._running is not None
        await asyncio.to_thread(self._running.join)
        code = self._running.exitcode
        self._running.close()
        self._running = None
        return code


def _serve(environment: Mapping[str, str]) -> None:
    """Do what `python -m services.collaboration` does."""
    os.environ.update(environment)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(nowhere, standard)
    lifecycle.run(CollaborationSettings, app.compose, loop_factory=uvloop.new_event_loop)


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
