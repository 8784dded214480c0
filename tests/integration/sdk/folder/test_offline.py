"""What is done while a folder cannot send, or nobody follows it."""

import asyncio
import threading
from pathlib import Path

import codestudio
import pytest
from codestudio._folder.owner import Told
from codestudio._folder.records import Record, Records

from tests.integration.sdk.desk import Desk
from tests.integration.sdk.folder.side import Side, Two, until


async def test_edits_while_nobody_looked(desk: Desk, tmp_path: Path) -> None:
    """What was done to both sides while the tool was off is merged, and stands there once."""
    one, other = Side(desk, tmp_path / "one"), Side(desk, tmp_path / "other")
    await one.begin()
    one.put("a", "head\nbody\ntail\n")
    await one.settled()
    await until(lambda: "default/p/a" in desk.documents)
    await other.begin()
    await until(lambda: other.text("a") == "head\nbody\ntail\n")
    assert await one.end()
    one.put("a", "HEAD\nbody\ntail\nmore of one\n")
    other.put("a", "head\nbody\ntail\nmore of other\n")
    await until(lambda: desk.text("a") == "head\nbody\ntail\nmore of other\n")
    await one.begin()
    wanted = {
        "HEAD\nbody\ntail\nmore of other\nmore of one\n",
        "HEAD\nbody\ntail\nmore of one\nmore of other\n",
    }
    await until(lambda: one.text("a") == other.text("a") == desk.text("a") in wanted)
    await one.end()
    await other.end()


async def test_an_old_buffer_is_saved_while_nobody_looked(two: Two) -> None:
    """An editor that had the file open all along takes back nothing of what others did."""
    one, other = two
    texts = ["1\n2\n3\n", "1\n2 of other\n3\n", "1\n2 of other\n3 of other\n"]
    for text in texts:
        other.put("a", text)
        await until(lambda text=text: one.text("a") == text)
    await one.settled()
    assert await one.end()
    one.put("a", texts[0] + "more\n")
    await one.begin()
    await until(lambda: one.text("a") == other.text("a") == texts[-1] + "more\n")


async def test_an_old_buffer_is_saved_after_a_kill(two: Two) -> None:
    """The run that was killed had written others' edits into the file, and not yet noted that."""
    one, other = two
    before, after = "1\n2\n3\n", "1\n2 of other\n3\n"
    for text in (before, after):
        other.put("a", text)
        await until(lambda text=text: one.text("a") == text)
    await one.settled()
    assert await one.end()
    records = Records(one.root)
    (record,) = records.all()
    records.put(record._replace(base=before, former=()))
    await one.begin()
    one.put("a", before + "more\n")
    await until(lambda: one.text("a") == other.text("a") == after + "more\n")


async def test_offline(two: Two, desk: Desk) -> None:
    """What is done while the gateway is away is merged when it is back."""
    one, other = two
    one.put("a", "1\n2\n3\n")
    await until(lambda: other.text("a") == "1\n2\n3\n")
    desk.stop()
    await asyncio.sleep(0.3)
    one.put("a", "one\n2\n3\n")
    other.put("a", "1\n2\nother\n")
    other.put("new", "n\n")
    await asyncio.sleep(0.5)
    desk.start()
    await until(lambda: one.text("a") == other.text("a") == "one\n2\nother\n")
    await until(lambda: one.text("new") == "n\n")


async def test_two_texts_of_unknown_origin(desk: Desk, tmp_path: Path) -> None:
    """A file that differs from a document it never was in step with is kept beside."""
    one = Side(desk, tmp_path / "one")
    one.put("a", "mine\n")
    one.put("same", "same\n")
    async with codestudio.AsyncClient(desk.url, token="t") as client:
        await client.documents.create("p", "a", "theirs\n")
        await client.documents.create("p", "same", "same\n")
    await one.begin()
    await until(lambda: one.text("a") == "theirs\n")
    kept = list((one.root / ".codestudio-sync/conflicts").iterdir())
    assert [each.read_text() for each in kept] == ["mine\n"]
    assert [told[1] for told in one.told if told[0] is Told.KEPT] == ["a"]
    await one.end()


async def test_a_text_of_unknown_origin_that_cannot_be_kept(desk: Desk, tmp_path: Path) -> None:
    """Where there is no place beside for a file's text, neither text is touched until there is."""
    one = Side(desk, tmp_path / "one")
    one.put("a", "mine\n")
    one.put(".codestudio-sync/conflicts", "in the way")
    async with codestudio.AsyncClient(desk.url, token="t") as client:
        await client.documents.create("p", "a", "theirs\n")
    beginning = asyncio.create_task(one.begin())
    await until(lambda: sum(told[0] is Told.FAILED for told in one.told) >= 2)
    assert (one.text("a"), desk.text("a")) == ("mine\n", "theirs\n")
    one.path(".codestudio-sync/conflicts").unlink()
    await beginning
    await until(lambda: one.text("a") == "theirs\n")
    kept = list((one.root / ".codestudio-sync/conflicts").iterdir())
    assert [each.read_text() for each in kept] == ["mine\n"]
    assert desk.text("a") == "theirs\n"
    await one.end()


@pytest.mark.parametrize("edited", ["one\n2\n3\n", "2\n3\n"])
@pytest.mark.parametrize("fate", ["deleted", "begun anew", "kept"])
async def test_not_sent_when_the_tool_ended(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str, fate: str
) -> None:
    """What was edited offline, and could not be sent any more, is there after the next run."""
    one = await _edited_offline(desk, tmp_path, monkeypatch, edited)
    if fate != "kept":
        _away(desk, fate)
    await one.begin()
    wanted = edited if fate != "begun anew" else edited + "others\n"
    await until(lambda: "default/p/a" in desk.documents)
    await until(lambda: one.text("a") == desk.text("a") == wanted)
    assert await one.end()
    # And now it is known to be stored: who deletes it deletes it.
    _away(desk, "deleted")
    await one.begin()
    await until(lambda: one.text("a") is None)
    assert "default/p/a" not in desk.documents
    await one.end()


@pytest.mark.parametrize("fate", ["deleted", "begun anew"])
async def test_a_record_that_does_not_tell(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    """Where an older version did not keep what was stored, the text is set aside."""
    one = await _edited_offline(desk, tmp_path, monkeypatch, "one\n2\n3\n")
    records = Records(one.root)
    for record in list(records.all()):
        records.put(record._replace(confirmed=None))
    text = _away(desk, fate)
    await one.begin()
    await until(lambda: one.text("a") == (text or None))
    kept = list((one.root / ".codestudio-sync/conflicts").iterdir())
    assert [each.read_text() for each in kept] == ["one\n2\n3\n"]
    await one.end()


async def _edited_offline(
    desk: Desk, root: Path, monkeypatch: pytest.MonkeyPatch, edited: str
) -> Side:
    """Give a folder whose file was edited, and taken in, while there was no gateway; then ended."""
    monkeypatch.setattr("codestudio._folder.folder._STOP_SECONDS", 0.5)
    one = Side(desk, root / "one")
    await one.begin()
    one.put("a", "1\n2\n3\n")
    await until(lambda: "default/p/a" in desk.documents)
    await one.settled()
    desk.stop()
    one.told.clear()
    one.put("a", edited)
    await until(lambda: any(told[:2] == (Told.SENT, "a") for told in one.told))
    assert not await one.end()
    desk.start()
    return one


def _away(desk: Desk, fate: str) -> str:
    """Have the document deleted, or begun anew as others have it; gives its text."""
    if fate == "deleted":
        desk.do(lambda: desk.documents.pop("default/p/a"))
        return ""
    desk.begin_anew("a", "1\n2\n3\nothers\n")
    return desk.text("a")


async def test_nothing_is_sent_before_it_is_remembered(two: Two, desk: Desk) -> None:
    """An edit that is not in the record yet stays here: after a kill it would be done twice."""
    one, other = two
    one.put("a", "text\n")
    await until(lambda: other.text("a") == "text\n")
    put, asked, may = one.folder.records.put, threading.Event(), threading.Event()

    def slowly(record: Record) -> None:
        asked.set()
        assert may.wait(30)
        put(record)

    one.folder.records.put = slowly  # type: ignore[method-assign]
    one.put("a", "text\nmore\n")
    await until(asked.is_set)
    await asyncio.sleep(0.5)
    assert desk.text("a") == "text\n"
    may.set()
    await until(lambda: other.text("a") == "text\nmore\n")
