"""Pages of documents: their size, and opaque tokens where a list goes on (AIP-158)."""

import base64
import binascii

from services.chassis.validation import Violations
from services.collaboration.names import MAX_PATH_BYTES

_DEFAULT = 100
_MOST = 1000


def size(wrong: Violations, given: int) -> int:
    """Read a page_size."""
    if not 0 <= given <= _MOST:
        wrong.add("page_size", f"must be 0 to {_MOST}, is {given}")
    return given or _DEFAULT


def token(path: str) -> str:
    """Return the page_token of what comes behind a path."""
    return base64.urlsafe_b64encode(b"p" + path.encode()).decode().rstrip("=")


def read_token(wrong: Violations, given: str) -> str:
    """Read a page_token: the path it goes on behind; empty for the beginning."""
    if not given:
        return ""
    try:
        found = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
        path = found[1:].decode()
    except (binascii.Error, ValueError):
        found, path = b"", ""
    if not (found.startswith(b"p") and 0 < len(found) <= MAX_PATH_BYTES + 1):
        wrong.add("page_token", "must be the next_page_token of the page before")
    return path
