"""One-time links that sign a browser in."""

import asyncio
import datetime
from typing import NamedTuple

from google.protobuf import json_format

from codestudio import _discovery, _errors, _http
from codestudio.common.v1 import error_pb2

_BY_HTTP_STATUS = {
    400: _errors.InvalidArgument,
    401: _errors.Unauthenticated,
    403: _errors.PermissionDenied,
    404: _errors.NotFound,
    429: _errors.ResourceExhausted,
    501: _errors.Unimplemented,
    502: _errors.Unavailable,
    503: _errors.Unavailable,
    504: _errors.DeadlineExceeded,
}


class SignInLink(NamedTuple):
    """A link that signs one browser in, once."""

    url: str
    """Where to point the browser."""
    expires_at: datetime.datetime
    """Until when it works."""


async def create(connection: _discovery.Connection, path: str, *, timeout: float) -> SignInLink:
    """Have a link made that signs in as the token's user and leads to `path` at the gateway."""
    answer = await asyncio.to_thread(
        _http.request,
        "POST",
        f"{connection.gateway}/auth/links",
        token=connection.token,
        json_body={"next": path},
        timeout=timeout,
    )
    if answer.status not in (200, 201):
        raise _failure(answer)
    fields = answer.json()
    try:
        return SignInLink(
            url=_absolute(connection.gateway, fields["url"]),
            expires_at=datetime.datetime.fromisoformat(fields["expires_at"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _errors.Internal(
            f"the gateway at {connection.gateway} answered /auth/links without a link"
        ) from error


def _absolute(gateway: str, url: str) -> str:
    return f"{gateway}{url}" if url.startswith("/") else url


def _failure(answer: _http.Answer) -> _errors.CodeStudioError:
    envelope = error_pb2.ErrorResponse()
    try:
        json_format.ParseDict(answer.json(), envelope, ignore_unknown_fields=True)
    except json_format.ParseError:
        envelope.Clear()
    kind = _BY_HTTP_STATUS.get(answer.status, _errors.CodeStudioError)
    status = kind.status
    if envelope.error.code:
        return _errors.from_detail(envelope.error, status=status, trace_id=envelope.trace_id)
    return kind(f"/auth/links answered {answer.status}")
