"""Calls to the gateway: channel, token, deadline, repetition, errors."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar, cast

import grpc
import grpc.aio

from codestudio import _discovery, _edge, _errors, _version
from codestudio._retry import RetryPolicy

Request = TypeVar("Request")
Response = TypeVar("Response")
Stub = TypeVar("Stub")
Metadata = tuple[tuple[str, str], ...]

DEFAULT_TIMEOUT = 10.0
"""Seconds a call may take, repetitions included, unless told otherwise."""

SILENCE = 45.0
"""Seconds without a message after which a stream counts as dead: two heartbeats and a bit."""

USER_AGENT = f"codestudio-python/{_version.__version__}"

_MESSAGE_BYTES = 64 * 1024 * 1024  # a page of 1000 instances, each with all it may have

_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.primary_user_agent", USER_AGENT),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    # A gateway that restarts is back within a second: do not wait longer before trying.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Repetition is decided here, where it is known which calls are safe to repeat.
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


class Transport:
    """One connection to a gateway, made when first used."""

    def __init__(
        self, connection: _discovery.Connection, *, timeout: float, retry: RetryPolicy
    ) -> None:
        if not timeout > 0:
            raise ValueError(f"a timeout is a number of seconds above 0, not {timeout}")
        self.connection = connection
        self.timeout = timeout
        self.retry = retry
        self._channel: grpc.aio.Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def stub(self, make: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        """Make a stub of the generated code."""
        return make(self._open())

    async def unary(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        *,
        timeout: float | None = None,
        repeatable: bool,
    ) -> Response:
        """Call `method`; while it is unavailable, and if it is `repeatable`, again.

        Raises CodeStudioError.
        """
        loop = asyncio.get_running_loop()
        allowed = self.timeout if timeout is None else timeout
        deadline = loop.time() + allowed
        request_id = str(uuid.uuid4())
        failures = 0
        unavailable: _errors.CodeStudioError | None = None
        while True:
            try:
                return await method(
                    request,
                    timeout=max(deadline - loop.time(), 0.001),
                    metadata=self._metadata(request_id),
                )
            except grpc.aio.AioRpcError as error:
                failure = _edge.translate(
                    error, gateway=self.connection.gateway, request_id=request_id, timeout=allowed
                )
            if not isinstance(failure, _errors.Unavailable):
                # Running out of time between two attempts says less than what was wrong before.
                if unavailable and isinstance(failure, _errors.DeadlineExceeded):
                    raise unavailable
                raise failure
            unavailable = failure
            failures += 1
            pause = self.retry.pause(failures)
            if not repeatable or failures >= self.retry.attempts or loop.time() + pause >= deadline:
                raise failure
            await asyncio.sleep(pause)

    async def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        *,
        silence: float = SILENCE,
    ) -> AsyncGenerator[Response]:
        """Call `method` once and yield what it sends, without an end in time.

        Raises CodeStudioError; Unavailable after `silence` seconds without a message.
        """
        request_id = str(uuid.uuid4())
        call = method(request, metadata=self._metadata(request_id))
        try:
            while True:
                try:
                    message = await asyncio.wait_for(call.read(), silence)
                except TimeoutError:
                    raise _errors.Unavailable(
                        f"nothing heard from {self.connection.gateway} for {silence:g} s",
                        code="STREAM_SILENT",
                        request_id=request_id,
                    ) from None
                except grpc.aio.AioRpcError as error:
                    raise _edge.translate(
                        error,
                        gateway=self.connection.gateway,
                        request_id=request_id,
                        streaming=True,
                    ) from None
                if message is grpc.aio.EOF:
                    return
                yield cast("Response", message)
        finally:
            call.cancel()

    def duplex(
        self, method: grpc.aio.StreamStreamMultiCallable[Request, Response]
    ) -> "Duplex[Request, Response]":
        """Call `method`, which streams both ways, once; without an end in time."""
        request_id = str(uuid.uuid4())
        call = method(metadata=self._metadata(request_id))
        return Duplex(call, gateway=self.connection.gateway, request_id=request_id)

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled. Closing again does nothing."""
        self._closed = True
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def _open(self) -> grpc.aio.Channel:
        if self._closed:
            raise RuntimeError("this client is closed")
        loop = asyncio.get_running_loop()
        if self._channel is None:
            self._loop = loop
            self._channel = self._new_channel()
        elif self._loop is not loop:
            raise RuntimeError(
                "an AsyncClient belongs to the event loop it is first used in; "
                "make one for each loop, or use Client"
            )
        return self._channel

    def _new_channel(self) -> grpc.aio.Channel:
        # gRPC would send even a call to localhost through the proxy http_proxy names.
        options = (*_OPTIONS, ("grpc.enable_http_proxy", int(not self.connection.loopback)))
        if self.connection.secure:
            return grpc.aio.secure_channel(
                self.connection.target, grpc.ssl_channel_credentials(), options=options
            )
        return grpc.aio.insecure_channel(self.connection.target, options=options)

    def _metadata(self, request_id: str) -> Metadata:
        identity = (("x-request-id", request_id),)
        if not self.connection.token:
            return identity
        return (*identity, ("authorization", f"Bearer {self.connection.token}"))


class Duplex(Generic[Request, Response]):
    """A call that streams both ways. Its methods raise CodeStudioError."""

    def __init__(
        self,
        call: grpc.aio.StreamStreamCall[Request, Response],
        *,
        gateway: str,
        request_id: str,
    ) -> None:
        self._call = call
        self._gateway = gateway
        self._request_id = request_id

    async def send(self, message: Request) -> None:
        """Send a message; waits while the other side is slow to read."""
        try:
            await self._call.write(message)
        except grpc.aio.AioRpcError as error:
            raise self._translated(error) from None
        except asyncio.InvalidStateError:
            # The stream has ended; why, only reading tells.
            raise _errors.Unavailable(
                f"the stream to {self._gateway} has ended",
                code="CONNECTION_LOST",
                request_id=self._request_id,
            ) from None

    async def receive(self) -> Response | None:
        """Wait for a message; None when the other side has ended the stream."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise self._translated(error) from None
        return None if message is grpc.aio.EOF else cast("Response", message)

    async def finish(self) -> None:
        """Say that nothing more will be sent."""
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.done_writing()

    def cancel(self) -> None:
        """End the call at once."""
        self._call.cancel()

    def _translated(self, error: grpc.aio.AioRpcError) -> _errors.CodeStudioError:
        return _edge.translate(
            error, gateway=self._gateway, request_id=self._request_id, streaming=True
        )
