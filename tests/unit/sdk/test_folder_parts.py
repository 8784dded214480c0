"""What a folder that follows a project is made of: rules, files, records, origins."""

import errno
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import codestudio
import pytest
from codestudio._folder import refusals
from codestudio._folder.files import Files, Found
from codestudio._folder.folder import Folder, Project
from codestudio._folder.origin import History, remembered
from codestudio._folder.records import Former, Record, Records
from codestudio._folder.rules import Rules, path_problem


def put(root: Path, **texts: str) -> None:
    """Make files; a dot in a name is written as two underscores."""
    for name, text in texts.items():
        (root / name.replace("__", ".")).write_text(text)


def test_gitignore_as_git_reads_it(tmp_path: Path) -> None:
    """The nearest file decides; what is in an ignored folder is ignored; ! brings back."""
    for folder in ("build", "src/build", "src/keep", ".git", "sub/.git"):
        (tmp_path / folder).mkdir(parents=True)
    put(tmp_path, __gitignore="*.log\nbuild/\n!keep.log\n/top\n")
    put(tmp_path / "src", __gitignore="*.tmp\n!b.log\n")
    for name in (
        "a.py",
        "a.log",
        "keep.log",
        "top",
        "build/x",
        "src/build/keep.log",
        "src/top",
        "src/b.log",
        "src/c.log",
        "src/d.tmp",
        "src/keep/e",
        ".git/config",
        "sub/.git/config",
        "a.py~",
        ".a.py.swp",
    ):
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "links").symlink_to("/etc")
    links: list[str] = []
    found = sorted(Rules(tmp_path, ["e"]).walk(links.append))
    carried = [".gitignore", "a.py", "keep.log", "src/.gitignore", "src/b.log", "src/top"]
    assert found == carried
    assert sorted(links) == ["link", "links"]
    rules = Rules(tmp_path, ["e"])
    assert not any(rules.ignored(path) for path in found)
    assert rules.ignored("src/build/keep.log")
    assert rules.ignored("x/.git/config")


def test_paths_no_document_has() -> None:
    """A name that the contract has no place for is said to have none."""
    assert path_problem("a/b c/é🙂.py") == ""
    for path in ("a\\b", "a\nb", "x" * 1025, "a\udc80"):
        assert path_problem(path) != ""


@pytest.mark.parametrize(
    "path", ["sub/../../evil", "../evil", "..", "/evil", "a//b", "a/", "./a", "a/.", "", "a\0b"]
)
def test_no_path_leads_outside(tmp_path: Path, path: str) -> None:
    """Whatever a gateway says a document is called, nothing is touched outside the folder."""
    assert path_problem(path) != ""
    root = tmp_path / "root"
    root.mkdir()
    assert Rules(root).ignored(path)
    files = Files(root)
    for work in (
        lambda: files.replace(path, "x", None),
        lambda: files.remove(path, "x"),
        lambda: files.set_aside(path, "x", under="conflicts"),
    ):
        with pytest.raises(OSError, match="leads out"):
            work()
    assert "leads out" in files.read(path).problem
    assert list(tmp_path.iterdir()) == [root]
    assert [entry.name for entry in root.iterdir()] == [".codestudio-sync"]


@pytest.mark.parametrize("name", [".codestudio-sync", ".CodeStudio-Sync", ".git", ".GIT"])
def test_own_folder_in_any_case(tmp_path: Path, name: str) -> None:
    """Where a file system does not tell cases apart, our folder is ours in any of them."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "lock").write_text("x")
    rules = Rules(tmp_path)
    assert rules.ignored(f"{name}/lock")
    assert rules.ignored(f"sub/{name}/lock")
    assert list(rules.walk()) == []


def replaced(files: Files, path: str, text: str, expected: str | None) -> str:
    """Replace a file whose text is not needed any more; gives that."""
    found = files.replace(path, text, expected)
    assert isinstance(found, Found)
    found.kept.unlink()
    return found.text


def test_what_was_replaced_is_kept_until_it_is_dealt_with(tmp_path: Path) -> None:
    """A run that ends before it knows what to do with a text leaves it to the next."""
    files = Files(tmp_path)
    put(tmp_path, a="what an editor saved")
    found = files.replace("a", "from others", None)
    assert isinstance(found, Found)
    assert list(Files(tmp_path).left_behind()) == [(found.kept, "what an editor saved")]
    kept = files.set_aside("a", found.kept, under="conflicts")
    assert kept.read_text() == found.text
    assert list(files.left_behind()) == []


def test_a_file_is_exchanged(tmp_path: Path) -> None:
    """What stood in its place comes out, mode and owner stay, and nothing is left behind."""
    files = Files(tmp_path)
    put(tmp_path, a="x")
    (tmp_path / "a").chmod(0o751)
    assert replaced(files, "a", "new", "x") == "x"
    assert replaced(files, "a", "newer\r\n", "not this") == "new"
    assert (tmp_path / "a").read_bytes() == b"newer\r\n"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o751
    assert files.replace("deep/er/b", "b", None) is None
    assert replaced(files, "deep/er/b", "c", None) == "b"
    assert not files.remove("deep/er/b", "b")
    assert files.read("deep/er/b").text == "c"
    assert files.remove("deep/er/b", "c")
    assert not (tmp_path / "deep").exists()
    assert list(files.left_behind()) == []


def test_an_editor_in_the_middle_of_a_write(tmp_path: Path) -> None:
    """An editor that has just emptied the file to write it anew is waited for, and lost nothing."""
    files = Files(tmp_path)
    put(tmp_path, a="x")
    with (tmp_path / "a").open("w") as editor:

        def write() -> None:
            time.sleep(0.1)
            editor.write("what the editor wrote")
            editor.flush()

        writing = threading.Thread(target=write)
        writing.start()
        assert replaced(files, "a", "from others", "x") == "what the editor wrote"
        writing.join()
    assert files.read("a").text == "from others"


@pytest.mark.parametrize("expected", ["x", None])
def test_no_text_in_the_last_moment(tmp_path: Path, expected: str | None) -> None:
    """A file that is no text when it is replaced is not thrown away: it is kept as it is."""
    files = Files(tmp_path)
    (tmp_path / "a").write_bytes(b"\x89PNG\0\xff")
    kept = files.replace("a", "from others", expected)
    assert isinstance(kept, Path)
    assert kept.parent == tmp_path / ".codestudio-sync/conflicts"
    assert kept.read_bytes() == b"\x89PNG\0\xff"
    assert files.read("a").text == "from others"
    assert list(files.left_behind()) == []


@pytest.fixture
def little_space() -> Iterator[None]:
    """Let no file grow beyond 64 KiB: writing fails in the middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("little_space")
def test_a_full_disk_is_not_filled_further(tmp_path: Path) -> None:
    """What cannot be written whole leaves nothing behind, however often it is tried."""
    files = Files(tmp_path)
    put(tmp_path, a="x")
    for _ in range(3):
        with pytest.raises(OSError, match="File too large"):
            files.replace("a", "x" * 100_000, "x")
        with pytest.raises(OSError, match="File too large"):
            files.set_aside("a", "x" * 100_000, under="conflicts")
    assert files.read("a").text == "x"
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [tmp_path / "a"]


def test_two_conflicts_within_a_second(tmp_path: Path) -> None:
    """What is set aside never takes the place of what was set aside before."""
    files = Files(tmp_path)
    kept = [files.set_aside("sub/a", f"text {n}", under="conflicts") for n in range(20)]
    assert [each.read_text() for each in kept] == [f"text {n}" for n in range(20)]


async def test_what_a_killed_run_left(tmp_path: Path) -> None:
    """Text or not, what was in the hands of a run that was killed is kept; nothing is not."""
    folder = Folder(tmp_path, cast("Project", None), tell=lambda *_: None)
    passing = tmp_path / ".codestudio-sync/passing"
    left = {"1": b"\x89PNG\0\xff", "2": "é\r\n".encode(), "3": b""}
    for name, data in left.items():
        (passing / name).write_bytes(data)
    await folder._rescue()
    assert list(passing.iterdir()) == []
    kept = sorted((tmp_path / ".codestudio-sync/left").iterdir())
    assert [each.read_bytes() for each in kept] == [left["1"], left["2"]]


def test_two_writers_at_once(tmp_path: Path) -> None:
    """What an editor saves between our look and our write comes out: it is not overwritten."""
    files = Files(tmp_path)
    put(tmp_path, a="0")
    found: list[object] = []

    def edit() -> None:
        for number in range(300):
            temporary = tmp_path / "new~"
            temporary.write_text(f"editor {number}")
            temporary.rename(tmp_path / "a")

    editing = threading.Thread(target=edit)
    editing.start()
    while editing.is_alive():
        found.append(replaced(files, "a", "ours", "ours"))
    editing.join()
    saved = {f"editor {number}" for number in range(300)}
    assert saved & set(found)
    assert set(found) <= saved | {"ours", "0"}


@pytest.mark.parametrize("way", ["file", "folder"])
def test_links_lead_nowhere(tmp_path: Path, way: str) -> None:
    """Nothing is read, written or removed through a link, whenever it was made."""
    outside = tmp_path / "outside"
    outside.mkdir()
    put(outside, secret="secret")
    root = tmp_path / "root"
    files = Files(root)
    if way == "file":
        (root / "a").symlink_to(outside / "secret")
        path = "a"
    else:
        (root / "a").symlink_to(outside)
        path = "a/secret"
    assert files.read(path).text is None
    assert "link" in files.read(path).problem
    for expected in ("secret", None):
        with pytest.raises(OSError, match=r"link|in the way"):
            files.replace(path, "x", expected)
    if way == "folder":
        with pytest.raises(OSError, match="link"):
            files.remove(path, "secret")
    assert (outside / "secret").read_text() == "secret"


def test_what_is_no_text(tmp_path: Path) -> None:
    """Binary, other encodings, large files and what is no file are told apart from nothing."""
    files = Files(tmp_path, max_bytes=10)
    (tmp_path / "binary").write_bytes(b"a\0")
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    (tmp_path / "large").write_text("x" * 11)
    (tmp_path / "fits").write_text("x" * 10)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/b").write_text("b")
    os.mkfifo(tmp_path / "pipe")
    for name in ("binary", "latin", "large", "pipe"):
        assert files.read(name).text is None
        assert files.read(name).problem, name
    assert files.read("fits").text == "x" * 10
    assert files.read("none") == (None, "", True)
    # A folder is no file: one that had its name is gone.
    assert files.read("folder") == (None, "", True)
    assert not files.remove("folder", "b")
    assert files.read("folder/b").text == "b"
    assert files.read("fits/none") == (None, "", True)


def test_records(tmp_path: Path) -> None:
    """What is remembered comes back whole, or, once damaged, not at all."""
    records = Records(tmp_path)
    records.open({"project": "p"})
    kept = [
        Record("a/é", "e1", b"\x00\n\xff", "base 🙂\n"),
        Record("b", "e2", b"", None),
        Record("c", "e3", b"x", ""),
        Record("d", "e4", b"x\n", "base\n", "base\n"),
        Record("e", "e5", b"x\n", "base\n", "é of\nbefore\n"),
        Record("f", "e6", b"x\n", None, ""),
        Record("g", "e7", b"x\n", "base\n", None, (Former(0.5, "é of\nold\n"), Former(1.5, ""))),
    ]
    for each in kept:
        records.put(each)
    assert sorted(records.all()) == sorted(kept, key=lambda each: each.path)
    records.drop("b")
    records.drop("b")
    victim = next(file for file in (tmp_path / ".codestudio-sync/documents").iterdir())
    victim.write_bytes(victim.read_bytes()[:-1])
    assert len(list(records.all())) == len(kept) - 2
    with pytest.raises(codestudio.FailedPrecondition, match="another codestudio sync"):
        Records(tmp_path).open({"project": "p"})
    records.close()
    with pytest.raises(codestudio.FailedPrecondition, match="follows project"):
        Records(tmp_path).open({"project": "q"})
    Records(tmp_path).open({"project": "p"})


def test_from_which_text_a_save_was_made() -> None:
    """An editor's old buffer is known for one; what is brought back to the letter is meant so."""
    history = History()
    old, current = "one\ntwo\nthree\n", "one\n2 of others\nthree\n"
    history.replaced(old)
    assert history.origin_of("one\ntwo\nthree!\n", current) == old
    assert history.origin_of("one\n2 of others\nthree!\n", current) == current
    assert history.origin_of(old, current) == current
    assert History().origin_of("anything", current) == current


def test_the_next_run_is_told_from_which_texts_a_save_may_be_made() -> None:
    """The newest, of some size in all; what is older than a quarter of an hour is nobody's."""
    history = History([Former(time.time() - 1000, "long ago")])
    for text in ("x" * 100_000, "a" * 20_000, "b" * 100_000):
        history.replaced(text)
    told = history.to_remember()
    assert [one.text[:1] for one in told] == ["a", "b"]
    current = "b" * 50_000
    assert History(told).origin_of("a" * 20_001, current) == "a" * 20_000
    aged = [one._replace(until=one.until - 1000) for one in told]
    assert History(aged).origin_of("a" * 20_001, current) == current
    assert History(aged).to_remember() == ()


@pytest.mark.parametrize(
    ("disk", "base", "state", "expected"),
    [
        ("old", "old", "new", "old"),  # killed before the file was written
        ("new", "old", "new", "new"),  # killed after it
        (None, "old", "new", "old"),  # removed since
        (None, None, "new", None),  # never written
        ("one two three four!", "one two three four", "1 2 3 4", "one two three four"),
        ("1 2 3 4!", "one two three four", "1 2 3 4", "1 2 3 4"),
    ],
)
def test_where_a_run_was_killed(
    disk: str | None, base: str | None, state: str, expected: str | None
) -> None:
    """What a run that was killed had done to the file is told from the file."""
    assert remembered(disk, Record("a", "e", b"", base), state) == expected


@pytest.mark.parametrize(
    ("error", "pause", "expected"),
    [
        (codestudio.Unavailable("x"), 2.0, (False, 2.0)),
        (codestudio.DeadlineExceeded("x"), 4.0, (False, 4.0)),
        (codestudio.FailedPrecondition("x", code="COLLABORATION_DISABLED"), 1.0, (False, 1.0)),
        (codestudio.ResourceExhausted("x", code="TOO_MANY_DOCUMENTS"), 8.0, (False, 8.0)),
        (codestudio.ResourceExhausted("x", code="DOCUMENT_TOO_LARGE"), 1.0, (True, 300.0)),
        (codestudio.PermissionDenied("x", code="READ_ONLY"), 1.0, (True, 300.0)),
        (codestudio.InvalidArgument("x"), 1.0, (True, 300.0)),
        (OSError(errno.ENOSPC, "x"), 8.0, (False, 8.0)),
        (NotADirectoryError(errno.ENOTDIR, "x"), 2.0, (False, 2.0)),
        (NotADirectoryError(errno.ENOTDIR, "x"), 4.0, (True, 30.0)),
    ],
)
def test_what_an_error_calls_for(
    error: Exception, pause: float, expected: tuple[bool, float]
) -> None:
    """What may pass is tried again soon; what somebody has to mend is told once."""
    assert refusals.judge(error, pause) == expected
