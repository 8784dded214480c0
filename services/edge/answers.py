"""What edge answers: pages for people, the error envelope for programs."""

import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import jinja2
import structlog
from aiohttp import web
from codestudio.common.v1 import error_pb2
from google.protobuf import json_format

from services.chassis import context, errors

_log = structlog.get_logger(__name__)

SECURITY_HEADERS: Mapping[str, str] = {
    # Nothing but our own style sheet; no script at all.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Sign-in codes are in addresses.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

HTTP_STATUSES: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    # 400 by google.rpc.Code; but here it is always the instance's state that is in the way.
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("services.edge"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

_HEADLINES = {
    401: "Sign in first",
    403: "This is not yours",
    404: "Nothing here",
    503: "One moment",
    504: "One moment",
}


def page(template: str, status: int = 200, *, policy: str = "", **values: Any) -> web.Response:
    """Render a template as a page with the headers that keep it safe.

    `policy` is its Content-Security-Policy where it needs more than our own style sheet.
    """
    text = _templates.get_template(template).render(values)
    headers = dict(SECURITY_HEADERS)
    if policy:
        headers["Content-Security-Policy"] = policy
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def wants_page(request: web.Request) -> bool:
    """Tell whether a person's browser asks, rather than a program."""
    return "text/html" in request.headers.get("Accept", "")


def failure(
    request: web.Request, error: errors.DomainError, status: int | None = None
) -> web.Response:
    """Answer an error: as a page to a browser, as the envelope to a program.

    `status` is the HTTP status where it is not the one of the error's kind.
    """
    status = status or HTTP_STATUSES.get(error.status, 500)
    if not wants_page(request):
        return envelope(error, status)
    if status == 401:
        return sign_in(status=401)
    return page(
        "message.html",
        status,
        title=_HEADLINES.get(status, "That did not work"),
        message=error.message,
        code=error.code,
        refresh=3 if status in {503, 504} else None,
    )


def envelope(error: errors.DomainError, status: int) -> web.Response:
    """Answer an error as `codestudio.common.v1.ErrorResponse` in JSON."""
    message = error_pb2.ErrorResponse(
        error=errors.to_detail(error), trace_id=context.current().trace_id
    )
    body = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for name in ("metadata", "violations"):
        if not body["error"][name]:
            del body["error"][name]
    del body["error"]["status"]  # HTTP has its own
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="codestudio"'
    if status == 503:
        headers["Retry-After"] = "1"
    return web.json_response(body, status=status, headers=headers)


def sign_in(status: int = 200, *, used: bool = False) -> web.Response:
    """Answer with the page that says how to sign in; `used`: the link brought is void."""
    return page("signin.html", status, used=used)


def same_site_path(path: str) -> str:
    """Give `path` when it is a path on our own host, else "/".

    Browsers read a second slash or a backslash as the start of another host, and drop control
    characters before they look.
    """
    plain = path.startswith("/") and not path.startswith("//") and "\\" not in path
    if not plain or any(ord(character) < 0x20 for character in path):
        return "/"
    parts = urllib.parse.urlsplit(path)
    return "/" if parts.scheme or parts.netloc else path


@web.middleware
async def errors_as_answers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn whatever a handler raises into an answer."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kind = errors.NotFound if error.status == 404 else errors.InvalidArgument
        code = {404: "ROUTE_NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "REQUEST_TOO_LARGE"}
        known = kind(code.get(error.status, "BAD_REQUEST"), error.reason)
        return failure(request, known, error.status)
    except Exception as error:  # noqa: BLE001 - the outermost edge: whatever it is has an answer
        known_error = errors.from_exception(error)
        if known_error.code == errors.INTERNAL_ERROR:
            _log.exception("request failed", path=request.path)
        return failure(request, known_error)
