"""Traces, by OpenTelemetry.

Spans are made only where a collector is configured; its libraries are not
even imported otherwise. W3C trace context is read and passed on always, by
the interceptors and by `mesh`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import grpc.aio

from services.chassis.settings import ServiceSettings

_EXPORT_TIMEOUT = 2
"""Seconds to hand spans to the collector before they are given up."""

_trace_id: Callable[[], str] | None = None
_client_interceptors: Callable[[], Sequence[grpc.aio.ClientInterceptor]] = tuple


def tracing() -> bool:
    """Whether spans are made."""
    return _trace_id is not None


def current_trace_id() -> str:
    """Return the trace of the running span as 32 hex digits; empty without tracing."""
    return _trace_id() if _trace_id is not None else ""


def client_interceptors() -> Sequence[grpc.aio.ClientInterceptor]:
    """Return what a channel needs for its calls to be traced."""
    return _client_interceptors()


def configure(settings: ServiceSettings) -> tuple[list[Any], Callable[[], None]]:
    """Start tracing where a collector is configured.

    Returns:
        The server's interceptors for it, and what sends the last spans at the end.

    """
    global _trace_id, _client_interceptors
    if not settings.otel_exporter_otlp_endpoint:
        return [], lambda: None

    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.grpc import (
        aio_client_interceptors,
        aio_server_interceptor,
        filters,
    )
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": settings.microservice_name,
                "service.namespace": "codestudio",
                "service.instance.id": settings.stack_id,
            }
        )
    )
    # Its time-out also bounds how long a collector that is gone delays the service's end.
    exporter = OTLPSpanExporter(
        endpoint=settings.otel_exporter_otlp_endpoint, timeout=_EXPORT_TIMEOUT
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))

    def trace_id() -> str:
        span = trace.get_current_span().get_span_context()
        return trace.format_trace_id(span.trace_id) if span.is_valid else ""

    _trace_id = trace_id
    _client_interceptors = functools.partial(aio_client_interceptors, tracer_provider=provider)
    # Its server interceptor breaks coroutine-style streams, which health's Watch is.
    ours = filters.negate(filters.any_of(filters.health_check(), filters.service_prefix("grpc.")))
    make: Callable[..., Any] = aio_server_interceptor
    return [make(tracer_provider=provider, filter_=ours)], provider.shutdown
