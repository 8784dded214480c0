"""What can go wrong, as exceptions: one class a status, one table from status to class.

Everything this package raises for a failed call is a `CodeStudioError`.
"""
# ruff: noqa: N818 - a class is named after the gRPC status it stands for

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

import grpc

from codestudio.common.v1 import error_pb2


class Violation(NamedTuple):
    """One thing wrong with a request."""

    field: str
    """Path of the field, such as "config.resources.cpu"."""
    description: str
    """What is wrong with it and what would be right."""


class CodeStudioError(Exception):
    """A call failed. Its subclasses say how; `code` says why."""

    status: grpc.StatusCode = grpc.StatusCode.UNKNOWN
    """The gRPC status."""

    default_code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        details: str = "",
        request_id: str = "",
        trace_id: str = "",
        service: str = "",
        instance_id: str = "",
        timestamp: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[Violation] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        """What happened, for people."""
        self.code = code or self.default_code
        """Stable code in UPPER_SNAKE_CASE, such as "INSTANCE_NOT_FOUND"."""
        self.details = details
        """More about it."""
        self.request_id = request_id
        """Id of the request, to look for in the services' logs."""
        self.trace_id = trace_id
        """Trace of the request, where there is one."""
        self.service = service
        """Service that answered; empty if none did."""
        self.instance_id = instance_id
        """Instance it concerns, where there is one."""
        self.timestamp = timestamp
        """When it happened: UTC, ISO 8601; empty if no service said."""
        self.metadata: dict[str, str] = dict(metadata or {})
        """Facts for programs, such as the limit that was hit."""
        self.violations = tuple(violations)
        """The fields at fault, where the request itself is."""

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.message}"]
        lines += [f"{field}: {description}" for field, description in self.violations]
        return "\n  ".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Give it as REST does: the `error` of the envelope."""
        return {
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "timestamp": self.timestamp,
            "request_id": self.request_id,
            "service": self.service,
            "instance_id": self.instance_id,
            "metadata": dict(self.metadata),
            "violations": [violation._asdict() for violation in self.violations],
        }

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _unpickle, (type(self), self.message, self.__dict__)


def _unpickle(kind: type[CodeStudioError], message: str, state: dict[str, Any]) -> CodeStudioError:
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    return error


class InvalidArgument(CodeStudioError):
    """The request is wrong; `violations` names the fields."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    default_code = "INVALID_ARGUMENT"


class OutOfRange(CodeStudioError):
    """What was asked for lies outside what there is."""

    status = grpc.StatusCode.OUT_OF_RANGE
    default_code = "OUT_OF_RANGE"


class WatchExpired(OutOfRange):
    """A resume token is too old; watch again without one."""

    default_code = "WATCH_EXPIRED"


class Unauthenticated(CodeStudioError):
    """There is no token, or it is not valid (any more)."""

    status = grpc.StatusCode.UNAUTHENTICATED
    default_code = "UNAUTHENTICATED"


class PermissionDenied(CodeStudioError):
    """The caller may not do this."""

    status = grpc.StatusCode.PERMISSION_DENIED
    default_code = "PERMISSION_DENIED"


class NotFound(CodeStudioError):
    """There is no such thing, or the caller may not see it."""

    status = grpc.StatusCode.NOT_FOUND
    default_code = "NOT_FOUND"


class AlreadyExists(CodeStudioError):
    """There is one of that name already."""

    status = grpc.StatusCode.ALREADY_EXISTS
    default_code = "ALREADY_EXISTS"


class FailedPrecondition(CodeStudioError):
    """Not possible in the present state."""

    status = grpc.StatusCode.FAILED_PRECONDITION
    default_code = "FAILED_PRECONDITION"


class InstanceFailed(FailedPrecondition):
    """An instance that was waited for failed; `failure_class` and `step` say whose part and where.

    `code` and `message` are the failure's own.
    """

    default_code = "INSTANCE_FAILED"

    failure_class: str = ""
    """USER, CAPACITY, RUNTIME or INTERNAL: who can do something about it."""
    step: str = ""
    """The condition that was not reached, such as EDITOR_READY."""


class Aborted(CodeStudioError):
    """Somebody else changed it meanwhile: read again, decide again."""

    status = grpc.StatusCode.ABORTED
    default_code = "ABORTED"


class ResourceExhausted(CodeStudioError):
    """Something ran out: ports, machines, message size, rate."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED
    default_code = "RESOURCE_EXHAUSTED"


class QuotaExceeded(ResourceExhausted):
    """The quota of the namespace does not allow it; `metadata` names the limit."""

    default_code = "QUOTA_EXCEEDED"


class Unavailable(CodeStudioError):
    """The gateway, or something behind it, does not answer now. Trying later may help."""

    status = grpc.StatusCode.UNAVAILABLE
    default_code = "UNAVAILABLE"


class DeadlineExceeded(CodeStudioError, TimeoutError):
    """It took longer than allowed; whether it was done is not known."""

    status = grpc.StatusCode.DEADLINE_EXCEEDED
    default_code = "DEADLINE_EXCEEDED"


class Cancelled(CodeStudioError):
    """The other side cancelled the call."""

    status = grpc.StatusCode.CANCELLED
    default_code = "CANCELLED"


class Unimplemented(CodeStudioError):
    """The gateway does not know this call: it is older than this package, or no gateway."""

    status = grpc.StatusCode.UNIMPLEMENTED
    default_code = "UNIMPLEMENTED"


class Internal(CodeStudioError):
    """A fault of the control plane; report it with its `request_id`."""

    status = grpc.StatusCode.INTERNAL
    default_code = "INTERNAL"


class DataLoss(Internal):
    """Stored data is damaged."""

    status = grpc.StatusCode.DATA_LOSS
    default_code = "DATA_LOSS"


class NotConfigured(CodeStudioError):
    """No gateway or no token is known, or what is known of them makes no sense."""

    status = grpc.StatusCode.FAILED_PRECONDITION
    default_code = "NOT_CONFIGURED"


BY_STATUS: Mapping[grpc.StatusCode, type[CodeStudioError]] = {
    kind.status: kind
    for kind in (
        CodeStudioError,
        InvalidArgument,
        OutOfRange,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        Unimplemented,
        Internal,
        DataLoss,
    )
}
"""The table: every gRPC status but OK."""

BY_CODE: Mapping[str, type[CodeStudioError]] = {
    "COLLABORATION_DISABLED": FailedPrecondition,
    "DOCUMENT_CHANGED": Aborted,
    "DOCUMENT_DELETED": NotFound,
    "DOCUMENT_TOO_LARGE": ResourceExhausted,
    "NAMESPACE_DENIED": PermissionDenied,
    "QUOTA_EXCEEDED": QuotaExceeded,
    "READ_ONLY": PermissionDenied,
    "INTERNAL_ERROR": Internal,
    "SERVER_SHUTTING_DOWN": Unavailable,
    "TOO_MANY_CHANNELS": ResourceExhausted,
    "TOO_MANY_DOCUMENTS": ResourceExhausted,
    "UPDATE_TOO_LARGE": InvalidArgument,
    "WATCH_EXPIRED": WatchExpired,
}
"""Codes that have a class of their own, or none that their name tells."""

_STATUSES = {status.value[0]: status for status in BY_STATUS}

# Older services send no status inside a message, but codes end as the status does.
_BY_ENDING: Mapping[str, type[CodeStudioError]] = {
    **{kind.default_code: kind for kind in BY_STATUS.values()},
    "EXISTS": AlreadyExists,
    "EXHAUSTED": ResourceExhausted,
    "EXCEEDED": ResourceExhausted,
    "MISMATCH": Aborted,
    "TIMEOUT": DeadlineExceeded,
}


def class_of(code: str, status: grpc.StatusCode | None = None) -> type[CodeStudioError]:
    """Give the class of an error by its code and, where it came with one, its status."""
    if code in BY_CODE:
        return BY_CODE[code]
    if status is not None:
        return BY_STATUS.get(status, CodeStudioError)
    endings = sorted(_BY_ENDING, key=len, reverse=True)
    return next(
        (_BY_ENDING[end] for end in endings if code == end or code.endswith(f"_{end}")),
        CodeStudioError,
    )


def from_detail(
    detail: error_pb2.ErrorDetail,
    *,
    status: grpc.StatusCode | None = None,
    request_id: str = "",
    trace_id: str = "",
) -> CodeStudioError:
    """Make the exception for an error as the services send it."""
    status = status or _STATUSES.get(detail.status)
    return class_of(detail.code, status)(
        detail.message,
        code=detail.code,
        details=detail.details,
        request_id=detail.request_id or request_id,
        trace_id=trace_id,
        service=detail.service,
        instance_id=detail.instance_id,
        timestamp=detail.timestamp,
        metadata=detail.metadata,
        violations=[Violation(each.field, each.description) for each in detail.violations],
    )
