"""The interceptor of every server of ours."""

import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from services.chassis import authentication, authorisation, context, errors, identity, status
from services.chassis.interceptors import request as requests
from services.chassis.interceptors.calls import Calls
from services.chassis.interceptors.measures import Measures
from services.chassis.interceptors.opening import Opening

_log = structlog.get_logger(__name__)
_logger = logging.getLogger(__name__)

_OPEN = ("/grpc.health.v1.Health/", "/grpc.reflection.")
"""Prefixes of the methods that need no token: they tell nothing that is anyone's."""


_KINDS: Mapping[tuple[bool, bool], tuple[Callable[..., Any], str]] = {
    (False, False): (grpc.unary_unary_rpc_method_handler, "unary_unary"),
    (False, True): (grpc.unary_stream_rpc_method_handler, "unary_stream"),
    (True, False): (grpc.stream_unary_rpc_method_handler, "stream_unary"),
    (True, True): (grpc.stream_stream_rpc_method_handler, "stream_stream"),
}
"""How a handler is made, by whether requests and answers stream, and its behaviour's name."""


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """Wraps each method's handler once and remembers it: what is left per call is the call."""

    def __init__(
        self,
        *,
        service: str,
        rules: Mapping[str, authorisation.Rule],
        authenticator: authentication.Authenticator,
        calls: Calls,
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Prepare.

        Args:
            service: Name of the service.
            rules: Who may call what, by method.
            authenticator: Finds out who is calling.
            calls: Where running calls are counted.
            settle: Awaited by each call that is no stream, before its behaviour.
        """
        self._service = service
        self._rules = rules
        self._authenticator = authenticator
        self._calls = calls
        self._settle = settle
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Any]],
        handler_call_details: Any,
    ) -> Any:
        """Return the wrapped handler of the method called."""
        method: str = handler_call_details.method
        handler = self._wrapped.get(method)
        if handler is None:
            handler = self._wrap(method, await continuation(handler_call_details))
            if method in self._rules:
                # Only what exists: a client must not fill our memory with names.
                self._wrapped[method] = handler
        return handler

    def _wrap(self, method: str, handler: Any) -> Any:
        if method.startswith(_OPEN) and handler is not None:
            return handler
        rule = self._rules.get(method)
        if rule is None or handler is None:
            return grpc.unary_unary_rpc_method_handler(self._unknown(method))
        takes_stream, gives_stream = handler.request_streaming, handler.response_streaming
        make, kind = _KINDS[takes_stream, gives_stream]
        behavior = getattr(handler, kind)
        if _is_missing(behavior):
            return grpc.unary_unary_rpc_method_handler(self._unknown(method))
        wrap: Callable[..., Any] = self._stream if gives_stream else self._unary
        # The library would answer bytes that are no message with a Python exception's name, so
        # they are read inside the call: where errors are understood, and nobody's unasked.
        read = None if takes_stream else handler.request_deserializer
        return make(
            wrap(method, rule, behavior, read),
            request_deserializer=handler.request_deserializer if takes_stream else None,
            response_serializer=handler.response_serializer,
        )

    def _unary(
        self,
        method: str,
        rule: authorisation.Rule,
        behavior: Callable[..., Awaitable[Any]],
        read: Callable[[bytes], Any] | None,
    ) -> Callable[..., Awaitable[Any]]:
        measures = Measures(method)
        calls, settle = self._calls, self._settle

        async def unary(request: Any, rpc: Any) -> Any:
            code = "OK"
            calls.begin()
            measures.running.inc()
            started = perf_counter()
            try:
                self._admit(method, rule, rpc)
                if settle is not None:
                    await settle()
                return await behavior(_message(request, read), rpc)
            except BaseException as error:
                code = _code(error, rpc)
                await self._refuse(error, rpc)
                raise
            finally:
                seconds = perf_counter() - started
                measures.running.dec()
                measures.seconds.observe(seconds)
                measures.handled(code).inc()
                calls.end()
                _tell(method, code, seconds)

        return unary

    def _stream(
        self,
        method: str,
        rule: authorisation.Rule,
        behavior: Callable[..., Any],
        read: Callable[[bytes], Any] | None,
    ) -> Callable[..., AsyncIterator[Any]]:
        measures = Measures(method)
        calls = self._calls

        async def stream(request: Any, rpc: Any) -> AsyncIterator[Any]:
            code = "OK"
            calls.begin()
            measures.streams.inc()
            started = perf_counter()
            try:
                self._admit(method, rule, rpc)
                message = _message(request, read)
                opening = Opening(rpc)
                opened = False
                try:
                    async with contextlib.aclosing(behavior(message, rpc)) as answers:
                        async for answer in answers:
                            if not opened:
                                await opening.now()
                                opened = True
                            yield answer
                finally:
                    await opening.stop()
            except GeneratorExit:
                code = "CANCELLED"
                raise
            except BaseException as error:
                code = _code(error, rpc)
                await self._refuse(error, rpc)
                raise
            finally:
                measures.streams.dec()
                measures.handled(code).inc()
                calls.end()
                _tell(method, code, perf_counter() - started)

        return stream

    def _unknown(self, method: str) -> Callable[..., Awaitable[Any]]:
        async def unknown(_: Any, rpc: Any) -> Any:
            received = requests.read(
                rpc.invocation_metadata(), rpc.time_remaining(), self._service, method
            )
            context.enter(received.request)
            name = status.shorten(method, 100)
            await self._refuse(
                errors.Unimplemented("METHOD_NOT_FOUND", f"There is no method {name}"), rpc
            )

        return unknown

    def _admit(self, method: str, rule: authorisation.Rule, rpc: Any) -> None:
        """Enter the request's context, find out who is calling, and whether they may."""
        received = requests.read(
            rpc.invocation_metadata(), rpc.time_remaining(), self._service, method
        )
        context.enter(received.request)
        # Trailing: sending initial metadata ahead of a unary answer takes 120 µs, a quarter of
        # what a small call costs in all.
        rpc.set_trailing_metadata((("x-request-id", received.request.request_id),))
        caller = self._authenticator.authenticate(received.authorization)
        rule.check(caller)
        identity.enter(caller)

    @staticmethod
    async def _refuse(error: BaseException, rpc: Any) -> None:
        """End the call with what the caller may know of an error; returns where it has ended."""
        if isinstance(error, grpc.aio.AbortError) or not isinstance(error, Exception):
            return
        known = errors.from_exception(error)
        if isinstance(known, errors.Internal) and known is not error:
            _log.error("call failed", method=context.current().method, exc_info=error)
        elif isinstance(known, errors.Internal | errors.Unavailable):
            _log.warning(
                "call failed",
                method=context.current().method,
                code=known.code,
                reason=known.message,
            )
        detail = errors.to_detail(known)
        packed = status.pack(known.status, detail)
        await rpc.abort(
            known.status,
            detail.message,
            (("x-request-id", detail.request_id), (status.KEY, packed)),
        )


def _tell(method: str, code: str, seconds: float) -> None:
    """Log a call that ended, for who follows what a service does; asked first, as it is each."""
    if _logger.isEnabledFor(logging.DEBUG):
        _log.debug("call ended", method=method, code=code, seconds=round(seconds, 4))


def _message(request: Any, read: Callable[[bytes], Any] | None) -> Any:
    """Return the request as a message; a stream of them is one already."""
    if read is None:
        return request
    try:
        return read(request)
    except DecodeError:
        raise errors.InvalidArgument(
            "INVALID_MESSAGE", "The request is not a message of this method's contract"
        ) from None


def _code(error: BaseException, rpc: Any) -> str:
    if isinstance(error, grpc.aio.AbortError):
        code = rpc.code()
        return code.name if isinstance(code, grpc.StatusCode) else _NAMES.get(code, "UNKNOWN")
    return errors.from_exception(error).status.name


_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


def _is_missing(behavior: Callable[..., Any]) -> bool:
    """Whether a servicer left a method as the generated class has it: unimplemented."""
    return behavior.__module__.endswith("_pb2_grpc")


def check_shapes(servicer: object, service: Any) -> None:
    """Refuse a servicer with a handler that is neither coroutine nor async generator.

    Tracing and the wrapping here need streams as async generators; a plain
    function would block every other call.

    Raises:
        TypeError: Names the method and what it must be.

    """
    for method in service.methods:
        behavior = getattr(servicer, method.name, None)
        if behavior is None or _is_missing(behavior):
            continue
        if method.server_streaming:
            right = inspect.isasyncgenfunction(behavior)
            form = "an async generator"
        else:
            right = inspect.iscoroutinefunction(behavior)
            form = "a coroutine function"
        if not right:
            raise TypeError(f"{type(servicer).__name__}.{method.name} must be {form}")
