"""Files that go, are renamed, or take another's place."""

import asyncio
from pathlib import Path

import codestudio
import pytest
from codestudio._folder import refusals
from codestudio._folder.folder import Folder
from codestudio._folder.owner import Told

from tests.integration.sdk.desk import Desk
from tests.integration.sdk.folder.side import Side, Two, until


@pytest.mark.usefixtures("hasty")
async def test_renames_and_deletes(two: Two, desk: Desk) -> None:
    """A file that is renamed or removed in one folder is in the other."""
    one, other = two
    one.put("src/deep/a", "a\n")
    one.put("b", "b\n")
    await until(lambda: other.text("src/deep/a") == "a\n" and other.text("b") == "b\n")
    (one.root / "src/deep/a").rename(one.root / "src/c")
    (one.root / "b").unlink()
    await until(lambda: other.text("src/c") == "a\n")
    await until(lambda: other.text("src/deep/a") is None and other.text("b") is None)
    await until(lambda: list(desk.documents) == ["default/p/src/c"])
    await until(lambda: not (other.root / "src/deep").exists())
    other.put("b", "again\n")
    await until(lambda: one.text("b") == "again\n")
    (other.root / "src").rename(other.root / "lib")
    await until(lambda: one.text("lib/c") == "a\n" and one.text("src/c") is None)


async def test_deleted_and_edited(two: Two, desk: Desk) -> None:
    """What one removes while another edits it stays, with the edit: no text is lost."""
    one, other = two
    one.put("a", "text\n")
    await until(lambda: other.text("a") == "text\n")
    desk.stop()
    await asyncio.sleep(0.3)
    (one.root / "a").unlink()
    other.put("a", "text\nmore\n")
    await asyncio.sleep(1.5)
    desk.start()
    await until(lambda: one.text("a") == other.text("a") == desk.text("a") == "text\nmore\n")


async def test_removed_while_nobody_looked(desk: Desk, tmp_path: Path) -> None:
    """A file removed while the tool was off is deleted; one that others deleted goes as well."""
    one = Side(desk, tmp_path / "one")
    await one.begin()
    for name in "abc":
        one.put(name, f"{name}\n")
    await until(lambda: len(desk.documents) == 3)
    await one.end()
    (one.root / "a").unlink()
    desk.do(lambda: desk.documents.pop("default/p/b"))
    await one.begin()
    await until(lambda: list(desk.documents) == ["default/p/c"])
    await until(lambda: one.text("a") is None and one.text("b") is None)
    assert one.text("c") == "c\n"
    await one.end()


async def test_the_folder_is_gone(two: Two, desk: Desk) -> None:
    """A folder that is moved away, or unmounted, deletes nothing."""
    one, _ = two
    one.put("a", "text\n")
    await until(lambda: "default/p/a" in desk.documents)
    await one.settled()
    one.root.rename(one.root.with_name("elsewhere"))
    await until(lambda: any(told[0] is Told.FAILED for told in one.told))
    assert desk.text("a") == "text\n"


@pytest.mark.usefixtures("hasty")
async def test_a_file_becomes_a_folder_and_a_file_again(two: Two, desk: Desk) -> None:
    """What takes its name takes its place, in the other folder too."""
    one, other = two
    one.put("a", "file\n")
    await until(lambda: other.text("a") == "file\n")
    (one.root / "a").unlink()
    one.put("a/b", "inner\n")
    await until(lambda: (other.root / "a").is_dir() and other.text("a/b") == "inner\n")
    await until(lambda: list(desk.documents) == ["default/p/a/b"])
    (one.root / "a/b").unlink()
    (one.root / "a").rmdir()
    one.put("a", "file again\n")
    await until(lambda: (other.root / "a").is_file() and other.text("a") == "file again\n")
    await until(lambda: list(desk.documents) == ["default/p/a"])
    assert not [told for side in two for told in side.told if told[0] is Told.KEPT]


async def test_two_documents_no_folder_has_both_of(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them is there, of the other it is told once, and --once ends."""
    monkeypatch.setattr(refusals, "RETRY_FIRST", 4.0)
    async with codestudio.AsyncClient(desk.url, token="t") as client:
        await client.documents.create("p", "a", "file\n")
        await client.documents.create("p", "a/b", "inner\n")
    one = Side(desk, tmp_path / "one")
    assert not await one.once()
    (left_out,) = one.skipped()
    assert one.text("a/b" if left_out == "a" else "a") in ("inner\n", "file\n")
    assert sorted(desk.documents) == ["default/p/a", "default/p/a/b"]


async def test_an_event_that_was_dropped(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system did not tell of is found when all files are looked at."""

    async def deaf(_: Folder) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Folder, "_watch", deaf)
    monkeypatch.setattr("codestudio._folder.folder.WALKED", 0.3)
    one = Side(desk, tmp_path / "one")
    one.put("a", "text\n")
    await one.begin()
    await until(lambda: "default/p/a" in desk.documents)
    for text in ("text\nmore\n", "TEXT\nmore\n"):
        one.put("a", text)
        await until(lambda text=text: desk.text("a") == text, 10)  # type: ignore[misc]
    one.put("b", "new\n")
    await until(lambda: "default/p/b" in desk.documents)
    assert await one.end()


@pytest.fixture
def seldom_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody look at all files, which has each that is missing looked at again."""
    monkeypatch.setattr("codestudio._folder.folder.WALKED", 300.0)


@pytest.mark.usefixtures("seldom_walked")
async def test_a_removal_holds_up_nobody(
    two: Two, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is not believed yet that a file is gone, others are carried."""
    monkeypatch.setattr("codestudio._folder.follower._DOUBTFUL", 300.0)
    one, other = two
    for name in "ab":
        one.put(name, f"{name}\n")
    await until(lambda: other.text("a") == "a\n" and other.text("b") == "b\n")
    await one.settled()
    one.folder.slots = asyncio.Semaphore(1)
    (one.root / "a").unlink()
    await until(lambda: one.folder.pending == 1)
    await asyncio.sleep(0.3)
    one.put("b", "more\n")
    await until(lambda: other.text("b") == "more\n")
    assert "default/p/a" in desk.documents
    monkeypatch.setattr("codestudio._folder.follower._DOUBTFUL", 0.1)
    one.folder._followers["a"].nudge()
    await until(lambda: "default/p/a" not in desk.documents)
