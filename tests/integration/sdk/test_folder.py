"""A folder that follows a project: two of them, and what editors do to their files."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import codestudio
import grpc
import pytest
from codestudio._folder import refusals
from codestudio._folder.folder import Folder
from codestudio._folder.owner import Told
from codestudio._folder.project import ClientProject
from codestudio._folder.records import Record, Records

from tests.integration.sdk.desk import Desk

QUICKLY = codestudio.RetryPolicy(attempts=6, initial=0.02, maximum=0.2)


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Run the service."""
    running = Desk()
    running.start()
    yield running
    running.close()


class Side:
    """A folder, and what follows it."""

    def __init__(self, desk: Desk, root: Path) -> None:
        self.desk = desk
        self.root = root
        self.told: list[tuple[Told, str, str]] = []
        root.mkdir(exist_ok=True)
        self._running: asyncio.Task[bool] | None = None

    def path(self, name: str) -> Path:
        found = self.root / name
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def put(self, name: str, text: str) -> None:
        self.path(name).write_text(text, newline="")

    def text(self, name: str) -> str | None:
        try:
            return (self.root / name).read_bytes().decode()
        except FileNotFoundError:
            return None

    async def begin(self) -> None:
        self._running = asyncio.create_task(self.run())
        await asyncio.sleep(0)
        await self.settled()

    async def run(self, *, once: bool = False) -> bool:
        self.client = codestudio.AsyncClient(self.desk.url, token="t", retry=QUICKLY)
        self.folder = Folder(
            self.root,
            ClientProject(self.client, "p", "default"),
            tell=lambda *told: self.told.append(told),
        )
        return await self.folder.run(once=once, binding={"project": "p"})

    async def once(self) -> bool:
        try:
            async with asyncio.timeout(20):
                return await self.run(once=True)
        finally:
            await self.client.close()

    def skipped(self) -> list[str]:
        return [path for told, path, _ in self.told if told is Told.SKIPPED]

    async def settled(self) -> None:
        await until(lambda: self._over() or (self.folder.reachable and not self.folder.pending))

    def _over(self) -> bool:
        assert self._running is not None
        if self._running.done():
            self._running.result()
        return self._running.done()

    async def end(self) -> bool:
        if self._running is None:
            return True
        self.folder.stop()
        running, self._running = self._running, None
        stored = await running
        await self.client.close()
        return stored


async def until(met: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not met():
            await asyncio.sleep(0.02)


@pytest.fixture
async def two(desk: Desk, tmp_path: Path) -> AsyncIterator[tuple[Side, Side]]:
    """Two folders of one project."""
    sides = Side(desk, tmp_path / "one"), Side(desk, tmp_path / "other")
    for side in sides:
        await side.begin()
    yield sides
    for side in sides:
        await side.end()


Two = tuple[Side, Side]


@pytest.fixture(autouse=True)
def listed_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for documents more often: this service does not tell of new ones."""
    monkeypatch.setattr("codestudio._folder.folder.LISTED", 0.2)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe sooner that a file is gone, and try again sooner."""
    monkeypatch.setattr("codestudio._folder.follower._DOUBTFUL", 0.3)
    monkeypatch.setattr(refusals, "RETRY_FIRST", 0.2)


async def test_a_new_file_comes_to_the_other(two: Two, desk: Desk) -> None:
    """What is made in one folder appears in the other, and what is done there comes back."""
    one, other = two
    one.put("src/a.py", "é🙂 = 1\r\n")
    await until(lambda: other.text("src/a.py") == "é🙂 = 1\r\n")
    other.put("src/a.py", "é🙂 = 2\r\n")
    await until(lambda: one.text("src/a.py") == "é🙂 = 2\r\n" == desk.text("src/a.py"))
    assert not [told for side in two for told in side.told if told[0] is Told.KEPT]


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


async def test_editors(two: Two) -> None:
    """A real vim on one side, sed and a formatter's rename on the other, at the same time."""
    one, other = two
    text = "".join(f"line {n}\n" for n in range(40))
    one.put("a.txt", text)
    await until(lambda: other.text("a.txt") == text)
    for n in range(6):
        vim = await asyncio.create_subprocess_exec(
            "vim.tiny", "-u", "NONE", "-es", "-c", f"%s/^line {n}$/vim {n}/", "-c", "wq!", "a.txt",
            cwd=one.root, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        sed = await asyncio.create_subprocess_exec(
            "sed", "-i", f"s/^line {39 - n}$/sed {39 - n}/", "a.txt", cwd=other.root
        )
        assert await vim.wait() == 0
        assert await sed.wait() == 0
        await asyncio.sleep(0.1)
    wanted = text
    for n in range(6):
        wanted = wanted.replace(f"line {n}\n", f"vim {n}\n")
        wanted = wanted.replace(f"line {39 - n}\n", f"sed {39 - n}\n")
    await until(lambda: one.text("a.txt") == other.text("a.txt") == wanted)


async def test_formatters(two: Two) -> None:
    """A formatter rewrites the file on one side while vim edits it on the other, at the same time.

    Formatted text stays so, and whatever was typed meanwhile is in both, once.
    """
    one, other = two
    ragged = "".join(f"value_{n}=[ {n},{n} ]\n" for n in range(30))
    one.put("a.py", ragged)
    await until(lambda: other.text("a.py") == ragged)
    for n in range(4):
        ruff = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ruff", "format", "--quiet", "--isolated", "--no-cache", "a.py",
            cwd=one.root,
        )  # fmt: skip
        vim = await asyncio.create_subprocess_exec(
            "vim.tiny", "-u", "NONE", "-es", "-c", f"$s/$/\\rtyped_{n}=( {n} )/", "-c", "wq!",
            "a.py", cwd=other.root, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert await ruff.wait() == 0
        assert await vim.wait() == 0
        await until(lambda n=n: f"typed_{n}" in (one.text("a.py") or ""))
    ruff = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ruff", "format", "--quiet", "--isolated", "--no-cache", "a.py",
        cwd=other.root,
    )  # fmt: skip
    assert await ruff.wait() == 0
    wanted = "".join(f"value_{n} = [{n}, {n}]\n" for n in range(30))
    wanted += "".join(f"typed_{n} = {n}\n" for n in range(4))
    await until(lambda: one.text("a.py") == other.text("a.py") == wanted)


async def test_git_checkout(two: Two) -> None:
    """Changing branches in one folder changes the other's files; .git is nobody's business."""
    one, other = two

    def git(*arguments: str) -> None:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(one.root)}
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            cwd=one.root,
            check=True,
            capture_output=True,
            env=environment,
        )

    git("init", "-q", "-b", "main")
    for n in range(10):
        one.put(f"f{n}", f"main {n}\n" * 5)
    git("add", ".")
    git("commit", "-qm", "one")
    git("checkout", "-qb", "branch")
    for n in range(10):
        one.put(f"f{n}", f"main {n}\n" * 4 + f"branch {n}\n")
    git("commit", "-qam", "two")

    def all_are(end: str) -> bool:
        return all((other.text(f"f{n}") or "").endswith(f"{end} {n}\n") for n in range(10))

    await until(lambda: all_are("branch"))
    await asyncio.to_thread(git, "checkout", "-q", "main")
    await until(lambda: all_are("main"))
    await asyncio.to_thread(git, "checkout", "-q", "branch")
    await until(lambda: all_are("branch"))
    assert not (other.root / ".git").exists()
    assert not [told for side in two for told in side.told if told[0] is Told.KEPT]


async def test_an_editor_with_an_old_buffer(two: Two, desk: Desk) -> None:
    """Saving a buffer that was read before others edited does not take back what they did."""
    one, other = two
    text = "".join(f"line {n}\n" for n in range(20))
    one.put("a", text)
    await until(lambda: other.text("a") == text)
    buffer = one.text("a") or ""
    other.put("a", text.replace("line 3\n", "line 3 of other\n"))
    await until(lambda: "of other" in (one.text("a") or ""))
    one.put("a", buffer.replace("line 15\n", "line 15 of one\n"))
    wanted = text.replace("line 3\n", "line 3 of other\n").replace("line 15\n", "line 15 of one\n")
    await until(lambda: one.text("a") == other.text("a") == desk.text("a") == wanted)
    one.put("a", text)  # to the letter what it was: brought back on purpose
    await until(lambda: one.text("a") == other.text("a") == desk.text("a") == text)


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
    assert not (other.root / "src/deep").exists()
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
@pytest.mark.parametrize(
    ("code", "whole_stream"),
    [("COLLABORATION_DISABLED", False), ("TOO_MANY_DOCUMENTS", False), ("INTERNAL_ERROR", True)],
)
async def test_a_refusal_for_now(two: Two, desk: Desk, code: str, whole_stream: bool) -> None:
    """What is refused for now is carried when it is not any more, and what came meanwhile too."""
    one, other = two
    one.put("a", "text\n")
    await until(lambda: other.text("a") == "text\n")
    await asyncio.gather(one.settled(), other.settled())
    desk.refuses_joins = code
    desk.refuse_all(code, whole_stream=whole_stream)
    one.put("a", "text\nof one\n")
    other.put("a", "of other\ntext\n")
    await until(lambda: all(any(t[0] is Told.FAILED for t in side.told) for side in two))
    desk.refuses_joins = ""
    wanted = "of other\ntext\nof one\n"
    await until(lambda: one.text("a") == other.text("a") == desk.text("a") == wanted)


async def test_a_list_that_is_refused_for_now(desk: Desk, tmp_path: Path) -> None:
    """A fault, or too much at once, ends nothing: the list is asked for again."""
    faults = [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED]
    desk.list_faults = list(faults)
    one = Side(desk, tmp_path / "one")
    await one.begin()
    desk.do(lambda: desk.list_faults.extend(faults))
    await until(lambda: not desk.list_faults)
    await one.client.documents.create("p", "a", "text\n")
    await until(lambda: one.text("a") == "text\n")
    assert await one.end()


@pytest.mark.parametrize(
    "status", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT]
)
async def test_once_ends_where_a_file_is_refused_for_good(
    desk: Desk, tmp_path: Path, status: grpc.StatusCode
) -> None:
    """What nobody takes is told once, and the others are carried; not everything is stored."""
    async with codestudio.AsyncClient(desk.url, token="t") as client:
        await client.documents.create("p", "b", "theirs\n")
    one = Side(desk, tmp_path / "one")
    one.put("a", "mine\n")
    desk.open_fault = status
    assert not await one.once()
    assert one.skipped() == ["a"]
    assert one.text("b") == "theirs\n"
    # Later, whoever changes the file has it tried again.
    one.told.clear()
    await one.begin()
    desk.open_fault = None
    one.put("a", "mine again\n")
    await until(lambda: "default/p/a" in desk.documents)
    assert one.skipped() == ["a"]
    assert await one.end()
    assert desk.text("a") == "mine again\n"


async def test_a_document_that_is_full(desk: Desk, tmp_path: Path) -> None:
    """An edit that makes it too large is told once, kept, and stored when there is room."""
    one = Side(desk, tmp_path / "one")
    await one.begin()
    one.put("a", "text\n")
    await until(lambda: "default/p/a" in desk.documents)
    await one.settled()
    desk.refuses_updates = "DOCUMENT_TOO_LARGE"
    one.put("a", "text\nmore\n")
    await until(lambda: one.skipped() == ["a"])
    await one.settled()
    assert not await one.end()
    assert one.skipped() == ["a"]
    desk.refuses_updates = ""
    await one.begin()
    await until(lambda: one.text("a") == desk.text("a") == "text\nmore\n")
    assert await one.end()


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


async def test_a_removal_holds_up_nobody(
    two: Two, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is not believed yet that a file is gone, others are carried."""
    monkeypatch.setattr("codestudio._folder.follower._DOUBTFUL", 2.5)
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
    await until(lambda: "default/p/a" not in desk.documents)
