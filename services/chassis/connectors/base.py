"""A connection to one dependency: probed for ever, and honest about whether it is there."""

import abc
import asyncio
import dataclasses
import random

import structlog

from services.chassis import cancellation, metrics

_log = structlog.get_logger(__name__)

PROBE_EVERY = 2.0
"""Seconds between probes while it answers. Readiness is at most this old."""

FIRST_RETRY = 0.2
"""Seconds to the second attempt; doubles up to `LAST_RETRY`."""

LAST_RETRY = 5.0
"""Seconds between attempts at most, so that a returning dependency is found soon."""


@dataclasses.dataclass(frozen=True, slots=True)
class Readiness:
    """Whether something can be used now; true or false itself."""

    ok: bool
    reason: str = ""
    """Why not, for people."""

    def __bool__(self) -> bool:
        return self.ok


class Connector(abc.ABC):
    """What every connector does: start without waiting, probe, reconnect, stop."""

    name: str
    """What it connects to, such as ``redis``."""
    required = True
    """Whether the service is ready only while this is."""

    def __init__(self, timeout: float) -> None:
        """Prepare; nothing connects before `start`.

        Args:
            timeout: Seconds a probe may take before the dependency counts as down.

        """
        self._timeout = timeout
        self._readiness = Readiness(ok=False, reason="not connected yet")
        self._changed = asyncio.Event()
        self._prober: asyncio.Task[None] | None = None

    @property
    def ready(self) -> Readiness:
        """Whether the last probe succeeded, and why not."""
        return self._readiness

    async def start(self) -> None:
        """Begin connecting in the background. Returns at once, whatever is down."""
        if self._prober is None:
            self._prober = asyncio.create_task(self._probe_for_ever(), name=f"connect {self.name}")

    async def stop(self) -> None:
        """Stop probing and close the connections."""
        if self._prober is not None:
            await cancellation.cancel([self._prober], grace=self._timeout)
            self._prober = None
        self._note(Readiness(ok=False, reason="stopped"))
        await self.close()

    async def wait_ready(self) -> None:
        """Wait, for ever, until it is ready."""
        while not self._readiness:
            await self._changed.wait()

    @abc.abstractmethod
    async def probe(self) -> None:
        """Ask the dependency for a sign of life, connecting first where need be.

        Raises:
            Exception: Whatever the library raises when it is down.

        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Close the connections."""

    async def _probe_for_ever(self) -> None:
        pause = FIRST_RETRY
        while True:
            try:
                async with asyncio.timeout(self._timeout):
                    await self.probe()
            except Exception as error:  # noqa: BLE001 - down is down, whatever the library calls it
                self._note(Readiness(ok=False, reason=_reason(error)))
                # Jitter: a fleet that lost one dependency must not return to it as one.
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
                pause = min(LAST_RETRY, pause * 2)
            else:
                self._note(Readiness(ok=True))
                pause = FIRST_RETRY
                await asyncio.sleep(PROBE_EVERY)

    def _note(self, readiness: Readiness) -> None:
        if readiness.ok != self._readiness.ok:
            if readiness:
                _log.info("connected", dependency=self.name)
            elif readiness.reason != "stopped":
                _log.warning("connection lost", dependency=self.name, reason=readiness.reason)
        self._readiness = readiness
        metrics.CONNECTOR_UP.labels(self.name).set(1 if readiness else 0)
        if readiness:
            self._changed.set()
        else:
            self._changed.clear()


def _reason(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    if isinstance(error, TimeoutError):
        text = "no answer in time"
    return text[:200]
