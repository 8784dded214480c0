"""Opaque tokens: where a list goes on, and what a watch has seen.

They hold nothing secret and give no rights, so they are not signed: whoever makes one up sees
what he may see anyway.
"""

import base64
import binascii
import json
from typing import Any

from services.chassis import errors

_LONGEST = 1000


def page(service: str, number: int) -> str:
    """Make a page_token: go on below a revision."""
    return _pack(["p", service, number])


def read_page(token: str, service: str) -> int:
    """Return the revision that a page_token goes on below.

    Raises:
        errors.InvalidArgument: It is none of this service (INVALID_PAGE_TOKEN).
    """
    match _unpack(token):
        case ["p", str(of), int(number)] if of == service and 0 < number < 2**31:
            return number
    raise _wrong(
        "page_token", "INVALID_PAGE_TOKEN", "must be the next_page_token of the page before"
    )


def resume(service: str, etag: str) -> str:
    """Make a resume_token: these settings were seen."""
    return _pack(["c", service, etag])


def read_resume(token: str, service: str) -> str:
    """Return the etag of the settings that were seen.

    Raises:
        errors.InvalidArgument: It is none of this service (INVALID_RESUME_TOKEN).
    """
    match _unpack(token):
        case ["c", str(of), str(etag)] if of == service:
            return etag
    raise _wrong(
        "resume_token", "INVALID_RESUME_TOKEN", "must be a resume_token of a watch of this service"
    )


def _pack(content: list[Any]) -> str:
    text = json.dumps(content, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpack(token: str) -> Any:
    if len(token) > _LONGEST:
        return None
    try:
        padded = token + "=" * (-len(token) % 4)
        return json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _wrong(field: str, code: str, problem: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        code, f"{field}: {problem}", violations=[errors.Violation(field, problem)]
    )
