"""Keeping an instance from being stopped as idle for as long as a block of code runs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from codestudio import _errors

DEFAULT_LEASE = 600.0
"""Seconds of each lease: what a program that dies leaves behind."""

_RENEWALS = 3
"""Renewals within one lease: two may fail before it runs out."""


class AsyncKeptAlive:
    """An instance that is kept alive: `async with instance.kept_alive():`.

    Takes a lease at the beginning and renews it in time. At the end the last one runs out by
    itself: somebody else may rely on it as well.
    """

    def __init__(self, keep: Callable[[], Awaitable[None]], lease: float) -> None:
        self._keep = keep
        self._lease = lease
        self._renewing: asyncio.Task[None] | None = None
        self._lost: _errors.CodeStudioError | None = None

    @property
    def lost(self) -> _errors.CodeStudioError | None:
        """Why it is not kept alive any more, such as that somebody stopped it; None while it is."""
        return self._lost

    async def __aenter__(self) -> Self:
        await self._keep()
        self._renewing = asyncio.create_task(self._renew(), name="codestudio keep alive")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease / _RENEWALS)
            try:
                await self._keep()
            except (
                _errors.Unavailable,
                _errors.DeadlineExceeded,
                _errors.ResourceExhausted,
                _errors.Aborted,
            ):
                continue  # the lease still holds, and the next turn comes before it ends
            except _errors.CodeStudioError as error:
                self._lost = error
                return
