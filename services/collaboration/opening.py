"""Opens documents: creates what is not there, once, however many ask at the same moment."""

import uuid
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from services.chassis import clock
from services.collaboration import history, names
from services.collaboration.entry import Author
from services.collaboration.store import Snapshot, Store

MAX_INITIAL_BYTES = 16 * 1024**2
"""Largest content to open a document with, in bytes of UTF-8 (contract, OpenDocumentRequest)."""

Announce: TypeAlias = Callable[[names.Name, Author], Awaitable[None]]


class Opening:
    """Creates documents."""

    def __init__(self, *, store: Store, announce: Announce, created: Announce) -> None:
        """Prepare.

        Args:
            store: Where documents are.
            announce: Called with the name of a document that is about to be created, and by whom.
            created: Called when it is; must not fail.
        """
        self._store = store
        self._announce = announce
        self._created = created

    async def ensure(self, name: names.Name, content: str, author: Author) -> bool:
        """Create a document with a content unless there is one; whether this did.

        The content becomes an update here and only here, and is stored together with the
        document's identity in one atomic step. Whoever comes second takes what is there.
        """
        if await self._store.generation(name):
            return False
        epoch = uuid.uuid4().hex
        snapshot = Snapshot(
            revision=1,
            sequence=0,
            stream="",
            state=history.seed(content, epoch),
            length=len(content),
        )
        await self._announce(name, author)
        now = int(clock.now().timestamp() * 1000)
        created = await self._store.create(name, epoch, snapshot, now)
        if created:
            await self._created(name, author)
        return created
