"""The package's edge: here, and only here, gRPC's errors become ours."""

import grpc
from google.protobuf import json_format, message
from google.rpc import status_pb2

from codestudio import _errors
from codestudio.common.v1 import error_pb2

_STATUS_DETAILS = "grpc-status-details-bin"


# A stream that breaks behind a proxy ends with whatever the break looked like on the way.
_BROKEN = (
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)
_HEX = frozenset("0123456789abcdef")
_RESET = ("RST_STREAM", "Stream removed", "Connection reset", "Socket closed")


def translate(
    error: grpc.aio.AioRpcError,
    *,
    gateway: str,
    request_id: str = "",
    timeout: float | None = None,
    streaming: bool = False,
) -> _errors.CodeStudioError:
    """Make the exception for a failed call to `gateway`.

    `request_id` is the one that was sent, `timeout` the seconds that were allowed, `streaming`
    says that it was a stream, which no deadline ends and nobody here cancelled.
    """
    headers = _headers(error)
    request_id = str(headers.get("x-request-id") or request_id)
    trace_id = str(headers.get("x-trace-id") or _trace_of(request_id))
    detail = _detail_of_status(headers.get(_STATUS_DETAILS)) or _detail_of_text(error.details())
    if detail is not None:
        return _errors.from_detail(
            detail, status=error.code(), request_id=request_id, trace_id=trace_id
        )
    if _is_break(error, streaming=streaming):
        return _errors.Unavailable(
            f"the connection to the gateway at {gateway} broke: {error.details()}",
            code="CONNECTION_LOST",
            request_id=request_id,
            trace_id=trace_id,
        )
    message_, code = _explain(error.code(), error.details() or "", gateway, timeout)
    return _errors.class_of(code, error.code())(
        message_, code=code, details=error.details() or "", request_id=request_id, trace_id=trace_id
    )


def _is_break(error: grpc.aio.AioRpcError, *, streaming: bool) -> bool:
    """Tell whether an error that nobody described means that the connection broke."""
    if error.code() not in _BROKEN:
        return False
    return streaming or any(sign in (error.details() or "") for sign in _RESET)


def _trace_of(request_id: str) -> str:
    """Give the trace the gateway makes of a request's id: the id without its hyphens."""
    trace_id = request_id.replace("-", "").lower()
    return trace_id if len(trace_id) == 32 and set(trace_id) <= _HEX else ""


def _headers(error: grpc.aio.AioRpcError) -> dict[str, str | bytes]:
    return dict([*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())])


def _detail_of_status(packed: str | bytes | None) -> error_pb2.ErrorDetail | None:
    """Take our detail out of a google.rpc.Status; None if there is none."""
    if not isinstance(packed, bytes):
        return None
    status, detail = status_pb2.Status(), error_pb2.ErrorDetail()
    try:
        status.ParseFromString(packed)
        return next((detail for any_ in status.details if any_.Unpack(detail)), None)
    except message.DecodeError:
        return None


def _detail_of_text(text: str | None) -> error_pb2.ErrorDetail | None:
    """Take our detail out of an envelope in JSON: what Envoy answers by itself."""
    if not text or not text.startswith("{"):
        return None
    try:
        envelope = json_format.Parse(text, error_pb2.ErrorResponse(), ignore_unknown_fields=True)
    except json_format.ParseError:
        return None
    return envelope.error if envelope.error.code else None


def _explain(
    status: grpc.StatusCode, text: str, gateway: str, timeout: float | None
) -> tuple[str, str]:
    """Say what a status without our detail means: message and code."""
    match status:
        case grpc.StatusCode.UNAVAILABLE if "connect" in text.lower() and "upstream" not in text:
            return (
                f"cannot reach the gateway at {gateway}. Is the stack running (./scripts/up), "
                "and is this its address (--gateway or CODESTUDIO_GATEWAY)?",
                "GATEWAY_UNREACHABLE",
            )
        case grpc.StatusCode.UNAVAILABLE:
            return (
                f"the gateway at {gateway} has nobody to answer now: {text}. Try again shortly; "
                "`codestudio doctor` tells which service is down",
                "UNAVAILABLE",
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            allowed = f" within {timeout:g} s" if timeout else " in time"
            return (
                f"no answer from the gateway at {gateway}{allowed}. Allow more time "
                "(--timeout), or see what `codestudio doctor` says",
                "DEADLINE_EXCEEDED",
            )
        case grpc.StatusCode.UNAUTHENTICATED:
            return (
                f"the gateway at {gateway} does not accept the token: {text or 'no reason given'}. "
                "Give a valid one with --token or CODESTUDIO_TOKEN",
                "UNAUTHENTICATED",
            )
        case grpc.StatusCode.UNIMPLEMENTED:
            return (
                f"what answers at {gateway} does not know this call: {text or 'no reason given'}. "
                "Is it a CodeStudio gateway, and as new as this client?",
                "UNIMPLEMENTED",
            )
        case _:
            return f"{text or status.name.lower()} (gateway {gateway})", status.name
