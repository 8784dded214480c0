"""The few requests that are HTTP and not gRPC, by the standard library."""

import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple

from codestudio import _errors, _transport

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MOST_BYTES = 1024 * 1024


class Answer(NamedTuple):
    """What an HTTP server answered."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    def json(self) -> dict[str, Any]:
        """Read the body as a JSON object; {} if it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token elsewhere; it is the answer here."""

    def redirect_request(self, *_: Any) -> None:
        return None


def request(
    method: str,
    url: str,
    *,
    token: str = "",
    json_body: Mapping[str, Any] | None = None,
    timeout: float,
) -> Answer:
    """Make one request; blocks. An error status is an answer too.

    Raises Unavailable when nothing answers, DeadlineExceeded when it takes too long.
    """
    headers = {"user-agent": _transport.USER_AGENT, "accept": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None
    if json_body is not None:
        headers["content-type"] = "application/json"
        data = json.dumps(json_body).encode()
    # The address was checked to be http or https where it was found.
    outgoing = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
    try:
        with _opener(url).open(outgoing, timeout=timeout) as response:
            return Answer(response.status, _lower(response.headers), response.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _lower(error.headers), error.read(_MOST_BYTES))
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            raise _errors.DeadlineExceeded(f"no answer from {url} within {timeout:g} s") from None
        what = str(reason).strip() or type(reason).__name__
        raise _errors.Unavailable(
            f"no HTTP answer from {url}: {what}", code="GATEWAY_UNREACHABLE"
        ) from None


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _opener(url: str) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if urllib.parse.urlsplit(url).hostname in _LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    else:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    return urllib.request.build_opener(*handlers)
