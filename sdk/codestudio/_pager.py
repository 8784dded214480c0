"""Lists that arrive page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class Page(NamedTuple, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    """What is on it."""
    next_page_token: str
    """Where the next one begins; empty on the last."""


class AsyncPager(Generic[Item]):
    """Everything of a list, asked for page by page as it is read.

    `async for item in pager` gives the items, `async for page in pager.pages()` the pages,
    `await pager.all()` a list of everything. Each begins at the first page.
    """

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[Any]],
        field: str,
        view: Callable[[Any], Item],
    ) -> None:
        """`fetch` gets the page of a token; its `field` holds the messages `view` is for."""
        self._fetch = fetch
        self._field = field
        self._view = view

    async def pages(self) -> AsyncIterator[Page[Item]]:
        """Give the pages. Raises CodeStudioError."""
        token = ""
        while True:
            response = await self._fetch(token)
            items = [self._view(each) for each in getattr(response, self._field)]
            token = response.next_page_token
            yield Page(items, token)
            if not token:
                return

    async def all(self) -> list[Item]:
        """Give all items at once. Raises CodeStudioError."""
        return [item async for item in self]

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for page in self.pages():
            for item in page.items:
                yield item
