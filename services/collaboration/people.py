"""Authors as Git writes them, and back: a name, an address, and trailers for all but the first.

Git knows people by address. A subject that is an address is its own; any other gets one that can
never be somebody's (RFC 2606), from which the subject can be read again.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote

from services.collaboration.entry import Author

_NOBODYS = "@users.codestudio.invalid"
_TRAILER = "Co-authored-by"
_TRAILER_LINE = re.compile(rf"{_TRAILER}:\s*(.*?)\s*<([^<>]*)>\s*", re.IGNORECASE)
_UNFIT = re.compile(r"[<>\x00-\x1f\x7f-\x9f\u2028\u2029]")
_EDGES = re.compile(r"""^[\s.,:;"'\\]+|[\s.,:;"'\\]+$""")
"""What Git itself cuts off at the ends of a name, and white space of any kind, as in a trailer."""

UNKNOWN = Author("unknown", "Unknown")
"""Who wrote what the log names nobody for."""


def address(author: Author) -> str:
    """Return the address that stands for an author."""
    written = quote(author.subject, safe="@+-_.~")
    return written if "@" in written else f"{written}{_NOBODYS}"


def name(author: Author) -> str:
    """Return an author's name as Git can hold it; never empty."""
    for text in (author.name, author.subject):
        if fit := _EDGES.sub("", _UNFIT.sub(" ", text)):
            return fit
    return UNKNOWN.name


def read(shown: str, mail: str) -> Author:
    """Return the author of a name and an address."""
    return Author(unquote(mail.removesuffix(_NOBODYS)), shown)


def trailers(others: Iterable[Author]) -> str:
    """Return the lines that name co-authors; empty for none."""
    return "\n".join(f"{_TRAILER}: {name(one)} <{address(one)}>" for one in others)


def co_authors(message: str) -> Sequence[Author]:
    """Return whom the last paragraph of a message names as co-authors."""
    last = message.rstrip().rpartition("\n\n")[2]
    matches = (_TRAILER_LINE.fullmatch(line) for line in last.split("\n"))
    return [read(match[1], match[2]) for match in matches if match]
