"""What a folder carries, and what it leaves alone."""

import asyncio
import contextlib
import types
from pathlib import Path

import codestudio
import pytest
from codestudio._folder import follower
from codestudio._folder.files import Found
from codestudio._folder.folder import Folder
from codestudio._folder.owner import Told
from codestudio._folder.project import ClientProject
from codestudio._live import edits

from tests.integration.sdk.desk import Desk
from tests.integration.sdk.folder.side import Side, Two, until


async def test_a_new_file_comes_to_the_other(two: Two, desk: Desk) -> None:
    """What is made in one folder appears in the other, and what is done there comes back."""
    one, other = two
    one.put("src/a.py", "é🙂 = 1\r\n")
    await until(lambda: other.text("src/a.py") == "é🙂 = 1\r\n")
    other.put("src/a.py", "é🙂 = 2\r\n")
    await until(lambda: one.text("src/a.py") == "é🙂 = 2\r\n" == desk.text("src/a.py"))
    assert not [told for side in two for told in side.told if told[0] is Told.KEPT]


async def test_what_it_wrote_itself_is_not_sent_back(two: Two, desk: Desk) -> None:
    """A file that changed since others edited its document is no edit of this folder's editor."""
    one, other = two

    def updates() -> int:
        return sum(each.WhichOneof("message") == "update" for each in desk.heard)

    one.put("a", "0\n")
    await until(lambda: other.text("a") == "0\n")
    for number in range(1, 6):
        before = updates()
        text = f"{number}\n" + (other.text("a") or "")
        one.put("a", text)
        await until(lambda text=text: other.text("a") == text == desk.text("a"))
        await other.settled()
        assert updates() == before + 1
    # An edit of its own comes behind whatever it was told of its own writing.
    other.put("a", "own\n" + (other.text("a") or ""))
    await until(lambda: (one.text("a") or "").startswith("own\n"))
    await one.settled()
    assert [told for told, _, _ in other.told].count(Told.SENT) == 1
    assert [told for told, _, _ in other.told].count(Told.WRITTEN) >= 6
    assert updates() == 6


async def test_both_edit_at_once(two: Two, desk: Desk) -> None:
    """Edits of different lines, at the same time, are both in both files."""
    one, other = two
    text = "".join(f"line {n}\n" for n in range(50))
    one.put("a", text)
    await until(lambda: other.text("a") == text)
    for n in range(10):
        one.put("a", (one.text("a") or "").replace(f"line {n}\n", f"one {n}\n"))
        other.put("a", (other.text("a") or "").replace(f"line {49 - n}\n", f"other {49 - n}\n"))
        await asyncio.sleep(0.15)
    wanted = text
    for n in range(10):
        wanted = wanted.replace(f"line {n}\n", f"one {n}\n")
        wanted = wanted.replace(f"line {49 - n}\n", f"other {49 - n}\n")
    await until(lambda: one.text("a") == other.text("a") == desk.text("a") == wanted)


async def test_saved_in_the_last_moment(two: Two, desk: Desk) -> None:
    """What an editor saves just before others' edits take the file's place is in both as well."""
    one, other = two
    text = "".join(f"line {n}\n" for n in range(9))
    one.put("a", text)
    await until(lambda: other.text("a") == text)
    await one.settled()
    replace = one.folder.files.replace
    saves = iter(("line 1\nline one\n",))

    def late(path: str, new: str, expected: str | None) -> Found | Path | None:
        for saved in saves:
            one.put(path, text.replace("line 1\n", saved))
        return replace(path, new, expected)

    one.folder.files.replace = late  # type: ignore[method-assign]
    other.put("a", text.replace("line 7\n", "line seven\n"))
    wanted = text.replace("line 1\n", "line 1\nline one\n").replace("line 7\n", "line seven\n")
    await until(lambda: one.text("a") == other.text("a") == desk.text("a") == wanted)
    await one.settled()
    assert next(saves, None) is None
    assert list(one.folder.files.left_behind()) == []
    assert not [told for side in two for told in side.told if told[0] is Told.KEPT]


@pytest.mark.parametrize("times", [0, 2, 100])
async def test_others_type_while_a_difference_is_looked_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """It is looked for again, a few times at most, and all edits end where they belong."""
    looked = 0
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(codestudio.AsyncClient(desk.url, token="t"))
            for _ in range(2)
        ]
        mine = await stack.enter_async_context(one.documents.open("p", "a", content="one\ntwo\n"))
        theirs = await stack.enter_async_context(other.documents.open("p", "a"))

        async def typed() -> None:
            theirs.insert(0, f"<{looked}>")
            while mine.text != theirs.text:
                await asyncio.sleep(0.005)

        def slow(base: str, new: str, current: str) -> list[edits.Edit]:
            nonlocal looked
            looked += 1
            found = edits.carried(base, new, current)
            if looked <= times:
                asyncio.run_coroutine_threadsafe(typed(), loop).result(20)
            return found

        monkeypatch.setattr(follower, "edits", types.SimpleNamespace(carried=slow))
        await follower._carry(mine, "one\ntwo\n", "one\ntwo!\n")
        assert looked == min(times + 1, follower._CARRIED)
        others = "".join(f"<{n}>" for n in range(min(times, follower._CARRIED), 0, -1))
        assert mine.text == f"{others}one\ntwo!\n"
        await mine.flush()
        assert desk.text("a") == mine.text


@pytest.mark.parametrize("way", ["in place", "rename", "append", "unlink"])
async def test_ways_to_write(two: Two, desk: Desk, way: str) -> None:
    """However a program writes a file: the text is carried, once, and the mode is kept."""
    one, other = two
    one.put("a.sh", "first\n")
    await until(lambda: other.text("a.sh") == "first\n")
    file = one.path("a.sh")
    file.chmod(0o755)
    other.path("a.sh").chmod(0o750)
    if way == "in place":
        with file.open("w") as opened:
            opened.flush()
            await asyncio.sleep(0.3)
            opened.write("first\nsecond\n")
    elif way == "rename":
        temporary = one.path(".a.sh.new~")
        temporary.write_text("first\nsecond\n")
        temporary.rename(file)
    elif way == "append":
        with file.open("a") as opened:
            opened.write("second\n")
    else:
        file.unlink()
        await asyncio.sleep(0.3)
        file.write_text("first\nsecond\n")
    await until(lambda: other.text("a.sh") == desk.text("a.sh") == "first\nsecond\n")
    assert other.path("a.sh").stat().st_mode & 0o777 == 0o750
    updates = [each.update.update for each in desk.heard if each.WhichOneof("message") == "update"]
    assert sum(map(len, updates)) < 200
    one.put("a.sh", "")
    await until(lambda: other.text("a.sh") == "")


async def test_what_is_not_carried(two: Two, desk: Desk, tmp_path: Path) -> None:
    """Ignored, binary, large files and links are left alone; what cannot be carried is said."""
    one, other = two
    one.put(".gitignore", "*.log\nbuild/\n")
    one.put("build/x", "x")
    one.put("a.log", "x")
    one.put(".git/config", "x")
    one.put("a.py~", "x")
    one.path("binary").write_bytes(b"\0\1")
    one.path("latin").write_bytes(b"\xe9t\xe9")
    one.path("large").write_text("x" * (4 * 1024**2 + 1))
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (one.root / "link").symlink_to(secret)
    (one.root / "links").symlink_to(tmp_path)
    one.put("last", "x")
    await until(lambda: other.text("last") == "x" and other.text(".gitignore") is not None)
    await until(lambda: {t[1] for t in one.told if t[0] is Told.SKIPPED} >= {"binary", "large"})
    assert sorted(each.partition("p/")[2] for each in desk.documents) == [".gitignore", "last"]
    one.path("binary").write_text("text now")
    await until(lambda: other.text("binary") == "text now")


async def test_a_document_does_not_lead_outside(two: Two, tmp_path: Path) -> None:
    """A document whose path leads through a link is not written there."""
    one, _ = two
    outside = tmp_path / "outside"
    outside.mkdir()
    (one.root / "away").symlink_to(outside)
    await one.client.documents.create("p", "away/file", "x")
    await until(lambda: any(told[1] == "away/file" for told in one.told))
    assert list(outside.iterdir()) == []


async def test_one_run_a_folder(two: Two, desk: Desk) -> None:
    """A folder is followed by one process, and stays with its project."""
    second = Side(desk, two[0].root)
    with pytest.raises(codestudio.FailedPrecondition, match="another codestudio sync"):
        await second.begin()
    await two[0].end()
    folder = Folder(second.root, ClientProject(second.client, "q", "default"), tell=print)
    with pytest.raises(codestudio.FailedPrecondition, match="follows project"):
        await folder.run(binding={"project": "q"})
    await second.client.close()


async def test_viewers(desk: Desk, tmp_path: Path) -> None:
    """Who may only read keeps what he did beside, and has the document's text in the file."""
    async with codestudio.AsyncClient(desk.url, token="t") as client:
        await client.documents.create("p", "a", "theirs\n")
    desk.viewers = True
    one = Side(desk, tmp_path / "one")
    await one.begin()
    await until(lambda: one.text("a") == "theirs\n")
    one.put("a", "mine\n")
    await until(lambda: any(told[0] is Told.KEPT for told in one.told))
    await until(lambda: one.text("a") == "theirs\n")
    assert desk.text("a") == "theirs\n"
    await one.end()
