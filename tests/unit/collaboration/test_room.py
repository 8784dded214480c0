"""A room: what it makes of the log's entries, and whom it wakes."""

import asyncio
import contextlib
import dataclasses
import datetime
import functools
from collections.abc import AsyncIterator
from typing import Any

import prometheus_client
import pycrdt
import pytest
import structlog.testing

from services.chassis import clock, connectors, errors
from services.collaboration import awareness, history, presence, texts, ywire
from services.collaboration.entry import Author, Entry
from services.collaboration.history import Checkpoint, History
from services.collaboration.loading import Loader
from services.collaboration.log import Log
from services.collaboration.names import Name
from services.collaboration.rebase import Splice
from services.collaboration.room import Limits, Room
from services.collaboration.rooms import Rooms, _Slot
from services.collaboration.settings import CollaborationSettings
from services.collaboration.store import Record, Snapshot, Store, Summary
from services.collaboration.subscriber import Promise, Subscriber

_NAME = Name("default", "p", "a.txt")
_LIMITS = Limits(
    document_bytes=10**7,
    update_bytes=10**6,
    awareness_bytes=4 * 10**6,
    backlog_bytes=10**6,
    log_tick=0.01,
    log_give_up=1.0,
)


def _log(settings: CollaborationSettings) -> Log:
    return Log(nats=connectors.Nats(settings), origin="here", timeout=1.0)


def _new_room(**limits: int) -> Room:
    return Room(
        name=_NAME,
        epoch="e",
        created_at=0,
        updated_at=0,
        kept=History(Checkpoint(1, 0, history.seed(""))),
        log=_log(CollaborationSettings()),
        origin="here",
        limits=dataclasses.replace(_LIMITS, **limits),
    )


@contextlib.asynccontextmanager
async def _room(**limits: int) -> AsyncIterator[Room]:
    room = _new_room(**limits)
    try:
        yield room
    finally:
        await room.close()


def _rooms() -> tuple[Rooms, Loader]:
    """Return rooms whose stores nobody has connected to."""
    settings = CollaborationSettings()
    log = _log(settings)
    store = Store(mongo=connectors.Mongo(settings))
    loader = Loader(store=store, log=log, origin="here", limits=_LIMITS)
    rooms = Rooms(store=store, log=log, loader=loader, settings=settings, enabled=lambda: True)
    return rooms, loader


def _update(text: str) -> bytes:
    doc: pycrdt.Doc = pycrdt.Doc()
    doc.get("content", type=pycrdt.Text).insert(0, text)
    return doc.get_update()


def _entry(sequence: int, update: bytes, **over: Any) -> Entry:
    given: dict[str, Any] = {
        "sequence": sequence,
        "name": _NAME,
        "epoch": "e",
        "origin": "there",
        "id": str(sequence),
        "part": 0,
        "parts": 1,
        "update": update,
        "authors": (),
        "sources": (),
        "requests": (),
        "time": clock.now(),
    }
    return Entry(**{**given, **over})


async def test_no_snapshot_lies_behind_half_an_entry() -> None:
    """Not even when its first part comes while the snapshot waits for its turn."""
    rooms, _ = _rooms()
    async with _room() as room:
        room.holders = 1  # And it wrote nothing: another replica stores what it forgets.
        room.entered(_entry(1, _update("one ")))
        async with contextlib.AsyncExitStack() as others:
            for _ in range(4):
                await others.enter_async_context(rooms._snapshots)
            waiting = asyncio.create_task(rooms._snapshot(_Slot(), room))
            await asyncio.sleep(0)
            large = _update("large ")
            room.entered(_entry(2, large[:5], id="x", parts=2))
            room.entered(_entry(3, _update("three ")))
        await waiting
        assert room.history.entries_since == 2
        room.entered(_entry(4, large[5:], id="x", part=1, parts=2))
        await rooms._snapshot(_Slot(), room)
        assert room.history.entries_since == 0
        assert "large " in room.text


async def test_an_orphaned_part_does_not_hold_a_document_for_ever() -> None:
    """Its replica died: the next entry long after it, or time, lets it go."""
    async with _room() as room:
        room.entered(_entry(1, b"half", id="x", parts=2))
        assert not room.whole
        later = clock.now() + datetime.timedelta(seconds=300)
        room.entered(_entry(2, _update("later"), time=later))
        assert room.whole
        # What comes without its beginning is nothing either.
        room.entered(_entry(3, b"half", id="x", part=1, parts=2, time=later))
        assert room.whole
        room.entered(_entry(4, b"half", id="y", parts=2, time=later))
        assert not room.whole
        room._loop = _Ahead()  # type: ignore[assignment]
        assert room.whole


async def test_an_orphaned_part_that_loads_holds_no_document() -> None:
    """Its replica died long before: nothing is to be waited for, not even after loading."""
    async with _room() as room:
        before = clock.now() - datetime.timedelta(seconds=300)
        room.entered(_entry(1, b"half", id="x", parts=2, time=before))
        assert room.whole
        room.entered(_entry(2, b"half", id="y", parts=2))
        assert not room.whole


async def test_old_parts_that_load_are_put_together() -> None:
    """However long ago they were stored."""
    async with _room() as room:
        large = _update("large")
        room.entered(_entry(1, large[:5], id="x", parts=2))
        after = clock.now() + datetime.timedelta(seconds=60)
        room.entered(_entry(2, large[5:], id="x", part=1, parts=2, time=after))
        assert (room.text, room.whole) == ("large", True)


async def test_an_id_is_used_again_only_where_all_that_it_wrote_is_there() -> None:
    """Edits of an id are numbered: a second one of the same number would be taken for the first."""
    _, loader = _rooms()
    # Stored before it wrote, and after: of the first it may be that a replica lost the rest.
    before, after = history.seed(""), b""
    async with _room() as room:
        room.edit([Splice(0, 0, "mine")], Author("ada", "Ada"), Promise())
        room.fork().close()
        after, written = room.state(), room.clocks()
        for _ in range(2):
            loader.let_go(room)
    for state, same in ((after, True), (before, False), (after, False)):
        summary = Summary(_NAME, "e", 0, 0, 1, 0)
        record = Record(summary, Snapshot(1, 0, "", state, 0), "")
        loaded = loader._room(_NAME, record, [])
        try:
            assert (loaded.clocks() == written) is same
            if same:
                loader.let_go(loaded)
            loaded.edit([Splice(0, 0, "more ")], Author("ada", "Ada"), Promise())
            assert (loaded.clocks().keys() == written.keys()) is same
        finally:
            await loaded.close()


async def test_of_a_room_that_failed_nothing_is_stored_or_remembered() -> None:
    """Its log may be gone, and what it expected may come yet, under an id that is used no more."""
    rooms, loader = _rooms()
    room = _new_room()
    fork = room.fork()
    late = fork.edit([Splice(0, 0, "late")])
    fork.close()
    room.entered(_entry(1, late))
    room.edit([Splice(0, 0, "mine")], Author("ada", "Ada"), Promise())
    assert len(room.clocks()) == 2
    room.expect("another", Promise())
    room.fail(errors.Unavailable("LOG_LOST", "lost"))
    slot = rooms._slots[_NAME] = _Slot()
    slot.room = room
    await rooms._snapshot(slot, room)
    assert len(room.clocks()) == 1
    assert rooms._evict()  # which closes it
    await asyncio.gather(*rooms._background)
    assert loader._clocks == {}
    assert room.history.entries_since == 1


async def test_everybody_is_woken() -> None:
    """Also those behind one whose connection is in trouble."""
    woken = 0

    def wake(*, broken: bool) -> None:
        nonlocal woken
        woken += 1
        if broken:
            raise RuntimeError("the handler is closed")

    async with _room() as room:
        for broken in (True, True, False):
            wake_it = functools.partial(wake, broken=broken)
            ada = Author("ada", "Ada")
            room.join(Subscriber(author=ada, may_write=True, pace=0, wake=wake_it))
        room.entered(_entry(1, _update("x")))
        await asyncio.sleep(0.05)
        assert woken == 3
        room.subscribers.clear()


async def test_one_connection_speaks_for_few() -> None:
    """What it says of more clients is not taken; of those it speaks for, it is."""
    async with _room() as room:
        ada = Subscriber(author=Author("ada", "Ada"), may_write=True, pace=0, wake=lambda: None)
        room.join(ada)
        for clock in (1, 2):
            said = b"".join(
                ywire.write_uint(client) + ywire.write_uint(clock) + ywire.write_bytes(b"{}")
                for client in range(1, 101)
            )
            room.say(ywire.write_uint(100) + said, ada)
            assert ada.clients == set(range(1, 17))
            assert len(room.awareness) == 16


@pytest.mark.parametrize("times", [0, 1, 100])
async def test_others_type_while_texts_are_compared(
    monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """They are compared again, a few times at most; what is found is for the text as it is."""
    compared = 0
    loop = asyncio.get_running_loop()
    fine = texts._fine
    wanted = "first\n漢 new\nlast\n"
    async with _room() as room:

        async def typed() -> None:
            room.entered(_entry(compared, _update(f"first\n漢 {compared} last\n")))

        def slow(old: str, new: str) -> list[Splice]:
            nonlocal compared
            compared += 1
            found = fine(old, new)
            if compared <= times:
                asyncio.run_coroutine_threadsafe(typed(), loop).result(20)
            return found

        monkeypatch.setattr(texts, "_fine", slow)
        splices = await texts.LiveTexts._splices(room, wanted)
        assert compared == min(times + 1, texts._ATTEMPTS)
        assert room.text.count("last") == min(times, texts._ATTEMPTS)
        content = room.text.encode()
        for one in splices:
            end = one.start + one.length
            content = content[: one.start] + one.inserted.encode() + content[end:]
        assert content.decode() == wanted


def test_no_message_about_who_is_there_is_too_large() -> None:
    """However many are, with states as large as they may be."""
    clients = range(2**40, 2**40 + 100)
    told = awareness.Awareness()
    state = b'"' + b"x" * (awareness.MAX_STATE - 2) + b'"'
    told.apply([awareness.Said(client, 1, state) for client in clients], 0)
    found = presence.batches(clients)
    assert [client for some in found for client in some] == list(clients)
    assert all(len(told.update(some)) < 1000_000 for some in found)


class _Ahead:
    """The loop's clock, ten minutes on."""

    def time(self) -> float:
        return asyncio.get_running_loop().time() + 600


def _says(*clients: int, clock: int = 1, size: int = 10) -> bytes:
    told = awareness.Awareness()
    state = b'"' + b"x" * (size - 2) + b'"'
    told.apply([awareness.Said(client, clock, state) for client in clients], 0)
    return told.update(clients)


def _refused(why: str) -> float:
    name = "codestudio_collaboration_cursors_refused_total"
    return prometheus_client.REGISTRY.get_sample_value(name, {"why": why}) or 0.0


async def test_a_cursor_that_is_not_taken_is_counted_and_told_of_once_a_connection() -> None:
    """By why: the document's budget, or too many clients of one connection; what is known is not.

    Those that come from other replicas are counted too.
    """
    async with _room(awareness_bytes=50_000) as room:
        ada, bob = (
            Subscriber(author=Author(name, name), may_write=True, pace=0, wake=lambda: None)
            for name in ("ada", "bob")
        )
        room.join(ada)
        room.join(bob)
        budget, connection = _refused("budget"), _refused("connection")
        with structlog.testing.capture_logs() as logs:
            room.say(_says(1, 2, 3, 4, size=10_000), ada)
            assert not logs
            room.say(_says(5, 6, size=10_000), ada)
            room.say(_says(5, clock=2, size=10_000), ada)
            # An editor tells again what it was told, of however many.
            room.hear(_says(*range(100, 120)))
            room.say(_says(*range(100, 120)), bob)
            assert len(logs) == 1
            room.say(_says(*range(200, 220)), bob)
        assert [(one["who"], one["why"], one["log_level"]) for one in logs] == [
            ("ada", "budget", "info"),
            ("bob", "connection", "info"),
        ]
        room.hear(_says(300, size=10_000))
        assert _refused("budget") - budget == 4
        assert _refused("connection") - connection == 4
