"""Reads a call's metadata: who it is from, what it is called, how long it may take."""

import re
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from services.chassis import context, telemetry

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_UUID = re.compile(r"(?i:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_NO_TRACE = "0" * 32
_MAX_TRACESTATE = 512
"""Longest tracestate passed on, in characters (W3C Trace Context, 3.3.1.5)."""


class Received(NamedTuple):
    """What a call came with."""

    request: context.RequestContext
    authorization: str


def read(
    metadata: Iterable[tuple[str, Any]], remaining: float | None, service: str, method: str
) -> Received:
    """Understand a call's metadata; what is malformed is as good as absent.

    Args:
        metadata: Header names in lower case, and values.
        remaining: Seconds left by gRPC's own deadline; None where it has none.
        service: Our name.
        method: The full method name.

    """
    authorization = request_id = traceparent = tracestate = expected = ""
    for key, value in metadata:
        if key == "authorization":
            authorization = value
        elif key == "x-request-id":
            request_id = value
        elif key == "traceparent":
            traceparent = value
        elif key == "tracestate":
            tracestate = value
        elif key == "x-envoy-expected-rq-timeout-ms":
            expected = value
    if not request_id or _REQUEST_ID.fullmatch(request_id) is None:
        request_id = context.new_request_id()
    trace_id = ""
    if traceparent:
        match = _TRACEPARENT.fullmatch(traceparent)
        trace_id = match[1] if match is not None and match[1] != _NO_TRACE else ""
    if telemetry.tracing():
        trace_id = telemetry.current_trace_id() or trace_id
    traced = bool(trace_id)
    if not trace_id and _UUID.fullmatch(request_id):
        # As the gateway makes it for who brings none: either id leads to the other in every log.
        trace_id = request_id.replace("-", "").lower()
    if remaining is None and expected.isdecimal() and len(expected) < 10:
        # JSON callers have no gRPC deadline; Envoy says how long it will wait.
        remaining = int(expected) / 1000 or None
    return Received(
        context.RequestContext(
            request_id=request_id,
            trace_id=trace_id,
            traceparent=traceparent if traced else "",
            tracestate=tracestate if traced and len(tracestate) <= _MAX_TRACESTATE else "",
            deadline=None if remaining is None else time.monotonic() + remaining,
            service=service,
            method=method,
        ),
        authorization,
    )
