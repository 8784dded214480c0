"""Watches of a service's settings: those in force, then every change.

A watch tells what is, not what happened: what it holds for its reader is never more than one
state, however slow the reader is. A resume_token names the settings that were seen, so a watch
resumed at any replica begins only when there are others.
"""

import asyncio
from collections.abc import AsyncIterator

from prometheus_client import Gauge

from services.chassis import errors, lifecycle
from services.config.configurations import Configurations
from services.config.state import State
from services.config.view import View

WATCHERS = Gauge("codestudio_config_watchers", "Watches of settings open now.", ("service",))


class Watches:
    """Makes watches."""

    def __init__(self, *, view: View, configurations: Configurations, heartbeat: float) -> None:
        """Prepare.

        Args:
            view: What is in force.
            configurations: Read once at the beginning: a change that was answered is seen.
            heartbeat: Longest silence, in seconds.
        """
        self._view = view
        self._configurations = configurations
        self._heartbeat = heartbeat

    async def watch(self, service: str, seen: str) -> AsyncIterator[State | None]:
        """Give the settings whenever they are others than those seen; None for a sign of life.

        Args:
            service: Whose.
            seen: The etag of those seen; empty for none.

        Raises:
            errors.Unavailable: The settings are not known, or this replica is going
                (SERVER_SHUTTING_DOWN): resume elsewhere.
        """
        with WATCHERS.labels(service).track_inprogress():
            state: State | None = await self._configurations.get(service)
            if state is not None and state.etag == seen:
                yield None
            loop = asyncio.get_running_loop()
            silent_since = loop.time()
            while True:
                changed = self._view.waiter()
                state = self._view.state(service)
                if state is not None and state.etag != seen:
                    seen = state.etag
                    yield state
                    silent_since = loop.time()
                elif loop.time() - silent_since >= self._heartbeat:
                    yield None
                    silent_since = loop.time()
                await _wait(changed, silent_since + self._heartbeat - loop.time())


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    """Wait for a change, for a while; raises when this replica is told to stop."""
    draining = lifecycle.draining()
    waits = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(draining.wait())]
    try:
        await asyncio.wait(waits, timeout=max(0.01, seconds), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
    if draining.is_set():
        raise errors.Unavailable(
            "SERVER_SHUTTING_DOWN", "This replica is going; resume with the last resume_token"
        )
