import asyncio
from typing import Any

import grpc
import nats.errors
import pymongo.errors
import pytest
import redis.exceptions
from codestudio.common.v1 import error_pb2
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st

import services.chassis.connectors.mongo
import services.chassis.connectors.nats
import services.chassis.connectors.redis  # noqa: F401 - each says what its library's errors mean
from services.chassis import context, errors, status


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (redis.exceptions.ConnectionError(), "UNAVAILABLE", "REDIS_UNAVAILABLE"),
        (redis.exceptions.BusyLoadingError(), "UNAVAILABLE", "REDIS_UNAVAILABLE"),
        (redis.exceptions.TimeoutError(), "UNAVAILABLE", "REDIS_UNAVAILABLE"),
        (redis.exceptions.OutOfMemoryError(), "UNAVAILABLE", "REDIS_FULL"),
        (redis.exceptions.ResponseError("WRONGTYPE"), "INTERNAL", "INTERNAL_ERROR"),
        (pymongo.errors.ServerSelectionTimeoutError(), "UNAVAILABLE", "MONGODB_UNAVAILABLE"),
        (pymongo.errors.AutoReconnect(), "UNAVAILABLE", "MONGODB_UNAVAILABLE"),
        (pymongo.errors.DuplicateKeyError("x"), "INTERNAL", "INTERNAL_ERROR"),
        (nats.errors.ConnectionClosedError(), "UNAVAILABLE", "NATS_UNAVAILABLE"),
        (nats.errors.TimeoutError(), "UNAVAILABLE", "NATS_UNAVAILABLE"),
        (TimeoutError(), "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
        (asyncio.CancelledError(), "CANCELLED", "CANCELLED"),
        (KeyError("secret"), "INTERNAL", "INTERNAL_ERROR"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exceptions_have_a_meaning(error: BaseException, code: str, name: str) -> None:
    """A dependency that is down is told apart from a fault of ours."""
    known = errors.from_exception(error)
    assert (known.status.name, known.code) == (code, name)
    assert "secret" not in str(errors.to_detail(error))


def test_every_class_has_its_own_status() -> None:
    """So that a called service's error comes back as the class it was raised as."""
    assert len(errors.BY_STATUS) == 14
    for code, kind in errors.BY_STATUS.items():
        assert kind.status is code


def test_a_detail_is_complete() -> None:
    """Time, request and service are filled in."""
    context.enter(context.RequestContext(request_id="r-1", service="quota-service"))
    detail = errors.to_detail(errors.NotFound("X", "x", instance_id="i"))
    assert (detail.request_id, detail.service, detail.instance_id) == ("r-1", "quota-service", "i")
    assert detail.timestamp.endswith("Z")


def _rpc_error(code: grpc.StatusCode, details: str, trailing: list[Any]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details=details
    )


def test_an_error_crosses_services_unchanged() -> None:
    """Packed by one and unpacked by the next: class, code, facts, and where it happened."""
    context.enter(context.RequestContext(service="quota-service"))
    raised = errors.ResourceExhausted(
        "QUOTA_EXCEEDED",
        "too many",
        metadata={"limit": "3"},
        violations=[errors.Violation("a", "b")],
    )
    packed = status.pack(raised.status, errors.to_detail(raised))
    arrived = errors.from_rpc_error(_rpc_error(raised.status, "too many", [(status.KEY, packed)]))
    context.enter(context.RequestContext(service="instance-service"))
    assert type(arrived) is errors.ResourceExhausted
    assert (arrived.code, arrived.message) == ("QUOTA_EXCEEDED", "too many")
    assert arrived.metadata == {"limit": "3"}
    assert arrived.violations == raised.violations
    assert errors.to_detail(arrived).service == "quota-service"


@pytest.mark.parametrize("trailing", [[], [(status.KEY, b"\xff\xff")], [(status.KEY, b"")]])
def test_a_proxys_own_error_gets_a_code(trailing: list[Any]) -> None:
    """Without our detail, or with garbage in its place."""
    error = errors.from_rpc_error(_rpc_error(grpc.StatusCode.UNAVAILABLE, "no route", trailing))
    assert (type(error), error.code) == (errors.Unavailable, "SERVICE_UNAVAILABLE")
    error = errors.from_rpc_error(_rpc_error(grpc.StatusCode.UNKNOWN, "boom at /x", trailing))
    assert (type(error), error.code) == (errors.Internal, "INTERNAL_ERROR")
    assert "/x" not in error.message


@given(
    st.text(max_size=3000),
    st.text(max_size=3000),
    st.dictionaries(st.text(max_size=30), st.text(max_size=300), max_size=30),
    st.lists(st.tuples(st.text(max_size=100), st.text(max_size=500)), max_size=30),
)
def test_a_packed_error_always_fits_and_keeps_its_code(
    message: str, details: str, metadata: dict[str, str], fields: list[tuple[str, str]]
) -> None:
    """Whatever is in it, it fits in gRPC's headers and is readable."""
    raised = errors.InvalidArgument(
        "INVALID_ARGUMENT",
        message,
        details=details,
        metadata=metadata,
        violations=[errors.Violation(*one) for one in fields],
    )
    detail = errors.to_detail(raised)
    packed = status.pack(raised.status, detail)
    assert len(packed) <= status.MAX_BYTES
    rich = status_pb2.Status.FromString(packed)
    assert rich.message == detail.message
    first = error_pb2.ErrorDetail()
    assert rich.details[0].Unpack(first)
    assert first.code == "INVALID_ARGUMENT"


def test_the_copy_of_the_violations_goes_first() -> None:
    """Where both forms do not fit, all violations stay in ours."""
    fields = [errors.Violation(f"field{number}", "x" * 100) for number in range(20)]
    raised = errors.InvalidArgument("INVALID_ARGUMENT", "wrong", violations=fields)
    packed = status.pack(raised.status, errors.to_detail(raised))
    rich = status_pb2.Status.FromString(packed)
    assert len(rich.details) == 1
    first = error_pb2.ErrorDetail()
    assert rich.details[0].Unpack(first)
    assert len(first.violations) == 20
