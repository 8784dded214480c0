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

_STARTS = 3
_CANNOT_START = 1
"""How a service ends that cannot start (`lifecycle.run`)."""


class Process:
    """One replica."""

    def __init__(self, parts: rig.Parts, **over: Any) -> None:
        self._parts = parts
        self._over = over
        self.port = self.web_port = 0
        self._running: multiprocessing.process.BaseProcess | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready; where it was before, or where there is room."""
        known = self.port
        for _ in range(_STARTS):
            if not known:
                self.port, self.web_port = ports.any_free_port(), ports.any_free_port()
            code = await self._started()
            if code is None:
                return
            await self._ended()
            assert code == _CANNOT_START, f"the service ended by itself: {code}"
        raise AssertionError("there is no port to be had")

    async def _started(self) -> int | None:
        """Start it and wait until it is ready, or has ended; gives with which code it has."""
        http_port = ports.any_free_port()
        settings = self._parts.settings(
            **{**self._over, "port": self.port, "http_port": http_port, "web_port": self.web_port}
        )
        given = settings.model_dump(mode="json", exclude_unset=True)
        environment = {name.upper(): str(value) for name, value in given.items()}
        running = _FORKS.Process(target=_serve, args=(environment,), daemon=True)
        self._running = running
        await asyncio.to_thread(running.start)
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                if running.exitcode is not None:
                    return True
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{http_port}/ready") as answer:
                        return answer.status == 200
                return False

            await until(ready, "the service is ready", 60)
        return running.exitcode

    def client(self, parts: rig.Parts) -> rig.Replica:
        """Return a client of it."""
        return rig.Replica(self.port, parts, web_port=self.web_port)

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
        client = running.client(parts)
        try:
            yield running, client
        finally:
            await client.close()
    finally:
        await running.kill()
