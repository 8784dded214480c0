"""Domain errors: what services raise, and how anything raised becomes one.

Each has a stable code in UPPER_SNAKE_CASE and a gRPC status. The server's
interceptor turns them into a status with an `ErrorDetail`; services that
answer errors in-band on a stream use `to_detail` themselves.
"""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import grpc
from codestudio.common.v1 import error_pb2

from services.chassis import clock, context, status


@dataclasses.dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that is wrong."""

    field: str
    """Path of the field in the request, such as ``config.resources.cpu``."""
    description: str
    """What is wrong and what would be right, for people."""


class DomainError(Exception):
    """Something a caller is to be told, with a stable code."""

    status: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN
    """The gRPC status it is answered with."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: str = "",
        instance_id: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
    ) -> None:
        """Describe the error.

        Args:
            code: Stable name in UPPER_SNAKE_CASE, such as INSTANCE_NOT_FOUND.
            message: What happened, for people.
            details: More about it; never a stack trace or a secret.
            instance_id: The instance concerned, where there is one.
            metadata: Facts for programs, such as the limit and its value.
            violations: The fields at fault.

        """
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details
        self.instance_id = instance_id
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.service = ""
        """The service it happened in, where that was another one; else empty."""


class InvalidArgument(DomainError):  # noqa: N818 - named as the status they carry
    """The request itself is wrong, whatever the state of the system."""

    status = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(DomainError):  # noqa: N818
    """What the request names does not exist, or not for this caller."""

    status = grpc.StatusCode.NOT_FOUND


class AlreadyExists(DomainError):  # noqa: N818
    """What the request would make exists."""

    status = grpc.StatusCode.ALREADY_EXISTS


class PermissionDenied(DomainError):  # noqa: N818
    """The caller is known and may not."""

    status = grpc.StatusCode.PERMISSION_DENIED


class Unauthenticated(DomainError):  # noqa: N818
    """The caller is not known."""

    status = grpc.StatusCode.UNAUTHENTICATED


class FailedPrecondition(DomainError):  # noqa: N818
    """The system is in a state that forbids it; retrying alone does not help."""

    status = grpc.StatusCode.FAILED_PRECONDITION


class Aborted(DomainError):  # noqa: N818
    """Lost against a concurrent change (etag, revision); read again and retry."""

    status = grpc.StatusCode.ABORTED


class ResourceExhausted(DomainError):  # noqa: N818
    """A limit is reached; the metadata name it."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(DomainError):  # noqa: N818
    """A part is down for now; retrying later helps."""

    status = grpc.StatusCode.UNAVAILABLE


class OutOfRange(DomainError):  # noqa: N818
    """Past the valid range, such as a resume token that is too old."""

    status = grpc.StatusCode.OUT_OF_RANGE


class DeadlineExceeded(DomainError):  # noqa: N818
    """Time ran out before it was done."""

    status = grpc.StatusCode.DEADLINE_EXCEEDED


class Unimplemented(DomainError):  # noqa: N818
    """There is no such method."""

    status = grpc.StatusCode.UNIMPLEMENTED


class Internal(DomainError):  # noqa: N818
    """A fault of ours."""

    status = grpc.StatusCode.INTERNAL


class Cancelled(DomainError):  # noqa: N818
    """The caller gave up."""

    status = grpc.StatusCode.CANCELLED


BY_STATUS: Mapping[grpc.StatusCode, type[DomainError]] = {
    kind.status: kind
    for kind in (
        InvalidArgument, NotFound, AlreadyExists, PermissionDenied, Unauthenticated,
        FailedPrecondition, Aborted, ResourceExhausted, Unavailable, OutOfRange,
        DeadlineExceeded, Unimplemented, Internal, Cancelled,
    )
}  # fmt: skip
"""The class of every status; statuses of no class of their own become Internal."""

INTERNAL_ERROR = "INTERNAL_ERROR"
"""Code of everything nobody foresaw, as in the specification's error format."""

_unavailable: dict[type[BaseException], tuple[str, str]] = {}


def unavailable_when(*kinds: type[BaseException], code: str, message: str = "") -> None:
    """Let a library's exceptions mean "a part is down": UNAVAILABLE with this code.

    Connectors declare what their library raises when its server cannot be
    reached; nothing else needs to know those libraries.

    Args:
        kinds: The exceptions.
        code: The code, such as REDIS_UNAVAILABLE.
        message: What people are told; by default that the part cannot be reached.

    """
    part = code.removesuffix("_UNAVAILABLE").title()
    told = message or f"{part} cannot be reached right now; try again shortly"
    _unavailable.update(dict.fromkeys(kinds, (code, told)))


def from_exception(error: BaseException) -> DomainError:
    """Return what a caller is told of any exception; hides what nobody foresaw."""
    match error:
        case DomainError():
            return error
        case grpc.aio.AioRpcError():
            return from_rpc_error(error)
    for kind in type(error).__mro__:
        if known := _unavailable.get(kind):
            return Unavailable(*known)
    match error:
        case TimeoutError() | asyncio.TimeoutError():
            return DeadlineExceeded("DEADLINE_EXCEEDED", "It took longer than there was time for")
        case asyncio.CancelledError():
            return Cancelled("CANCELLED", "The call was cancelled")
    return Internal(
        INTERNAL_ERROR,
        "Something went wrong inside; the service's log has it under this request id",
    )


def from_rpc_error(error: grpc.aio.AioRpcError) -> DomainError:
    """Return a called service's error as our own, with its code, message and facts.

    An error without our detail (a proxy's own, a connection that broke) gets
    the status' name as its code; UNAVAILABLE becomes SERVICE_UNAVAILABLE.
    """
    code = error.code()
    kind = BY_STATUS.get(code, Internal)
    detail = status.unpack(error.trailing_metadata())
    if detail is None:
        name = "SERVICE_UNAVAILABLE" if code is grpc.StatusCode.UNAVAILABLE else code.name
        return kind(
            INTERNAL_ERROR if kind is Internal else name,
            (error.details() or "") if kind is not Internal else "A called service failed",
        )
    return from_detail(detail, kind)


def from_detail(detail: error_pb2.ErrorDetail, kind: type[DomainError]) -> DomainError:
    """Return an error of that kind as another service told it: its code, message and facts."""
    domain_error = kind(
        detail.code,
        detail.message,
        details=detail.details,
        instance_id=detail.instance_id,
        metadata=detail.metadata,
        violations=[Violation(one.field, one.description) for one in detail.violations],
    )
    domain_error.service = detail.service
    return domain_error


def to_detail(error: BaseException) -> error_pb2.ErrorDetail:
    """Return the wire form of any exception, complete with time, request and service."""
    known = from_exception(error)
    request = context.current()
    return error_pb2.ErrorDetail(
        code=known.code,
        message=known.message,
        details=known.details,
        timestamp=clock.iso(clock.now()),
        request_id=request.request_id,
        service=known.service or request.service,
        instance_id=known.instance_id,
        metadata=known.metadata,
        violations=[
            error_pb2.FieldViolation(field=one.field, description=one.description)
            for one in known.violations
        ],
        status=known.status.value[0],
    )
