"""Page tokens: the path a page ended at, bound to the question it is part of."""

import base64
import binascii
import hashlib

from services.path.names import Parts

_DIGEST = 8


def write(question: bytes, place: Parts) -> str:
    """Make the token of the page behind a path.

    Args:
        question: Everything the pages have in common.
        place: The path.
    """
    return base64.urlsafe_b64encode(_digest(question) + b"/".join(place)).decode()


def read(question: bytes, token: str) -> Parts:
    """Read a token.

    Raises:
        ValueError: It is none, or of another question.
    """
    try:
        content = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        content = b""
    digest, path = content[:_DIGEST], content[_DIGEST:]
    place = tuple(path.split(b"/"))
    # Names are only ever compared with those that exist, so any may be asked for.
    if digest != _digest(question) or not all(place):
        raise ValueError("must be the next_page_token of the page before, and all else as it was")
    return place


def _digest(question: bytes) -> bytes:
    return hashlib.sha256(question).digest()[:_DIGEST]
