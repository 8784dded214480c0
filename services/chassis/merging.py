"""Calls that travel together: what is asked for at about the same time goes out as one.

While as many calls as may be are under way, what is asked for waits and goes out together with the
next one; a lone request goes at once. Each asker gets its own answer.
"""

import asyncio
import collections
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from services.chassis import errors

Request = TypeVar("Request")
Result = TypeVar("Result")

WAITING = 20_000
"""Requests that may wait; at that number more are refused, since none would be in time."""


class Merged(Generic[Request, Result]):
    """Sends requests together. What is asked earlier is begun no later, but not told earlier."""

    def __init__(
        self,
        call: Callable[[Sequence[Request]], Awaitable[Sequence[Result | BaseException]]],
        *,
        name: str,
        at_once: int,
        most: int,
        refusal: Callable[[], errors.DomainError],
    ) -> None:
        """Prepare.

        Args:
            call: Does many requests; gives for each its result or what it failed with. What it
                raises befalls all of them.
            name: What it does, such as ``send scripts``.
            at_once: Calls under way at once.
            most: Requests in a call at most.
            refusal: What is raised where too many wait.
        """
        self._call = call
        self._name = name
        self._at_once = at_once
        self._most = most
        self._refusal = refusal
        self._waiting: collections.deque[tuple[Request, asyncio.Future[Result]]] = (
            collections.deque()
        )
        self._senders: set[asyncio.Task[None]] = set()

    async def ask(self, request: Request) -> Result:
        """Have a request done and give its result, or raise what it failed with."""
        if len(self._waiting) >= WAITING:
            raise self._refusal()
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if len(self._senders) < self._at_once:
            sender = asyncio.create_task(self._send(), name=self._name)
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await answer

    async def _send(self) -> None:
        """Send what waits, call after call, until nothing does."""
        try:
            await self._send_all()
        finally:
            # At once: who has his answer may ask again before a callback of this task runs.
            if (task := asyncio.current_task()) is not None:
                self._senders.discard(task)

    async def _send_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            # Whoever has gone before it was sent wants nothing any more.
            batch = [one for one in batch if not one[1].done()]
            if not batch:
                continue
            try:
                outcomes = await self._call([request for request, _ in batch])
            except BaseException as error:
                known = error if isinstance(error, Exception) else ConnectionAbortedError()
                _tell(batch, [known] * len(batch))
                if not isinstance(error, Exception):
                    raise
            else:
                _tell(batch, outcomes)


def _tell(
    batch: Sequence[tuple[Request, asyncio.Future[Result]]],
    outcomes: Sequence[Result | BaseException],
) -> None:
    for (_, answer), outcome in zip(batch, outcomes, strict=True):
        if answer.done():
            continue  # whoever asked has gone
        if isinstance(outcome, BaseException):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
