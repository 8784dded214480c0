"""Documents in the database: what a writer that died leaves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from services.chassis import connectors
from services.collaboration.names import Name
from services.collaboration.store import Damaged, Snapshot, Store
from tests.integration.collaboration import rig
from tests.integration.collaboration.editor import Refused
from tests.integration.instance.rig import until


def _snapshot(revision: int, size: int = 1_000_000) -> Snapshot:
    state = bytes((revision,)) * size
    return Snapshot(revision=revision, sequence=revision, stream="s", state=state, length=size)


class _Dying(Store):
    """Dies when the pieces of a snapshot are written."""

    async def _write(self, content: dict[str, object], snapshot: Snapshot) -> dict[str, object]:
        await super()._write(content, snapshot)
        raise asyncio.CancelledError


@pytest.fixture
async def mongo(parts: rig.Parts) -> AsyncIterator[connectors.Mongo]:
    """Give a connection to the database."""
    connected = connectors.Mongo(parts.settings())
    await connected.start()
    try:
        await connected.wait_ready()
        yield connected
    finally:
        await connected.stop()


async def test_pieces_of_a_writer_that_died_go_with_the_next(
    mongo: connectors.Mongo, parts: rig.Parts
) -> None:
    """Nothing is left but what the record names; with the document, nothing at all."""
    name = Name("default", parts.project, "a.txt")
    store, dying = Store(mongo=mongo), _Dying(mongo=mongo)

    async def pieces() -> int:
        return await mongo.client["document_snapshots"].count_documents({})

    async def die(revision: int) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await dying.save(name, "e", _snapshot(revision), 0)

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


@pytest.mark.parametrize("piece", [0, 1])
async def test_a_piece_that_is_missing(
    mongo: connectors.Mongo, parts: rig.Parts, piece: int
) -> None:
    """It makes the document an error, not one that is empty or shorter."""
    name = Name("default", parts.project, "a.txt")
    store = Store(mongo=mongo)
    assert await store.create(name, "e", _snapshot(1, 10), 0)
    assert await store.save(name, "e", _snapshot(2, 10_000_000), 0)
    found = await store.find(name)
    assert found is not None
    lost = {"_id": f"{found.generation}/{piece}"}
    assert (await mongo.client["document_snapshots"].delete_one(lost)).deleted_count
    with pytest.raises(Damaged):
        await store.find(name)
    await store.delete(name, "e")


async def test_a_damaged_document_is_served_to_nobody(
    mongo: connectors.Mongo, parts: rig.Parts
) -> None:
    """All are told, on every way in, and nothing is stored over what is left: it can be mended."""
    records, pieces = mongo.client["documents"], mongo.client["document_snapshots"]
    key = {"_id": Name("default", parts.project, "a.txt").key}
    text = "x" * 300_000
    async with rig.replica(parts, quiet_seconds=0.1) as one:
        await one.open("a.txt", text)
        async with one.editor("a.txt") as ada:
            ada.insert(0, "kept ")
            await ada.stored()

        async def in_pieces() -> bool:
            return bool((await records.find_one(key))["pieces"])

        await until(in_pieces, "its snapshot lies in pieces", 30)
    record = await records.find_one(key)
    piece = await pieces.find_one({"_id": f"{record['generation']}/0"})
    await pieces.delete_one({"_id": piece["_id"]})
    async with (
        rig.replica(parts, quiet_seconds=0.1) as two,
        aiohttp.ClientSession() as session,
    ):
        for call in (two.get("a.txt"), two.open("a.txt", "other")):
            assert (await rig.refusal(call)).code == "DOCUMENT_DAMAGED"
        ada = two.editor("a.txt")
        ada.start()
        with pytest.raises(Refused, match="DOCUMENT_DAMAGED"):
            await ada.online()
        room = f"{two.live_address}/yjs/default/{parts.project}/a.txt"
        socket = await session.ws_connect(f"ws://{room}?token={parts.token()}")
        message = await socket.receive(20)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4500)
        assert str(message.extra).startswith("DOCUMENT_DAMAGED")
        assert await records.find_one(key) == record
        await pieces.insert_one(piece)
        assert (await two.get("a.txt")).text == f"kept {text}"
