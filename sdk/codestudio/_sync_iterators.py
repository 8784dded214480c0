"""Lists and watches for ordinary code, and how a twin takes over its documentation."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, TypeVar

from codestudio._instance_types import InstanceEvent
from codestudio._pager import AsyncPager, Page
from codestudio._portal import Portal
from codestudio._watch import AsyncWatch

Class = TypeVar("Class", bound=type)
Item = TypeVar("Item")
Value = TypeVar("Value")


def twin_of(counterpart: type) -> Callable[[Class], Class]:
    """Take over the documentation of the asyncio counterpart's methods."""

    def document(twin: Class) -> Class:
        for name, member in vars(twin).items():
            if not name.startswith("_") and not member.__doc__:
                member.__doc__ = getattr(counterpart, name).__doc__
        return twin

    return document


@twin_of(AsyncPager)
class Pager(Generic[Item]):
    """Everything of a list, asked for page by page as it is read.

    `for item in pager` gives the items, `pager.pages()` the pages, `pager.all()` a list of
    everything. Each begins at the first page.
    """

    def __init__(
        self, portal: Portal, pager: AsyncPager[Value], wrap: Callable[[Value], Item]
    ) -> None:
        self._portal = portal
        self._pager: AsyncPager[Any] = pager
        self._wrap = wrap

    def pages(self) -> Iterator[Page[Item]]:
        pages = self._pager.pages()
        while (page := self._portal.call(next_of(pages))) is not None:
            yield Page([self._wrap(item) for item in page.items], page.next_page_token)

    def all(self) -> list[Item]:
        return list(self)

    def __iter__(self) -> Iterator[Item]:
        for page in self.pages():
            yield from page.items


@twin_of(AsyncWatch)
class Watch(Generic[Item]):
    """Events of instances: `for event in watch`, for as long as one likes.

    Begins with every instance there is, as ADDED, unless it was given a resume token. A stream that
    breaks, falls silent or is ended by a server shutting down is resumed where it stood, with
    nothing missed or repeated; if the server no longer knows the place, the watch lists again and
    tells only what changed. What cannot be resumed is raised: WatchExpired when the token given is
    too old, Unavailable or DeadlineExceeded after 300 s without success, any other refusal at once.

    Leave it with `close`, or by using it in a `with` statement.
    """

    def __init__(
        self, portal: Portal, watch: AsyncWatch[Value], wrap: Callable[[Value], Item]
    ) -> None:
        self._portal = portal
        self._watch: AsyncWatch[Any] = watch
        self._wrap = wrap

    @property
    def synced(self) -> bool:
        return self._watch.synced

    @property
    def resume_token(self) -> str:
        return self._watch.resume_token

    def close(self) -> None:
        """End the watch."""
        self._portal.call(self._watch.aclose())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> InstanceEvent[Item]:
        event = self._portal.call(next_of(self._watch))
        if event is None:
            raise StopIteration
        return InstanceEvent(event.type, self._wrap(event.instance), event.resume_token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def next_of(iterator: Any) -> Any:
    """Step an iterator; None at its end, as a coroutine cannot raise StopIteration."""
    return await anext(iterator, None)
