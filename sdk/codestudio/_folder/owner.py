"""What a follower tells, and what it asks of the folder it is part of."""

import asyncio
import enum
from collections.abc import Callable
from typing import Protocol

from codestudio._folder.files import Files
from codestudio._folder.records import Record, Records
from codestudio._live.document import AsyncDocument


class Told(enum.StrEnum):
    """What is told about a file."""

    SENT = "sent"
    """What was done to the file is in the document."""
    WRITTEN = "written"
    """What was done to the document is in the file."""
    REMOVED = "removed"
    """The document was deleted, and so is the file."""
    DELETED = "deleted"
    """The file was removed, and so is the document."""
    KEPT = "kept"
    """A text was set aside, where nobody could tell how to merge it."""
    SKIPPED = "skipped"
    """The file is not carried."""
    FAILED = "failed"
    """Something could not be done, and is tried again."""


Tell = Callable[[Told, str, str], None]
"""Takes what happened, the path, and more about it."""


class Owner(Protocol):
    """What a follower asks of the folder as a whole."""

    files: Files
    records: Records
    tell: Tell
    slots: asyncio.Semaphore

    def open(self, path: str, content: str | None, saved: Record | None) -> AsyncDocument:
        """Give a document that is not open yet."""
        ...

    async def delete(self, path: str, text: str) -> bool:
        """Delete a document that has this text; False where it has another."""
        ...

    def let_go(self, path: str) -> None:
        """Forget a follower: there is neither file nor document any more."""
        ...
