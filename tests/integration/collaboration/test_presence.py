"""What replicas tell each other of cursors, and connections that go while they are written to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pycrdt
import pytest
from aiohttp import web

from services.chassis import authentication, connectors, identity
from services.collaboration import history, ywire
from services.collaboration.entry import Author
from services.collaboration.history import Checkpoint, History
from services.collaboration.log import Log
from services.collaboration.names import Name
from services.collaboration.presence import Presence
from services.collaboration.room import Limits, Room
from services.collaboration.settings import CollaborationSettings
from services.collaboration.share import Share
from services.collaboration.subscriber import Subscriber
from services.collaboration.yjs import _Client
from tests.integration.collaboration import rig

_LIMITS = Limits(
    document_bytes=10**7,
    update_bytes=10**6,
    awareness_bytes=4 * 10**6,
    backlog_bytes=10**6,
    log_tick=0.01,
    log_give_up=60.0,
)


@contextlib.asynccontextmanager
async def replica(
    settings: CollaborationSettings, origin: str, project: str
) -> AsyncIterator[tuple[connectors.Nats, dict[str, Room], Presence]]:
    """Give what a replica tells cursors with, and two documents it has in memory."""
    nats = connectors.Nats(settings)
    await nats.start()
    await nats.wait_ready()
    rooms = {
        path: Room(
            name=Name("default", project, path),
            epoch="e",
            created_at=0,
            updated_at=0,
            kept=History(Checkpoint(1, 0, history.seed(""))),
            log=Log(nats=nats, origin=origin, timeout=1.0),
            origin=origin,
            limits=_LIMITS,
        )
        for path in ("large", "small")
    }
    presence = Presence(nats=nats, origin=origin, loaded=lambda name: rooms.get(name.path))
    for room in rooms.values():
        room.on_awareness = presence.say
    telling = asyncio.create_task(presence.run())
    try:
        yield nats, rooms, presence
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        for room in rooms.values():
            await room.close()
        await nats.stop()


def someone(room: Room) -> Subscriber:
    """Give a client in a document."""
    who = Subscriber(author=Author("ada", "Ada"), may_write=True, pace=0, wake=lambda: None)
    room.join(who)
    return who


def said(client: int, clock: int, size: int) -> bytes:
    """Give what a client says of itself, in about so many bytes."""
    state = json.dumps({"name": "x" * size}).encode()
    return b"".join(map(ywire.write_uint, (1, client, clock))) + ywire.write_bytes(state)


async def test_a_document_that_cannot_be_told_silences_no_other(
    parts: rig.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What NATS does not take of one document is left out, in this round and in all later ones."""
    settings = parts.settings()
    async with (
        replica(settings, "one", parts.project) as (nats, here, _),
        replica(settings, "two", parts.project) as (_, there, _),
    ):
        # As of a server that takes smaller messages than most.
        monkeypatch.setattr(nats.client, "_max_payload", 2000)
        large, small = someone(here["large"]), someone(here["small"])
        clock, heard = 0, 0
        async with asyncio.timeout(20):
            # Nobody is told before the other listens, so it is said again until it is heard.
            while heard < 3:
                seen = there["small"].awareness.version
                clock += 1
                here["large"].say(said(1, clock, 5000), large)
                here["small"].say(said(2, clock, 10), small)
                await asyncio.sleep(0.05)
                heard += there["small"].awareness.version > seen
        assert len(there["large"].awareness) == 0


async def test_a_connection_that_goes_is_left_to_its_writer(parts: rig.Parts) -> None:
    """What is new is not written to a connection that closes, or takes no more; nobody fails."""
    settings = parts.settings()
    async with replica(settings, "one", parts.project) as (_, rooms, _), connected() as transports:
        room = rooms["small"]
        ada = someone(room)
        closing, ended, open_ = (client(room, one, settings) for one in transports)
        for each in (closing, ended, open_):
            room.join(each._subscriber)
            each._serving = True
        transports[0].close()
        transports[1].write_eof()
        room.submit(update(), ada)
        async with asyncio.timeout(10):
            while not (closing._event.is_set() and ended._event.is_set()):
                await asyncio.sleep(0.01)
        assert closing._subscriber.at < room.segments.end
        assert open_._subscriber.at == room.segments.end
        assert not open_._event.is_set()


def update() -> bytes:
    """Give an edit."""
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    doc.get("content", type=pycrdt.Text).insert(0, "x")
    return doc.get_update()


def client(room: Room, transport: asyncio.Transport, settings: CollaborationSettings) -> _Client:
    """Give a client of a document that is served over a connection."""
    return _Client(
        web.WebSocketResponse(),
        transport,
        room,
        identity.Caller("bob", "Bob", "user", roles=("user",)),
        authentication.Authenticator(settings.jwks_file),
        silence=60.0,
        compare_after=60.0,
        pace=0.0,
        share=Share(share=1.0, credit=1.0),
        most=4 * 1024**2,
    )


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[list[asyncio.Transport]]:
    """Give three connections of a real socket each."""
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    writers = [(await asyncio.open_connection(host, port))[1] for _ in range(3)]
    try:
        yield [one.transport for one in writers]  # type: ignore[misc]
    finally:
        server.close()
        for one in (*writers, *taken):
            one.close()
            with contextlib.suppress(OSError):
                await one.wait_closed()
