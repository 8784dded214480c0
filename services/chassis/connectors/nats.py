"""NATS with JetStream."""

import asyncio
import contextlib

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext

from services.chassis import errors
from services.chassis.connectors import base
from services.chassis.settings import ServiceSettings

_log = structlog.get_logger(__name__)

errors.unavailable_when(
    nats.errors.ConnectionClosedError,
    nats.errors.ConnectionDrainingError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.FlushTimeoutError,
    nats.errors.NoRespondersError,
    nats.errors.NoServersError,
    nats.errors.OutboundBufferLimitError,
    nats.errors.StaleConnectionError,
    nats.errors.TimeoutError,
    nats.js.errors.NoStreamResponseError,
    nats.js.errors.ServiceUnavailableError,
    code="NATS_UNAVAILABLE",
)

_RECONNECT_WAIT = 0.5
"""Seconds between attempts at one server; the library has no backoff of its own."""


class Nats(base.Connector):
    """One connection to NATS; subscriptions outlive its reconnections.

    Before the first connection `client` cannot subscribe: background tasks
    `wait_ready()` first. Callbacks must only enqueue, since a slow one loses
    messages.
    """

    name = "nats"

    def __init__(self, settings: ServiceSettings) -> None:
        super().__init__(min(settings.dependency_timeout, base.PROBE_EVERY))
        self._settings = settings
        self._client = Client()
        self._connecting: asyncio.Task[None] | None = None
        self._last_error = ""
        self._jetstream: JetStreamContext | None = None

    @property
    def client(self) -> Client:
        """The client. Publishing while NATS is down fails at once."""
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream on the same connection.

        Raises:
            nats.errors.ConnectionClosedError: NATS was never reached yet.

        """
        if self._jetstream is None:
            raise nats.errors.ConnectionClosedError
        return self._jetstream

    async def probe(self) -> None:
        """Connect the first time; afterwards, a round trip to the server."""
        if self._connecting is None or (self._connecting.done() and self._jetstream is None):
            self._connecting = asyncio.create_task(self._connect(), name="connect nats")
        # Shielded: the attempt goes on when this probe runs out of time.
        await asyncio.shield(self._connecting)
        if not self._client.is_connected:
            raise ConnectionError(self._last_error or "reconnecting")
        await self._client.flush(timeout=int(max(1, self._timeout)))

    async def close(self) -> None:
        """Close the connection."""
        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
        await self._client.close()

    async def _connect(self) -> None:
        await self._client.connect(
            servers=self._settings.nats_url.split(","),
            name=self._settings.microservice_name,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RECONNECT_WAIT,  # type: ignore[arg-type]  # a float will do
            connect_timeout=int(max(1, self._settings.dependency_timeout)),
            ping_interval=10,
            max_outstanding_pings=2,
            # No buffer while it is down: a message is refused now rather than sent late.
            pending_size=-1,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
        )
        self._jetstream = self._client.jetstream(timeout=self._settings.dependency_timeout)

    async def _on_error(self, error: Exception) -> None:
        self._last_error = str(error) or type(error).__name__
        _log.debug("nats", error=self._last_error)

    async def _on_disconnected(self) -> None:
        self._note(base.Readiness(ok=False, reason=self._last_error or "disconnected"))

    async def _on_reconnected(self) -> None:
        self._last_error = ""
        self._note(base.Readiness(ok=True))
