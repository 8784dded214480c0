"""One port for both versions of HTTP."""

import asyncio
from collections.abc import Callable

_PREFACE = b"PRI "
"""What a connection of HTTP/2 begins with, and no request of HTTP/1 (RFC 9113, 3.4)."""
_PATIENCE = 10.0
"""Seconds to wait for the first bytes."""


class Door(asyncio.Protocol):
    """Hands a connection to whoever speaks its protocol."""

    def __init__(
        self,
        http1: Callable[[], asyncio.Protocol],
        http2: Callable[[], asyncio.Protocol],
    ) -> None:
        """Prepare.

        Args:
            http1: Makes the protocol of connections that speak HTTP/1.
            http2: Makes that of those that speak HTTP/2.
        """
        self._http1 = http1
        self._http2 = http2
        self._begun = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for its first bytes."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, transport.close)

    def data_received(self, data: bytes) -> None:
        """Look at them."""
        self._begun += data
        if len(self._begun) < len(_PREFACE) and _PREFACE.startswith(self._begun):
            return
        self._timer.cancel()
        make = self._http2 if self._begun.startswith(_PREFACE) else self._http1
        protocol = make()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._begun)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._timer.cancel()
