"""Serves the bidirectional streams of some servicers over HTTP/2."""

import contextlib
import functools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import grpc

from services.chassis.http2 import wire
from services.chassis.http2.call import Call
from services.chassis.http2.connection import Connection


class _Details(NamedTuple):
    """What interceptors see of a call before it begins."""

    method: str
    invocation_metadata: wire.Metadata


class Server:
    """Takes servicers as a `grpc.aio.Server` does, and serves their bidirectional streams of bytes.

    Messages are not parsed: a handler that is registered with serializers is not served.
    """

    def __init__(self, interceptors: Sequence[Any], *, most_bytes: int) -> None:
        """Prepare.

        Args:
            interceptors: As for `grpc.aio.server`, the outermost first.
            most_bytes: Size of the largest message taken.
        """
        self._interceptors = interceptors
        self._most_bytes = most_bytes
        self._handlers: list[Any] = []
        self._connections: set[Connection] = set()
        self._refusing = False

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """Add a servicer's handlers; called by the generated code."""
        self._handlers.extend(handlers)

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Do nothing: they are among the generic ones."""

    def connection(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(
            serve=self._serve,
            most_bytes=self._most_bytes,
            on_open=self._opened,
            on_close=self._connections.discard,
        )

    def refuse(self) -> None:
        """Take no further calls; those that run go on. Let no further connection come before."""
        self._refusing = True
        for each in self._connections:
            each.refuse()

    def close(self) -> None:
        """Close every connection, and end what runs on them."""
        for each in list(self._connections):
            each.close()

    def _opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._refusing:
            connection.close()

    async def _serve(self, method: str, call: Call) -> None:
        handler = await self._find(_Details(method, call.invocation_metadata()))
        if (
            handler is not None
            and handler.stream_stream is not None
            and handler.request_deserializer is None
        ):
            async with contextlib.aclosing(handler.stream_stream(call, call)) as answers:
                async for answer in answers:
                    await call.write(answer)
        else:
            call.fail(
                grpc.StatusCode.UNIMPLEMENTED, "Only bidirectional streams of bytes are served here"
            )

    async def _find(self, details: _Details) -> Any:
        async def innermost(given: _Details) -> Any:
            found = (each.service(given) for each in self._handlers)
            return next((one for one in found if one is not None), None)

        continuation: Any = innermost
        for each in reversed(self._interceptors):
            continuation = functools.partial(each.intercept_service, continuation)
        return await continuation(details)
