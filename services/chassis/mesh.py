"""Calls to other services, through Envoy's mesh listener.

Every call carries a token, the request id, the trace and a deadline: what
remains of the one being served, at most ten seconds. Envoy repeats idempotent
calls that failed on the way; here nothing is repeated. What a called service
answers as an error is raised as the `errors.DomainError` of its status.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar, cast

import grpc
import grpc.aio

from services.chassis import connectors, context, errors, telemetry, tokens
from services.chassis.settings import ServiceSettings

Stub = TypeVar("Stub")

STREAM_TIMEOUT = 3600.0
"""Seconds a stream may last; its reader then begins again where it was."""

_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Ready again within a second or so of the mesh's return.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Mesh(connectors.Connector):
    """The channel to every other service."""

    name = "mesh"
    required = False

    def __init__(self, settings: ServiceSettings) -> None:
        super().__init__(settings.dependency_timeout)
        self._tokens = tokens.ServiceTokens(settings.microservice_name, settings.service_key_file)
        self._options = (
            *_OPTIONS,
            ("grpc.max_receive_message_length", settings.grpc_max_send_bytes),
            ("grpc.max_send_message_length", settings.grpc_max_receive_bytes),
        )
        self._address = settings.mesh_address
        self._channel: grpc.aio.Channel | None = None
        self._own: dict[Callable[[Any], Any], Any] = {}

    def stub(self, stub_type: Callable[[grpc.aio.Channel], Stub], *, token: str = "") -> Stub:
        """Return a client of one service.

        Args:
            stub_type: The generated class, such as ``QuotaServiceStub``.
            token: A user's token to act with (`identity.current().token`);
                by default our own.

        Calls of it raise `errors.DomainError`. ``timeout=`` and ``metadata=``
        may be given to each as usual.

        """
        if token:
            return stub_type(self._dress(lambda: token))
        if stub_type not in self._own:
            self._own[stub_type] = stub_type(self._dress(self._tokens.current))
        return cast("Stub", self._own[stub_type])

    async def probe(self) -> None:
        """Wait for the channel to be connected."""
        channel = self._open()
        state = channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)

    async def close(self) -> None:
        """Close the channel, cancelling what is under way."""
        self._own.clear()
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(
                self._address,
                options=self._options,
                interceptors=telemetry.client_interceptors(),
            )
        return self._channel

    def _dress(self, token: Callable[[], str]) -> grpc.aio.Channel:
        return cast("grpc.aio.Channel", _DressedChannel(self._open(), token))


class _DressedChannel:
    """What a generated stub needs of a channel, giving every call what it must carry.

    Not gRPC's client interceptors: those cost a task per call and cannot set
    an error's type.
    """

    def __init__(self, channel: grpc.aio.Channel, token: Callable[[], str]) -> None:
        self._channel = channel
        self._token = token

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        call = self._channel.unary_unary(method, *args, **kwargs)
        return self._one_answer(call)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        call = self._channel.stream_unary(method, *args, **kwargs)
        return self._one_answer(call)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        call = self._channel.unary_stream(method, *args, **kwargs)
        return self._many_answers(call)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        call = self._channel.stream_stream(method, *args, **kwargs)
        return self._many_answers(call)

    def _one_answer(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def answer(
            request: Any,
            *,
            timeout: float | None = None,
            metadata: Sequence[tuple[str, str]] = (),
            **options: Any,
        ) -> Any:
            seconds = context.timeout(context.DEFAULT_TIMEOUT if timeout is None else timeout)
            try:
                return await call(
                    request, timeout=seconds, metadata=self._carried(metadata), **options
                )
            except grpc.aio.AioRpcError as error:
                raise errors.from_rpc_error(error) from error

        return answer

    def _many_answers(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def answers(
            request: Any = None,
            *,
            timeout: float | None = None,
            metadata: Sequence[tuple[str, str]] = (),
            **options: Any,
        ) -> AnswerStream:
            seconds = context.timeout(STREAM_TIMEOUT if timeout is None else timeout)
            return AnswerStream(
                call(request, timeout=seconds, metadata=self._carried(metadata), **options)
            )

        return answers

    def _carried(self, metadata: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self._token()}"), *_headers(), *metadata]


class AnswerStream:
    """The messages of a streaming call; ends with an `errors.DomainError` where it fails."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._read()

    def cancel(self) -> bool:
        """End the call now; whether it was still running."""
        return bool(self._call.cancel())

    async def _read(self) -> AsyncIterator[Any]:
        try:
            async for message in self._call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc_error(error) from error
        finally:
            # A reader that stops early must not leave the call open behind it.
            self._call.cancel()


def _headers() -> list[tuple[str, str]]:
    request = context.current()
    carried = [("x-request-id", request.request_id or context.new_request_id())]
    if request.traceparent and not telemetry.tracing():
        # With tracing on, its interceptor names the span that makes the call instead.
        carried.append(("traceparent", request.traceparent))
        if request.tracestate:
            carried.append(("tracestate", request.tracestate))
    return carried
