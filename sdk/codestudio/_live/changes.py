"""Changes of a document on their way to one reader, however slow."""

import asyncio
from collections import deque
from collections.abc import Callable

from codestudio import _errors
from codestudio._document_types import DocumentChange
from codestudio._live import edits

MOST = 1000
"""Changes that wait for a reader; more, and they become one."""


class Changes:
    """A bounded queue of changes: a reader that is too slow gets one change for all it missed."""

    def __init__(self, text: str, current: Callable[[], str]) -> None:
        self._told = text  # the text as the reader knows it
        self._current = current
        self._waiting: deque[DocumentChange] = deque()
        self._missed = False
        self._awake = asyncio.Event()
        self._end: _errors.CodeStudioError | bool = False

    def put(self, change: DocumentChange) -> None:
        """Tell of a change."""
        if len(self._waiting) >= MOST:
            self._waiting.clear()
            self._missed = True
        if not self._missed:
            self._waiting.append(change)
        self._awake.set()

    def end(self, error: _errors.CodeStudioError | None) -> None:
        """Let the reader end, when he has read what there is."""
        self._end = error or True
        self._awake.set()

    async def next(self) -> DocumentChange | None:
        """Wait for the next change; None at the end. Raises what ended the document."""
        while True:
            if self._missed:
                self._missed = False
                before, after = self._told, self._current()
                if before != after:
                    self._told = after
                    found = tuple(edits.difference(before, after))
                    return DocumentChange(found, after, local=False, authors=())
            if self._waiting:
                change = self._waiting.popleft()
                self._told = change.text
                return change
            if self._end:
                if isinstance(self._end, _errors.CodeStudioError):
                    raise self._end
                return None
            self._awake.clear()
            await self._awake.wait()
