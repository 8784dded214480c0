"""Pages of instances, in order of id, stable while others come and go."""

import dataclasses
from collections.abc import Sequence

from services.chassis import errors, identity
from services.instance import filters, tokens
from services.instance.record import Record
from services.instance.store import Store

PAGE_DEFAULT = 100
PAGE_MOST = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Some instances."""

    records: Sequence[Record]
    next_token: str
    """Where the next page begins; empty on the last."""


async def page(store: Store, *, size: int, token: str, text: str) -> Page:
    """Read one page of what the caller may see.

    Args:
        store: The records.
        size: Most instances; 0 for the default.
        token: Where to go on; empty to begin.
        text: The filter.

    Raises:
        errors.InvalidArgument: A size out of range, a filter or a token that is none.
    """
    if not 0 <= size <= PAGE_MOST:
        problem = f"must be 1 to {PAGE_MOST}, or 0 for {PAGE_DEFAULT}, is {size}"
        raise errors.InvalidArgument(
            "INVALID_ARGUMENT",
            f"page_size: {problem}",
            violations=[errors.Violation("page_size", problem)],
        )
    asked = filters.parse(text)
    after = tokens.read_page(token, asked.fingerprint) if token else ""
    conditions = visible_to(identity.current(), asked).conditions()
    if conditions is None:
        return Page((), "")
    size = size or PAGE_DEFAULT
    found = await store.page(conditions, after=after, limit=size + 1)
    more = len(found) > size
    found = found[:size]
    return Page(found, tokens.page(found[-1].id, asked.fingerprint) if more else "")


def visible_to(caller: identity.Caller, asked: filters.Filter) -> filters.Filter:
    """Return a filter with what the caller may see only: his own, or everything."""
    return asked if caller.sees_all else asked.owned_by(caller.subject)
