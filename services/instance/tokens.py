"""Opaque tokens: where a list goes on, and where a watch resumes.

They hold nothing secret and give no rights, so they are not signed: whoever makes one up sees
what he may see anyway.
"""

import base64
import binascii
import json
from typing import Any

from services.chassis import errors
from services.instance import names


def page(after: str, fingerprint: str) -> str:
    """Make a page_token: go on behind an id, with the same filter."""
    return _pack(["p", after, fingerprint])


def read_page(token: str, fingerprint: str) -> str:
    """Return the id that a page_token goes on behind.

    Raises:
        errors.InvalidArgument: It is none, or of another filter (INVALID_PAGE_TOKEN).
    """
    match _unpack(token):
        case ["p", str(after), str(of)] if names.valid(after):
            if of == fingerprint:
                return after
            raise _wrong("page_token", "INVALID_PAGE_TOKEN", "belongs to another filter")
    raise _wrong(
        "page_token", "INVALID_PAGE_TOKEN", "must be the next_page_token of the page before"
    )


def resume(identity: str, sequence: int, fingerprint: str) -> str:
    """Make a resume_token: everything up to an event was seen, with this filter."""
    return _pack(["r", identity, sequence, fingerprint])


def read_resume(token: str, fingerprint: str) -> tuple[str, int]:
    """Return the stream and the sequence number that a resume_token resumes behind.

    Raises:
        errors.InvalidArgument: It is none, or of another filter (INVALID_RESUME_TOKEN).
    """
    match _unpack(token):
        case ["r", str(identity), int(sequence), str(of)] if sequence >= 0:
            if of == fingerprint:
                return identity, sequence
            raise _wrong("resume_token", "INVALID_RESUME_TOKEN", "belongs to another filter")
    raise _wrong("resume_token", "INVALID_RESUME_TOKEN", "must be a resume_token of a watch")


def _pack(content: list[Any]) -> str:
    text = json.dumps(content, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpack(token: str) -> Any:
    if len(token) > 1000:
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
