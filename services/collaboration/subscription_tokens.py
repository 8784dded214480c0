"""Resume tokens of subscriptions: a place in each stream. Opaque, and nobody's secret.

Whoever makes one up is told what he may be told anyway, so they are not signed.
"""

import base64
import binascii
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from services.chassis import errors

_LONGEST = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A place in a stream."""

    stream: str
    """The stream's identity."""
    sequence: int
    """Number of the last message before it."""

    def moved(self, sequence: int) -> "Place":
        """Return another place in the stream."""
        return Place(self.stream, sequence)


def write(listener: str, places: Sequence[Place]) -> str:
    """Make a token."""
    content = ["s", listener, *((one.stream, one.sequence) for one in places)]
    text = json.dumps(content, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(token: str, listener: str, count: int) -> list[Place]:
    """Return the places a token stands for.

    Raises:
        errors.InvalidArgument: It is none, or of another subscriber (INVALID_RESUME_TOKEN).
    """
    match _unpack(token):
        case ["s", str(of), *rest] if len(rest) == count:
            places = [_place(one) for one in rest]
            if None not in places:
                if of != listener:
                    raise _wrong("belongs to another subscriber")
                return [one for one in places if one is not None]
    raise _wrong("must be a resume_token of Subscribe")


def _place(content: Any) -> Place | None:
    match content:
        case [str(stream), int(sequence)] if 0 <= sequence < 2**63 and sequence is not True:
            return Place(stream, sequence)
    return None


def _unpack(token: str) -> Any:
    if len(token) > _LONGEST:
        return None
    try:
        padded = token + "=" * (-len(token) % 4)
        return json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _wrong(problem: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        "INVALID_RESUME_TOKEN",
        f"resume_token: {problem}",
        violations=[errors.Violation("resume_token", problem)],
    )
