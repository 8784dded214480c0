"""What is known about the request being served: ids, service, deadline.

Held in a context variable, so it follows the request through every await and
into the tasks it starts. Outside a request there is the process's own context,
which names the service only.
"""

import contextlib
import contextvars
import dataclasses
import time
import uuid
from collections.abc import Iterator

DEFAULT_TIMEOUT = 10.0
"""Seconds an outgoing call may take where nothing else sets a deadline."""


@dataclasses.dataclass(slots=True)
class RequestContext:
    """One request, as the chassis knows it."""

    request_id: str = ""
    """The caller's ``x-request-id`` or one made here; empty outside a request."""
    trace_id: str = ""
    """W3C trace id, 32 hex digits; empty where nobody traces."""
    traceparent: str = ""
    """The ``traceparent`` header to pass on; empty where nobody traces."""
    tracestate: str = ""
    """The ``tracestate`` header to pass on."""
    deadline: float | None = None
    """When the caller stops waiting, by `time.monotonic`; None where it never does."""
    service: str = ""
    """Name of the service we are, such as ``instance-service``."""
    method: str = ""
    """Full method name, such as ``/codestudio.instance.v1.InstanceService/GetInstance``."""


_current: contextvars.ContextVar[RequestContext] = contextvars.ContextVar("request")
_NONE = RequestContext()


def current() -> RequestContext:
    """Return the request being served, or the process's own context."""
    return _current.get(_NONE)


def enter(request: RequestContext) -> contextvars.Token[RequestContext]:
    """Make this the current request of the running task and of those it starts."""
    return _current.set(request)


@contextlib.contextmanager
def scope(method: str, *, request_id: str = "", seconds: float | None = None) -> Iterator[None]:
    """Give background work a request of its own, to find it in logs and called services.

    Args:
        method: Name of the work, such as ``reconcile``.
        request_id: Its id; a new UUID by default.
        seconds: Time for all of it; its calls to other services end with it.

    """
    deadline = None if seconds is None else time.monotonic() + seconds
    token = _current.set(
        RequestContext(
            request_id=request_id or new_request_id(),
            deadline=deadline,
            service=current().service,
            method=method,
        )
    )
    try:
        yield
    finally:
        _current.reset(token)


def new_request_id() -> str:
    """Make an id for a request that came without one."""
    return str(uuid.uuid4())


def timeout(default: float = DEFAULT_TIMEOUT) -> float:
    """Return the seconds an outgoing call may take: what remains, at most the default.

    Never negative: 0 means the deadline has passed.
    """
    deadline = current().deadline
    if deadline is None:
        return default
    return max(0.0, min(default, deadline - time.monotonic()))
