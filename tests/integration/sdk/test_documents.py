"""Live documents: what the client does, whatever the server does."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

import codestudio
import pycrdt
import pytest
from codestudio._live import connection
from codestudio.collaboration.v1 import collaborate_pb2
from codestudio.common.v1 import error_pb2

from tests.integration.sdk.desk import Desk

QUICKLY = codestudio.RetryPolicy(attempts=6, initial=0.02, maximum=0.2)
Response = collaborate_pb2.CollaborateResponse


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Run the service."""
    running = Desk()
    running.start()
    yield running
    running.close()


@pytest.fixture
async def two(desk: Desk) -> AsyncIterator[tuple[codestudio.AsyncClient, codestudio.AsyncClient]]:
    """Two clients of it."""
    async with (
        codestudio.AsyncClient(desk.url, token="t", retry=QUICKLY) as one,
        codestudio.AsyncClient(desk.url, token="t", retry=QUICKLY) as other,
    ):
        yield one, other


Two = tuple[codestudio.AsyncClient, codestudio.AsyncClient]


async def until(met: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not met():
            await asyncio.sleep(0.01)


async def test_two_edit_one_text(two: Two, desk: Desk) -> None:
    """What one types the other sees, in code points, whatever the characters."""
    async with (
        two[0].documents.open("p", "a.py", content="é🙂 one\r\n") as a,
        two[1].documents.open("p", "a.py", content="not taken") as b,
    ):
        assert a.text == b.text == "é🙂 one\r\n"
        assert (a.role, a.connection) == ("EDITOR", "LIVE")
        a.insert(3, "中")
        b.replace(6, 0, "!")
        a.delete(0, 1)
        await until(lambda: a.text == b.text == "🙂 中one!\r\n" or a.text == b.text != "")
        await a.flush()
        await b.flush()
        await until(lambda: a.text == b.text == desk.text("a.py"))
        assert not a.unstored
        assert a.revision > 1


async def test_offsets_in_utf16(two: Two) -> None:
    """An editor's offsets are taken as they are; one within a pair, or outside, is refused."""
    async with two[0].documents.open("p", "a", content="🙂a") as doc:
        doc.insert(2, "b", unit=codestudio.OffsetUnit.UTF16)
        assert doc.text == "🙂ba"
        for wrong in (1, 5, -1):
            with pytest.raises(codestudio.OutOfRange):
                doc.insert(wrong, "x", unit=codestudio.OffsetUnit.UTF16)
        with pytest.raises(codestudio.OutOfRange):
            doc.delete(2, 2)
        assert doc.text == "🙂ba"


async def test_changes_are_told(two: Two) -> None:
    """A reader is told its own changes and others', with places, texts and names."""
    async with (
        two[0].documents.open("p", "a", content="中x", user="Ada") as a,
        two[1].documents.open("p", "a", user="Bo") as b,
    ):
        await until(lambda: len(a.cursors) == len(b.cursors) == 1)
        changes = a.changes()
        first = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        a.insert(2, "é")
        change = await first
        assert change == ((codestudio.Edit(2, "", "é"),), "中xé", True, ("Ada",))
        await until(lambda: b.text == "中xé")
        b.replace(1, 1, "🙂")
        change = await anext(changes)
        assert change == ((codestudio.Edit(1, "x", "🙂"),), "中🙂é", False, ("Bo",))
        await changes.aclose()


async def test_a_slow_reader_is_told_all_at_once(two: Two) -> None:
    """Whoever does not read gets one change for all he missed, which ends in the same text."""
    async with two[0].documents.open("p", "a", content="") as doc:
        changes = doc.changes()
        first = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        for _ in range(3000):
            doc.insert(0, "x")
        text = (await first).text
        read = 1
        while text != doc.text:
            text = (await anext(changes)).text
            read += 1
        assert read < 1005
        await changes.aclose()


async def test_offline_edits_are_merged(two: Two, desk: Desk) -> None:
    """What is typed without a connection is kept, and merged when there is one, once."""
    async with (
        two[0].documents.open("p", "a", content="base\n") as a,
        two[1].documents.open("p", "a") as b,
    ):
        id_before = a.session.replica.client_id
        desk.stop()
        await until(lambda: a.connection == b.connection == "OFFLINE")
        a.insert(0, "A🙂\n")
        b.insert(len(b.text), "B\n")
        assert a.unstored
        desk.start()
        await a.flush(20)
        await b.flush(20)
        await until(lambda: a.text == b.text == "A🙂\nbase\nB\n" == desk.text("a"))
        assert a.session.replica.client_id == id_before


async def test_nothing_unacknowledged_is_forgotten(two: Two, desk: Desk) -> None:
    """Edits whose acknowledgement was lost with the stream are sent again, and stand there once."""
    async with two[0].documents.open("p", "a", content="") as doc:
        desk.acknowledges = False
        doc.insert(0, "once")
        await until(lambda: desk.text("a") == "once")
        with pytest.raises(codestudio.DeadlineExceeded):
            await doc.flush(0.2)
        desk.stop()
        desk.acknowledges = True
        desk.start()
        await doc.flush(20)
        assert desk.text("a") == doc.text == "once"


async def test_the_server_lost_something(two: Two, desk: Desk) -> None:
    """What a client has and the server has not, others' edits too, it gives back on joining."""
    async with (
        two[0].documents.open("p", "a", content="x") as a,
        two[1].documents.open("p", "a") as b,
    ):
        kept = desk.documents["default/p/a"]
        old = desk.do(kept.doc.get_update)
        b.insert(1, "from b")
        await until(lambda: a.text == "xfrom b")
        await b.close()

        def lose() -> None:
            kept.doc = type(kept.doc)()
            kept.doc.apply_update(old)

        desk.stop()
        desk.do(lose)
        desk.start()
        await until(lambda: desk.text("a") == "xfrom b")


async def test_another_history(two: Two, desk: Desk) -> None:
    """A document with another epoch is taken as it is; only one's own edits are done again."""
    async with two[0].documents.open("p", "a", content="one\ntwo\n") as doc:
        before = doc.epoch
        desk.stop()
        await until(lambda: doc.connection == "OFFLINE")
        doc.insert(len(doc.text), "mine\n")
        desk.begin_anew("a", "one\n2\n")
        desk.start()
        await doc.flush(20)
        assert doc.text == desk.text("a") == "one\n2\nmine\n"
        assert doc.epoch != before


async def test_resynchronised(two: Two, desk: Desk) -> None:
    """A client that is told to join again gets what it missed, and loses nothing of its own."""
    async with two[0].documents.open("p", "a", content="x") as doc:
        desk.unseat()

        def elsewhere() -> None:
            kept = desk.documents["default/p/a"]
            kept.doc.get("content", type=pycrdt.Text).insert(0, "missed ")

        desk.do(elsewhere)
        doc.insert(1, " own")
        # Nobody is seated, so the test tells the stream itself.
        channel = doc.session.channel
        desk.do(
            lambda: [
                out.put_nowait(Response(channel=channel, resync=collaborate_pb2.Resync()))
                for out in desk._outs
            ]
        )
        await doc.flush(20)
        assert doc.text == desk.text("a") == "missed x own"


async def test_a_refusal_ends_the_document(two: Two, desk: Desk) -> None:
    """What the server refuses for good is raised where the document is used."""
    with pytest.raises(codestudio.NotFound):
        async with two[0].documents.open("p", "missing"):
            pass
    async with two[0].documents.open("p", "a", content="") as doc:
        desk.send(
            lambda seat: Response(
                channel=seat.channel,
                error=error_pb2.ErrorDetail(code="PERMISSION_DENIED", message="gone"),
            )
        )
        with pytest.raises(codestudio.PermissionDenied):
            async for _ in doc.changes():
                pass
        assert doc.connection == "CLOSED"
        with pytest.raises(codestudio.PermissionDenied):
            doc.insert(0, "x")


async def test_the_service_cannot_store_now(two: Two, desk: Desk) -> None:
    """A refusal for now is waited out; the edits come when it is over."""
    async with two[0].documents.open("p", "a", content="") as doc:
        desk.unseat()
        doc.insert(0, "kept")
        channel = doc.session.channel
        error = error_pb2.ErrorDetail(code="NATS_UNAVAILABLE", message="not now")
        desk.do(lambda: [o.put_nowait(Response(channel=channel, error=error)) for o in desk._outs])
        await doc.flush(20)
        assert desk.text("a") == "kept"


async def test_a_silent_server(two: Two, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream on which nothing is heard counts as dead, and is made anew; no edit is lost."""
    monkeypatch.setattr(connection, "SILENCE", 0.5)
    async with two[0].documents.open("p", "a", content="") as doc:
        streams = desk.streams
        desk.unseat()
        doc.insert(0, "kept")
        await doc.flush(20)
        assert desk.streams > streams
        assert desk.text("a") == "kept"


async def test_one_shows_that_one_is_alive(
    two: Two, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server hears from a client that does nothing."""
    monkeypatch.setattr(connection, "_HEARTBEAT", 0.2)
    async with two[0].documents.open("p", "a", content=""):
        await until(lambda: any(each.WhichOneof("message") == "heartbeat" for each in desk.heard))


async def test_viewers_only_read(two: Two, desk: Desk) -> None:
    """Who may only read is told so before anything changes, and can show a cursor."""
    async with two[0].documents.open("p", "a", content="text"):
        desk.viewers = True
        async with two[1].documents.open("p", "a") as doc:
            with pytest.raises(codestudio.PermissionDenied):
                doc.insert(0, "x")
            assert doc.text == "text"
            doc.set_cursor(1)


async def test_one_stream_for_all(two: Two, desk: Desk) -> None:
    """All documents of a client share a stream; it ends with the last of them."""
    async with contextlib.AsyncExitStack() as stack:
        docs = [
            await stack.enter_async_context(two[0].documents.open("p", f"{n}", content=""))
            for n in range(20)
        ]
        for doc in docs:
            doc.insert(0, doc.path)
        await asyncio.gather(*(doc.flush() for doc in docs))
        assert [desk.text(doc.path) for doc in docs] == [doc.path for doc in docs]
        assert desk.streams == 1
    await until(lambda: not desk._outs)


async def test_undo_is_ones_own(two: Two) -> None:
    """Undoing takes back one's own edits and leaves the others'."""
    async with (
        two[0].documents.open("p", "a", content="中") as a,
        two[1].documents.open("p", "a") as b,
    ):
        a.insert(1, "mine🙂")
        await until(lambda: b.text == "中mine🙂")
        b.insert(0, "theirs ")
        await until(lambda: a.text == "theirs 中mine🙂")
        assert a.undo()
        assert a.text == "theirs 中"
        assert not a.undo()
        assert a.redo()
        await until(lambda: b.text == "theirs 中mine🙂" == a.text)


async def test_cursors(two: Two) -> None:
    """A cursor is seen by others where it is, moves with the text, and goes with its owner."""
    async with two[0].documents.open("p", "a", content="é🙂 word", user="Ada") as a:
        async with two[1].documents.open("p", "a", user="Bo") as b:
            a.set_cursor(3, 7)
            await until(lambda: [(c.name, c.anchor, c.head) for c in b.cursors] == [("Ada", 3, 7)])
            b.insert(0, "中中")
            assert [(c.anchor, c.head) for c in b.cursors] == [(5, 9)]
            a.set_cursor(None)
            await until(lambda: [c.anchor for c in b.cursors] == [None])
            await until(lambda: [c.name for c in a.cursors] == ["Bo"])
        await until(lambda: a.cursors == [])


async def test_closing_stores(two: Two, desk: Desk) -> None:
    """Leaving waits for what was typed; what cannot be stored is said, not lost in silence."""
    async with two[0].documents.open("p", "a", content="") as doc:
        doc.insert(0, "typed")
    assert desk.text("a") == "typed"
    doc = two[0].documents.open("p", "a")
    await doc.connect()
    desk.stop()
    doc.insert(0, "x")
    with pytest.raises(codestudio.DeadlineExceeded):
        await doc.close(0.3)
    desk.start()


async def test_leaving_what_was_refused(two: Two, desk: Desk) -> None:
    """Edits that the server refused are not dropped in silence; with none, leaving is silent."""

    async def leave(text: str, code: str, error: Exception | None = None) -> None:
        async with two[0].documents.open("p", "a", content="") as doc:
            doc.insert(0, text)
            desk.refuse_all(code)
            await until(lambda: doc.error is not None)
            if error is not None:
                raise error

    desk.acknowledges = False
    with pytest.raises(codestudio.NotFound, match="refused"):
        await leave("typed", "DOCUMENT_DELETED")
    assert two[0].documents._connections[0].members == 0
    await leave("", "DOCUMENT_DELETED")
    with pytest.raises(ValueError, match="the block's own"):
        await leave("typed", "READ_ONLY", ValueError("the block's own"))


def test_leaving_what_was_refused_without_await(desk: Desk) -> None:
    """The same for ordinary code."""
    with codestudio.Client(desk.url, token="t") as client:
        doc = client.documents.open("p", "a", content="")
        desk.acknowledges = False

        def edit() -> None:
            with doc:
                doc.insert(0, "typed")
                desk.refuse_all("DOCUMENT_DELETED")
                while doc.error is None:
                    time.sleep(0.01)

        with pytest.raises(codestudio.NotFound, match="refused"):
            edit()


async def test_large_texts_go_in_pieces(two: Two, desk: Desk) -> None:
    """An insertion of several MiB is sent in updates a server takes."""
    text = "".join(f"{n} é🙂\n" for n in range(300_000))
    async with two[0].documents.open("p", "a", content="") as doc:
        doc.insert(0, text)
        await doc.flush(30)
        assert desk.text("a") == text
    sizes = [len(each.update.update) for each in desk.heard]
    assert max(sizes) < 2 * 1024**2


def test_without_await(desk: Desk) -> None:
    """The same for ordinary code."""
    with (
        codestudio.Client(desk.url, token="t") as one,
        one.documents.open("p", "a", content="x", user="Ada") as a,
        codestudio.Client(desk.url, token="t") as other,
        other.documents.open("p", "a", user="Bo") as b,
    ):
        a.insert(1, "🙂")
        a.flush()
        while b.text != "x🙂":
            pass
        b.set_cursor(2)
        b.insert(2, "!")
        b.flush()
        while a.text != "x🙂!":
            pass
        assert a.undo()
        assert a.text == "x!"
        assert [info.path for info in one.documents.list("p")] == ["a"]
        assert one.documents.get("p", "a").project == "p"
        assert a.connection == "LIVE"
        assert "Document default/p/a live" in repr(a)
