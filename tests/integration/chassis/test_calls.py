"""What happens around a call, seen from both of its ends."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
import redis.exceptions
from codestudio.collaboration.v1 import collaboration_service_pb2_grpc
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from google.protobuf import empty_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import REGISTRY

from services.chassis import authorisation, context, errors, lifecycle, logs, status, validation
from tests import logged
from tests.integration.chassis import parts


def _raises(error: Exception):
    async def get(*_):
        raise error

    return get


async def test_a_domain_error_arrives_whole(served: parts.Served) -> None:
    """Code, message, details, facts, time, request id and service all reach the caller."""
    served.servicer.get = _raises(
        errors.NotFound(
            "INSTANCE_NOT_FOUND",
            "There is no instance ä",
            details="it was deleted",
            instance_id="ä",
            metadata={"deleted_at": "2026-01-01"},
        )
    )
    code, detail = await parts.refusal(served.get(x_request_id="r-1"))
    assert code is grpc.StatusCode.NOT_FOUND
    assert detail.code == "INSTANCE_NOT_FOUND"
    assert detail.message == "There is no instance ä"
    assert detail.details == "it was deleted"
    assert detail.instance_id == "ä"
    assert dict(detail.metadata) == {"deleted_at": "2026-01-01"}
    assert detail.request_id == "r-1"
    assert detail.service == "instance-service"
    assert detail.timestamp.endswith("Z")


async def test_violations_travel_in_both_forms(served: parts.Served) -> None:
    """Ours, and google.rpc.BadRequest for programs that know only that."""
    wrong = validation.Violations()
    wrong.add("id", "must be a name")
    wrong.add("config.cpu", "must be positive")

    async def get(*_):
        wrong.check()

    served.servicer.get = get
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.get()
    packed = dict(caught.value.trailing_metadata())[status.KEY]
    rich = status_pb2.Status.FromString(packed)
    assert rich.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert rich.message == caught.value.details()
    detail = status.unpack(caught.value.trailing_metadata())
    assert [one.field for one in detail.violations] == ["id", "config.cpu"]
    bad = error_details_pb2.BadRequest()
    assert rich.details[1].Unpack(bad)
    assert [one.field for one in bad.field_violations] == ["id", "config.cpu"]


async def test_an_error_too_large_for_headers_still_arrives(served: parts.Served) -> None:
    """However much is wrong, the caller gets our code and not a broken connection."""
    served.servicer.get = _raises(
        errors.InvalidArgument(
            "INVALID_ARGUMENT",
            "m" * 50_000,
            details="d" * 50_000,
            metadata={"k": "v" * 50_000},
            violations=[errors.Violation(f"field{n}", "x" * 500) for n in range(500)],
        )
    )
    code, detail = await parts.refusal(served.get())
    assert (code, detail.code) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    with logged.logged("instance-service") as buffer:
        yield buffer


async def test_an_unforeseen_exception_tells_nothing(
    served: parts.Served, log: io.StringIO
) -> None:
    """The caller gets INTERNAL_ERROR and the request id; the log gets the stack."""
    served.servicer.get = _raises(RuntimeError("password hunter2 at /etc/x"))
    code, detail = await parts.refusal(served.get(x_request_id="find-me"))
    assert (code, detail.code) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")
    assert "hunter2" not in str(detail)
    assert "Traceback" not in str(detail)
    assert detail.request_id == "find-me"
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    line = next(one for one in lines if one["level"] == "error")
    assert "hunter2" in line["exception"]
    assert line["request_id"] == "find-me"


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (redis.exceptions.ConnectionError("x"), "UNAVAILABLE", "REDIS_UNAVAILABLE"),
        (TimeoutError(), "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
        (errors.Aborted("ETAG_MISMATCH", "changed"), "ABORTED", "ETAG_MISMATCH"),
    ],
)
async def test_known_failures_keep_their_meaning(
    served: parts.Served, error: Exception, code: str, name: str
) -> None:
    """A dependency that is down is UNAVAILABLE, not a fault of ours."""
    import services.chassis.connectors.redis  # noqa: F401 - says what redis' errors mean

    served.servicer.get = _raises(error)
    status_code, detail = await parts.refusal(served.get())
    assert (status_code.name, detail.code) == (code, name)


async def test_an_abort_of_the_handlers_own_passes(served: parts.Served) -> None:
    """Code that speaks gRPC itself is not disturbed."""

    async def get(_, rpc):
        await rpc.abort(grpc.StatusCode.OUT_OF_RANGE, "too far")

    served.servicer.get = get
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.get()
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
    assert caught.value.details() == "too far"


async def test_the_request_id_is_kept_and_returned(served: parts.Served) -> None:
    """The caller's id where it is sane; else one of ours."""
    seen: list[str] = []

    async def get(*_):
        seen.append(context.current().request_id)
        return instance_pb2.Instance()

    served.servicer.get = get
    call = await served.get(x_request_id="Abc-1.2:3_4")
    assert dict(await call.trailing_metadata())["x-request-id"] == "Abc-1.2:3_4"
    for bad in ("a b", "x" * 129, "a;b"):
        call = await served.get(x_request_id=bad)
        minted = dict(await call.trailing_metadata())["x-request-id"]
        assert minted != bad
        assert len(minted) == 36
        assert seen[-1] == minted


async def test_a_stream_names_its_request_soon(served: parts.Served) -> None:
    """Before its first message, which may be long in coming."""
    call = served.stub.WatchInstances(
        instance_service_pb2.WatchInstancesRequest(),
        metadata=[("authorization", f"Bearer {served.keys.user()}"), ("x-request-id", "s-1")],
    )
    assert dict(await call.initial_metadata())["x-request-id"] == "s-1"
    call.cancel()


async def test_a_stream_refused_at_first_has_no_headers(served: parts.Served) -> None:
    """So that a proxy may still give it the HTTP status of the error."""

    async def refuse(*_):
        await asyncio.sleep(0)
        raise errors.InvalidArgument("INVALID_ARGUMENT", "filter: no such field")
        yield

    served.servicer.watch = refuse
    call = served.watch()
    code, detail = await parts.refusal(call.read())
    assert (code, detail.code) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert not list(await call.initial_metadata())


async def test_deadlines_reach_the_handler(served: parts.Served) -> None:
    """GRPC's own, or what Envoy will wait for where there is none."""
    seen: list[tuple[float | None, float]] = []

    async def get(*_):
        seen.append((context.current().deadline, context.timeout()))
        return instance_pb2.Instance()

    served.servicer.get = get
    request = instance_service_pb2.GetInstanceRequest()
    token = ("authorization", f"Bearer {served.keys.user()}")
    await served.stub.GetInstance(request, metadata=[token], timeout=3)
    expected = ("x-envoy-expected-rq-timeout-ms", "2000")
    await served.stub.GetInstance(request, metadata=[token, expected])
    await served.stub.GetInstance(request, metadata=[token, (expected[0], "nonsense")])
    await served.stub.GetInstance(request, metadata=[token], timeout=60)
    assert 2 < seen[0][1] < 3.5  # gRPC rounds up on the wire
    assert 1 < seen[1][1] <= 2
    assert seen[2] == (None, context.DEFAULT_TIMEOUT)
    assert seen[3][1] == context.DEFAULT_TIMEOUT


async def test_trace_context_is_read(served: parts.Served) -> None:
    """With tracing off too, so that a trace does not end here."""
    seen: list[context.RequestContext] = []

    async def get(*_):
        seen.append(context.current())
        return instance_pb2.Instance()

    served.servicer.get = get
    trace = "0af7651916cd43dd8448eb211c80319c"
    parent = f"00-{trace}-b7ad6b7169203331-01"
    await served.get(traceparent=parent, tracestate="a=b")
    await served.get(traceparent="garbage", tracestate="a=b")
    assert (seen[0].trace_id, seen[0].traceparent, seen[0].tracestate) == (trace, parent, "a=b")
    # Who brings none has the one the gateway makes: of the request's id.
    made = seen[1].request_id.replace("-", "")
    assert len(made) == 32
    assert (seen[1].trace_id, seen[1].traceparent, seen[1].tracestate) == (made, "", "")


async def test_an_unknown_method_is_ours_to_refuse(served: parts.Served) -> None:
    """With our envelope; one the servicer lacks is refused the same way."""
    call = served.channel.unary_unary(f"/{parts.SERVICE}/Nothing")
    code, detail = await parts.refusal(call(b"", metadata=[("x-request-id", "u-1")]))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert (detail.code, detail.request_id) == ("METHOD_NOT_FOUND", "u-1")
    code, detail = await parts.refusal(
        served.stub.StopInstance(instance_service_pb2.StopInstanceRequest())
    )
    assert detail.code == "METHOD_NOT_FOUND"


@pytest.mark.parametrize("method", ["GetInstance", "WatchInstances"])
async def test_bytes_that_are_no_message_are_the_callers_fault(
    served: parts.Served, method: str
) -> None:
    """INVALID_ARGUMENT; and a stranger's are not even read."""
    path = f"/{parts.SERVICE}/{method}"
    call = served.channel.unary_unary(path)
    metadata = [("authorization", f"Bearer {served.keys.user()}")]
    code, detail = await parts.refusal(call(b"\xff\xff", metadata=metadata))
    assert (code, detail.code) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MESSAGE")
    code, detail = await parts.refusal(call(b"\xff\xff"))
    assert (code, detail.code) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


async def test_streams_refuse_and_fail_as_calls_do(served: parts.Served) -> None:
    """An error after some messages arrives after them, with its detail."""

    async def watch(*_) -> AsyncIterator[instance_service_pb2.WatchInstancesResponse]:
        yield instance_service_pb2.WatchInstancesResponse()
        raise errors.OutOfRange("RESUME_TOKEN_EXPIRED", "begin again")

    served.servicer.watch = watch
    request = instance_service_pb2.WatchInstancesRequest()

    async def read(metadata):
        return [one async for one in served.stub.WatchInstances(request, metadata=metadata)]

    code, detail = await parts.refusal(read(None))
    assert (code, detail.code) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    metadata = [("authorization", f"Bearer {served.keys.user()}")]
    stream = served.stub.WatchInstances(request, metadata=metadata)
    assert await stream.read() == instance_service_pb2.WatchInstancesResponse()
    code, detail = await parts.refusal(stream.read())
    assert (code, detail.code) == (grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_EXPIRED")


async def test_a_cancelled_stream_ends_its_handler(served: parts.Served) -> None:
    """A client that goes away leaves nothing running behind it."""
    ended = asyncio.Event()

    async def watch(*_):
        try:
            yield instance_service_pb2.WatchInstancesResponse()
            await asyncio.Event().wait()
        finally:
            ended.set()

    served.servicer.watch = watch
    stream = served.stub.WatchInstances(
        instance_service_pb2.WatchInstancesRequest(),
        metadata=[("authorization", f"Bearer {served.keys.user()}")],
    )
    await stream.read()
    stream.cancel()
    await asyncio.wait_for(ended.wait(), 5)


async def test_health_and_reflection_are_open(served: parts.Served) -> None:
    """Without a token: a health checker and grpcurl have none."""
    health = health_pb2_grpc.HealthStub(served.channel)
    deadline = time.monotonic() + 5
    serving = health_pb2.HealthCheckResponse.SERVING
    for name in ("", parts.SERVICE):
        request = health_pb2.HealthCheckRequest(service=name)
        while (await health.Check(request)).status != serving:
            assert time.monotonic() < deadline
    reflection = reflection_pb2_grpc.ServerReflectionStub(served.channel)

    async def ask():
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async for answer in reflection.ServerReflectionInfo(ask()):
        names = [one.name for one in answer.list_services_response.service]
    assert parts.SERVICE in names


async def test_calls_are_counted_with_their_code(served: parts.Served) -> None:
    """Refusals too, by the method's own name."""

    def count(code: str) -> float:
        labels = {"grpc_service": parts.SERVICE, "grpc_method": "GetInstance", "grpc_code": code}
        return REGISTRY.get_sample_value("grpc_server_handled_total", labels) or 0.0

    before = {code: count(code) for code in ("OK", "UNAUTHENTICATED", "NOT_FOUND")}
    await served.get()
    await parts.refusal(served.get(token=""))
    served.servicer.get = _raises(errors.NotFound("X", "x"))
    await parts.refusal(served.get())
    for code, number in before.items():
        assert count(code) == number + 1, code
    labels = {"grpc_service": parts.SERVICE, "grpc_method": "GetInstance"}
    assert REGISTRY.get_sample_value("grpc_server_in_flight", labels) == 0


async def test_calls_are_logged_where_that_is_asked_for(served: parts.Served) -> None:
    """One line a call at level debug, with its method and how it ended; else none."""
    with logged.logged("instance-service") as written:
        await served.get()
        logs.set_level("debug")
        await served.get()
        await parts.refusal(served.get(token="x"))
        # Whoever is refused is told so before the call has ended.
        await parts.until(lambda: "UNAUTHENTICATED" in written.getvalue())
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    ended = [one for one in lines if one["message"] == "call ended"]
    method = f"/{parts.SERVICE}/GetInstance"
    assert [(one["method"], one["code"]) for one in ended] == [
        (method, "OK"),
        (method, "UNAUTHENTICATED"),
    ]
    assert all(0 <= one["seconds"] < 10 for one in ended)


async def test_a_message_beyond_the_limit_is_refused(served: parts.Served) -> None:
    """As RESOURCE_EXHAUSTED, before it reaches a handler."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.get("x" * 5 * 1024**2)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_method_without_permission_keeps_the_server_down() -> None:
    """Forgetting to declare one must not open a method."""
    with pytest.raises(ValueError, match="declares no permission"):
        authorisation.rules(["grpc.health.v1.Health"])
    with pytest.raises(ValueError, match="no service"):
        authorisation.rules(["codestudio.none.v1.NoService"])


async def test_a_blocking_handler_keeps_the_server_down(keys: parts.Keys) -> None:
    """A plain function would stop every other call while it runs."""

    class Blocking(collaboration_service_pb2_grpc.CollaborationServiceServicer):
        def SendMessage(self, request, context):
            return empty_pb2.Empty()

    app = lifecycle.App(
        grpc=[
            lifecycle.Servicer(
                collaboration_service_pb2_grpc.add_CollaborationServiceServicer_to_server,
                Blocking(),
                "codestudio.collaboration.v1.CollaborationService",
            )
        ]
    )
    with pytest.raises(TypeError, match=r"SendMessage must be a coroutine"):
        async with lifecycle.running(parts.configured(keys), app):
            pass
