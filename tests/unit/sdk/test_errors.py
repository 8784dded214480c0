"""From status to exception: one table, complete."""

import pickle

import codestudio
import grpc
import pytest
from codestudio import _edge, _errors
from codestudio.common.v1 import error_pb2
from google.rpc import status_pb2


def rpc_error(
    status: grpc.StatusCode,
    text: str = "",
    packed: bytes | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> grpc.aio.AioRpcError:
    """Make an error as gRPC raises it."""
    trailers: list[tuple[str, str | bytes]] = [*headers]
    if packed is not None:
        trailers.append(("grpc-status-details-bin", packed))
    return grpc.aio.AioRpcError(
        status, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details=text
    )


def test_table_is_complete() -> None:
    """Every status but OK has its class, whose status it is."""
    statuses = set(grpc.StatusCode) - {grpc.StatusCode.OK}
    assert set(_errors.BY_STATUS) == statuses
    assert all(kind.status is status for status, kind in _errors.BY_STATUS.items())


@pytest.mark.parametrize("status", _errors.BY_STATUS, ids=lambda each: each.name)
def test_every_status(status: grpc.StatusCode) -> None:
    """A bare status becomes its class; the message names the gateway."""
    error = _edge.translate(rpc_error(status, "why"), gateway="http://gw:3000", request_id="r")
    assert type(error) is _errors.BY_STATUS[status]
    assert "http://gw:3000" in error.message
    assert error.request_id == "r"
    assert error.status is status
    assert error.code


@pytest.mark.parametrize("streaming", [True, False])
def test_broken_connections(streaming: bool) -> None:
    """A connection that broke is Unavailable, whatever gRPC calls it; a service's word is kept."""
    reset = rpc_error(grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2")
    assert isinstance(_edge.translate(reset, gateway="g"), codestudio.Unavailable)
    bare = rpc_error(grpc.StatusCode.UNKNOWN, "?")
    error = _edge.translate(bare, gateway="g", streaming=streaming)
    assert isinstance(error, codestudio.Unavailable) is streaming
    status = status_pb2.Status(code=13)
    status.details.add().Pack(error_pb2.ErrorDetail(code="INTERNAL_ERROR"))
    told = rpc_error(grpc.StatusCode.INTERNAL, "RST_STREAM", status.SerializeToString())
    error = _edge.translate(told, gateway="g", streaming=streaming)
    assert isinstance(error, codestudio.Internal)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INSTANCE_NOT_FOUND", codestudio.NotFound),
        ("NOT_FOUND", codestudio.NotFound),
        ("INSTANCE_ALREADY_EXISTS", codestudio.AlreadyExists),
        ("QUOTA_EXCEEDED", codestudio.QuotaExceeded),
        ("DEADLINE_EXCEEDED", codestudio.DeadlineExceeded),
        ("PORTS_EXHAUSTED", codestudio.ResourceExhausted),
        ("REDIS_UNAVAILABLE", codestudio.Unavailable),
        ("SERVER_SHUTTING_DOWN", codestudio.Unavailable),
        ("WATCH_EXPIRED", codestudio.WatchExpired),
        ("INVALID_ARGUMENT", codestudio.InvalidArgument),
        ("INTERNAL_ERROR", codestudio.Internal),
        ("ETAG_MISMATCH", codestudio.Aborted),
        ("SOMETHING_NEW", codestudio.CodeStudioError),
    ],
)
def test_in_band(code: str, kind: type[codestudio.CodeStudioError]) -> None:
    """An error inside a message of an older service has no status; its code tells the class."""
    assert type(_errors.from_detail(error_pb2.ErrorDetail(code=code))) is kind


def test_in_band_with_a_status() -> None:
    """Whatever the code ends in."""
    for status, code, kind in (
        (14, "LOG_LOST", codestudio.Unavailable),
        (9, "EPOCH_MISMATCH", codestudio.FailedPrecondition),
        (8, "QUOTA_EXCEEDED", codestudio.QuotaExceeded),
        (99, "INSTANCE_NOT_FOUND", codestudio.NotFound),
    ):
        detail = error_pb2.ErrorDetail(code=code, status=status)
        assert type(_errors.from_detail(detail)) is kind


def test_detail_is_found_among_others() -> None:
    """Our detail is read wherever it stands in google.rpc.Status."""
    status = status_pb2.Status(code=8)
    status.details.add().Pack(error_pb2.FieldViolation(field="another"))
    status.details.add().Pack(
        error_pb2.ErrorDetail(code="QUOTA_EXCEEDED", message="no", metadata={"limit": "3"})
    )
    raw = rpc_error(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "no",
        status.SerializeToString(),
        (("x-request-id", "theirs"),),
    )
    error = _edge.translate(raw, gateway="http://gw", request_id="ours")
    assert isinstance(error, codestudio.QuotaExceeded)
    assert error.metadata == {"limit": "3"}
    assert error.request_id == "theirs"


@pytest.mark.parametrize("packed", [b"\xff\xff\xff", b""], ids=["garbage", "empty"])
def test_damaged_detail(packed: bytes) -> None:
    """A detail that cannot be read leaves the status to tell."""
    error = _edge.translate(
        rpc_error(grpc.StatusCode.NOT_FOUND, "gone", packed), gateway="http://gw"
    )
    assert isinstance(error, codestudio.NotFound)
    assert "gone" in error.message


@pytest.mark.parametrize("text", ['{"error":', '{"a": 1}', "{}", '{"error": {"code": 3}}'])
def test_text_that_is_no_envelope(text: str) -> None:
    """JSON that is not our envelope is only text."""
    error = _edge.translate(rpc_error(grpc.StatusCode.UNKNOWN, text), gateway="http://gw")
    assert error.code == "UNKNOWN"


@pytest.mark.parametrize(
    ("headers", "trace_id"),
    [
        ((), "0af7651916cd43dd8448eb211c80319c"),
        ((("x-trace-id", "f" * 32),), "f" * 32),
        ((("x-request-id", "no-uuid"),), ""),
    ],
    ids=["of the request's id", "told", "none"],
)
def test_every_error_leads_to_its_trace(
    headers: tuple[tuple[str, str], ...], trace_id: str
) -> None:
    """The trace is the one a service names, else the one the gateway makes of the request's id."""
    error = _edge.translate(
        rpc_error(grpc.StatusCode.NOT_FOUND, "why", headers=headers),
        gateway="http://gw",
        request_id="0af76519-16cd-43dd-8448-eb211c80319c",
    )
    assert error.trace_id == trace_id


def test_errors_travel_between_processes() -> None:
    """An error survives pickling, as multiprocessing and job queues do it."""
    error = codestudio.QuotaExceeded(
        "no", metadata={"limit": "3"}, violations=[codestudio.Violation("a", "b")]
    )
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is codestudio.QuotaExceeded
    assert str(again) == str(error) == "QUOTA_EXCEEDED: no\n  a: b"
    assert again.metadata == {"limit": "3"}


def test_timeouts_are_timeouts() -> None:
    """Code that catches TimeoutError catches ours."""
    assert issubclass(codestudio.DeadlineExceeded, TimeoutError)
