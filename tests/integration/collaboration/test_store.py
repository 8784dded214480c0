"""Documents in the database: what a writer that died leaves."""

import asyncio
import contextlib

from services.chassis import connectors
from services.collaboration.names import Name
from services.collaboration.store import Snapshot, Store
from tests.integration.collaboration import rig


def _snapshot(revision: int, size: int = 1_000_000) -> Snapshot:
    state = bytes((revision,)) * size
    return Snapshot(revision=revision, sequence=revision, stream="s", state=state, length=size)


class _Dying(Store):
    """Dies when the pieces of a snapshot are written."""

    async def _write(self, content: dict[str, object], snapshot: Snapshot) -> dict[str, object]:
        await super()._write(content, snapshot)
        raise asyncio.CancelledError


async def test_pieces_of_a_writer_that_died_go_with_the_next(parts: rig.Parts) -> None:
    """Nothing is left but what the record names; with the document, nothing at all."""
    settings = parts.settings()
    mongo = connectors.Mongo(settings)
    name = Name("default", parts.project, "a.txt")
    store, dying = Store(mongo=mongo), _Dying(mongo=mongo)

    async def pieces() -> int:
        return await mongo.client["document_snapshots"].count_documents({})

    async def die(revision: int) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await dying.save(name, "e", _snapshot(revision), 0)

    await mongo.start()
    try:
        await mongo.wait_ready()
        before = await pieces()
        assert await store.create(name, "e", _snapshot(1), 0)
        for revision, size in ((2, 1_000_000), (4, 10)):
            await die(revision)
            assert await store.save(name, "e", _snapshot(revision + 1, size), 0)
            assert await pieces() == before + (size > 10)
            found = await store.find(name)
            assert found is not None
            assert found.snapshot.state == _snapshot(revision + 1, size).state
        await die(6)
        await store.delete(name, "e")
        assert await pieces() == before
    finally:
        await mongo.stop()
