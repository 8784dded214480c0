"""Tracing, with a collector that really receives."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest
from codestudio.instance.v1 import instance_service_pb2, instance_service_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from services.chassis import context, errors, mesh, telemetry
from tests.integration.chassis import parts

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans it is sent."""

    def __init__(self) -> None:
        self.spans: list[trace_pb2.Span] = []
        self.lock = threading.Lock()

    def Export(self, request, context):
        with self.lock:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Collector, str]]:
    # Tracing is the process's: leave it off for the tests that follow.
    monkeypatch.setattr(telemetry, "_trace_id", telemetry._trace_id)
    monkeypatch.setattr(telemetry, "_client_interceptors", telemetry._client_interceptors)
    kept = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(kept, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield kept, f"http://127.0.0.1:{port}"
    server.stop(None).wait()


async def test_spans_join_the_callers_trace(
    keys: parts.Keys, collector: tuple[Collector, str]
) -> None:
    """Calls, refusals, streams and calls to other services make spans of one trace."""
    kept, endpoint = collector
    seen: list[str] = []
    async with parts.serving(keys, otel_exporter_otlp_endpoint=endpoint) as served:
        settings = parts.configured(
            keys,
            microservice_name="resource-service",
            mesh_address=f"127.0.0.1:{served.running.port}",
        )
        other = mesh.Mesh(settings)

        async def get(request, rpc):
            seen.append(context.current().trace_id)
            if request.id == "outer":
                stub = other.stub(instance_service_pb2_grpc.InstanceServiceStub)
                return await stub.GetInstance(instance_service_pb2.GetInstanceRequest(id="inner"))
            if request.id == "none":
                raise errors.NotFound("INSTANCE_NOT_FOUND", "none")
            return await parts.echo(request, rpc)

        served.servicer.get = get
        parent = f"00-{TRACE}-b7ad6b7169203331-01"
        await served.get("outer", traceparent=parent)
        code, detail = await parts.refusal(served.get("none"))
        assert (code, detail.code) == (grpc.StatusCode.NOT_FOUND, "INSTANCE_NOT_FOUND")
        stream = served.watch()
        await stream.initial_metadata()
        stream.cancel()
        watch = health_pb2_grpc.HealthStub(served.channel).Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        watch.cancel()
        await other.stop()
    assert seen[:2] == [TRACE, TRACE]
    assert seen[2] not in ("", TRACE)
    async with asyncio.timeout(10):
        while sum(span.trace_id.hex() == TRACE for span in kept.spans) < 3:
            await asyncio.sleep(0.02)
    ours = [span for span in kept.spans if span.trace_id.hex() == TRACE]
    inner, call, outer = sorted(ours, key=lambda span: span.start_time_unix_nano, reverse=True)
    assert outer.parent_span_id.hex() == "b7ad6b7169203331"
    assert call.parent_span_id == outer.span_id
    assert inner.parent_span_id == call.span_id
    failed = next(span for span in kept.spans if span.trace_id.hex() == seen[2])
    codes = {one.key: one.value.int_value for one in failed.attributes}
    assert codes["rpc.grpc.status_code"] == grpc.StatusCode.NOT_FOUND.value[0]
    assert not any("health" in span.name.lower() for span in kept.spans)
