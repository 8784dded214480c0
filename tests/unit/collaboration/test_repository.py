"""A project's repository: what Git itself makes of it, and what breaks it not."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pygit2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.collaboration import people, repository
from services.collaboration.entry import Author
from services.collaboration.repository import Moved, Next, NotText, Repository

ADA = Author("ada", "Ada Lovelace")
BOB = Author("bob@example.org", "Bob")
EVE = Author("auth0|5f7c<8>", "Eve <the third>, Jr.")


def by(*authors: Author) -> Callable[[Sequence[str]], Sequence[Author]]:
    """Have all of a commit written by these."""
    return lambda _: authors


def git(*arguments: str, where: Path | None = None) -> str:
    """Run Git itself."""
    environment = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *arguments], cwd=where, env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def race(repo: Repository, head: str, racers: int) -> list[str]:
    """Commit on one head in so many threads; give the commits that were made."""
    start, won = threading.Barrier(racers), []

    def commit(number: int) -> None:
        start.wait()
        with contextlib.suppress(Moved):
            won.append(repo.commit({"a": f"{head}{number}"}, by(ADA), parent=head).id)

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(racers)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return won


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "team" / "web.git"


@pytest.fixture
def repo(path: Path) -> Repository:
    return Repository(path)


def test_git_clones_what_was_committed(repo: Repository, path: Path, tmp_path: Path) -> None:
    """A plain `git clone` of the path has the texts, the author and the co-authors."""
    texts = {"README.md": "# Hæ 🙂\r\n", "src/deep/a.py": "", "src/b.py": "x = 1\n"}
    made = repo.commit(texts, by(ADA, BOB, EVE), parent="")
    assert (made.left_out, made.id) == ([], repo.head())
    git("clone", "-q", str(path), str(tmp_path / "clone"))
    for name, text in texts.items():
        assert (tmp_path / "clone" / name).read_bytes() == text.encode()
    shown = git(
        "log", "-1", "--format=%an|%ae|%(trailers:key=Co-authored-by,valueonly)", where=path
    )
    assert shown.strip().splitlines() == [
        "Ada Lovelace|ada@users.codestudio.invalid|Bob <bob@example.org>",
        "Eve  the third , Jr <auth0%7C5f7c%3C8%3E@users.codestudio.invalid>",
    ]
    assert git("fsck", "--strict", where=path) == ""


def test_who_wrote_is_read_again(repo: Repository) -> None:
    """Subjects come back exactly, the author first; names as Git can hold them."""
    made = repo.commit({"a": "1"}, by(EVE, ADA, BOB), parent="")
    found = repo.revision(made.id)
    assert found is not None
    assert [one.subject for one in found.authors] == [EVE.subject, ADA.subject, BOB.subject]
    assert [one.name for one in found.authors][1:] == [ADA.name, BOB.name]
    assert found.paths == ["a"]
    assert found.message.startswith("Edit a\n")


def test_unchanged_text_makes_no_commit(repo: Repository) -> None:
    """Nothing is committed twice; beside something new, it is not named as changed."""
    first = repo.commit({"a": "1", "b": "1"}, by(ADA), parent="")
    again = repo.commit({"a": "1", "b": "1"}, by(ADA), parent=first.id)
    assert (again.id, repo.head()) == ("", first.id)
    second = repo.commit({"a": "2", "b": "1"}, by(ADA), parent=first.id)
    found = repo.revision(second.id)
    assert found is not None
    assert found.paths == ["a"]
    asked: list[Sequence[str]] = []
    repo.commit({"a": "3", "b": "1"}, lambda paths: asked.append(paths) or [ADA], parent=second.id)
    assert asked == [["a"]]


def test_a_writer_that_was_held_up_cannot_move_the_branch(repo: Repository, path: Path) -> None:
    """Who collected texts before somebody else's commit is refused, also for the first one."""
    first = repo.commit({"a": "1"}, by(ADA), parent="")
    with pytest.raises(Moved):
        repo.commit({"a": "late"}, by(BOB), parent="")
    second = repo.commit({"a": "2"}, by(ADA), parent=first.id)
    with pytest.raises(Moved):
        repo.commit({"a": "old"}, by(BOB), parent=first.id)
    assert repo.head() == second.id
    assert git("show", "main:a", where=path) == "2"


def test_of_racers_each_round_has_one_winner(repo: Repository, path: Path) -> None:
    """Eight threads that start from one head make one commit on it; the branch is one line."""
    for _ in range(10):
        assert race(repo, repo.head(), 8) == [repo.head()]
    assert git("rev-list", "--count", "main", where=path).strip() == "10"
    git("fsck", "--strict", where=path)


def test_the_branch_moves_only_from_where_it_was_read(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also who is overtaken between reading the branch and moving it is refused."""
    first = repo.commit({"a": "1"}, by(ADA), parent="")
    overtaking = [lambda: repo.commit({"a": "2"}, by(BOB), parent=first.id)]
    read = repository._branch

    def overtaken(opened: pygit2.Repository) -> pygit2.Reference | None:
        reference = read(opened)
        # The first reading is of `_swap`, the one before the branch is moved.
        if overtaking:
            overtaking.pop()()
        return reference

    monkeypatch.setattr(repository, "_branch", overtaken)
    with pytest.raises(Moved):
        repo.commit({"a": "old"}, by(ADA), parent=first.id)
    assert repo.text(repo.head(), "a") == "2"


def test_a_lock_of_the_dead_is_taken_away(repo: Repository, path: Path) -> None:
    """A writer killed while it moved the branch stops nobody; a living one is waited for."""
    first = repo.commit({"a": "1"}, by(ADA), parent="")
    lock = path / "refs/heads/main.lock"
    lock.touch()
    with pytest.raises(OSError, match="lock"):
        repo.commit({"a": "2"}, by(ADA), parent=first.id)
    old = time.time() - 3600
    os.utime(lock, (old, old))
    assert repo.commit({"a": "2"}, by(ADA), parent=first.id).id == repo.head()


def test_what_a_killed_writer_left_is_no_harm(repo: Repository, path: Path) -> None:
    """Objects nobody refers to, and a repository half made beside its place, harm nothing."""
    path.parent.mkdir()
    (path.parent / f".{path.name}.0123").mkdir()
    first = repo.commit({"a": "1"}, by(ADA), parent="")
    opened = pygit2.Repository(str(path))
    opened.create_blob(b"nobody's")
    assert repo.commit({"a": "2"}, by(ADA), parent=first.id).id == repo.head()
    assert "dangling" in git("fsck", "--strict", where=path)


def test_a_file_and_a_folder_of_one_name(repo: Repository) -> None:
    """What cannot stand beside the others is left out and told; the others are committed."""
    first = repo.commit({"a": "file", "a/b": "in a folder", "c": "1"}, by(ADA), parent="")
    assert first.left_out == ["a/b"]
    second = repo.commit({"a/b": "again", "c/d/e": "x", "n": "1"}, by(ADA), parent=first.id)
    assert second.left_out == ["a/b", "c/d/e"]
    third = repo.commit({"d/e": "1"}, by(ADA), parent=second.id)
    assert repo.commit({"d": "no"}, by(ADA), parent=third.id).left_out == ["d"]
    assert [repo.text(repo.head(), name) for name in ("a", "c", "n", "d/e")] == [
        "file",
        "1",
        "1",
        "1",
    ]


def test_what_is_deleted_goes(repo: Repository, path: Path) -> None:
    """With its name free for what comes in its place, a folder for a file and the other way."""
    first = repo.commit({"a": "1", "d/e": "1", "d/f": "1", "g": "1"}, by(ADA), parent="")
    second = repo.commit({"a": None, "nowhere": None}, by(BOB), parent=first.id)
    found = repo.revision(second.id)
    assert found is not None
    assert (list(found.paths), found.message) == (["a"], "Delete a\n")
    assert repo.text(second.id, "a") is None
    third = repo.commit(
        {"d/e": None, "d/f": None, "d": "file", "g": None, "g/h": "in a folder"},
        by(BOB),
        parent=second.id,
    )
    assert third.left_out == []
    assert git("ls-tree", "-r", "--name-only", "main", where=path).split() == ["d", "g/h"]
    kept = repo.commit({"g": "no", "nowhere": None}, by(BOB), parent=third.id)
    assert (kept.id, kept.left_out) == ("", ["g"])
    assert repo.commit({"nowhere": None}, by(BOB), parent=third.id).id == ""


def test_names_git_has_for_itself(repo: Repository) -> None:
    """A path Git refuses is left out, whatever its disguise."""
    made = repo.commit({".git/config": "x", "GIT~1/hooks": "x", "fine": "x"}, by(ADA), parent="")
    assert made.left_out == [".git/config", "GIT~1/hooks"]


def test_revisions_newest_first_in_pages(repo: Repository) -> None:
    """Pages meet without a gap; a path's own revisions are only those that changed it."""
    head = ""
    for number in range(7):
        texts = {"all": f"{number}", **({"odd": f"{number}"} if number % 2 else {})}
        head = repo.commit(texts, by(ADA), parent=head).id
    everything, end = repo.revisions("", "", 100)
    assert (len(everything), end.start, everything[0].id) == (7, "", head)
    paged, start = [], ""
    while True:
        some, after = repo.revisions("", start, 2)
        start = after.start
        paged += some
        if not start:
            break
    assert paged == everything
    odd, _ = repo.revisions("odd", "", 100)
    assert [repo.text(one.id, "odd") for one in odd] == ["5", "3", "1"]
    assert repo.revisions("nowhere", "", 100) == ([], Next())


def test_a_page_ends_when_enough_was_looked_at(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that is rarely changed does not make one call walk for ever: pages may be empty."""
    monkeypatch.setattr(repository, "LOOKED_AT_MOST", 3)
    head = repo.commit({"rare": "1"}, by(ADA), parent="").id
    for number in range(5):
        head = repo.commit({"often": f"{number}"}, by(ADA), parent=head).id
    found, start, pages = [], "", 0
    while pages < 10:
        some, after = repo.revisions("rare", start, 10)
        start = after.start
        found += some
        pages += 1
        if not start:
            break
    assert (len(found), pages) == (1, 2)


def test_what_is_no_text(repo: Repository, path: Path, tmp_path: Path) -> None:
    """What somebody pushed goes on beside ours: merges, folders, and what is no text."""
    repo.commit({"a": "1", "folder/b": "1"}, by(ADA), parent="")
    clone = tmp_path / "clone"
    git("clone", "-q", str(path), str(clone))
    (clone / "picture").write_bytes(b"\xff\xfe\x00")
    (clone / "run.sh").write_text("#!/bin/sh\n")
    (clone / "run.sh").chmod(0o755)
    git("add", ".", where=clone)
    who = ("-c", "user.name=Kim", "-c", "user.email=kim@example.org")
    git(*who, "commit", "-qm", "By hand", where=clone)
    git("push", "-q", "origin", "main", where=clone)
    head = repo.head()
    found = repo.revision(head)
    assert found is not None
    assert found.authors == [Author("kim@example.org", "Kim")]
    with pytest.raises(NotText):
        repo.text(head, "picture")
    with pytest.raises(NotText):
        repo.text(head, "folder")
    repo.commit({"run.sh": "#!/bin/bash\n"}, by(ADA), parent=head)
    assert git("ls-tree", "main", "run.sh", where=path).startswith("100755")


def test_git_follows_a_rename(repo: Repository, path: Path) -> None:
    """A document deleted and one created with its text, committed together, are a rename to Git."""
    first = repo.commit({"a.py": "one\ntwo\nthree\n"}, by(ADA), parent="")
    both = {"a.py": None, "src/b.py": "one\ntwo\nthree\nfour\n"}
    renamed = repo.commit(both, by(ADA), parent=first.id)
    followed = git("log", "--follow", "--format=%H", "main", "--", "src/b.py", where=path)
    assert followed.split() == [renamed.id, first.id]


def test_nothing_there_yet(repo: Repository) -> None:
    """A project without a commit has no head, no revisions and no texts."""
    assert repo.head() == ""
    assert repo.revisions("", "", 10) == ([], Next())
    assert repo.revision("0" * 40) is None
    assert repo.text("0" * 40, "a") is None


NAMES = st.text(min_size=0, max_size=40)


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(who=st.lists(st.builds(Author, NAMES.filter(bool), NAMES), min_size=1, max_size=4))
@example(who=[Author("0", ""), Author("0", "\xa0")])
def test_any_author_can_be_written(
    tmp_path_factory: pytest.TempPathFactory, who: list[Author]
) -> None:
    """Whatever a token calls somebody, Git takes it, and the subject comes back."""
    repo = Repository(tmp_path_factory.mktemp("any") / "x.git")
    found = repo.revision(repo.commit({"a": "1"}, by(*who), parent="").id)
    assert found is not None
    assert [one.subject for one in found.authors] == [one.subject for one in who]
    assert all(one.name for one in found.authors)
    assert people.UNKNOWN.name


def followed(repo: Repository, path: str, size: int = 100) -> list[tuple[str, str]]:
    """Follow a path, page by page; gives ids and the paths it had."""
    found, after = repo.revisions(path, "", size, follow=True)
    while after.start:
        more, after = repo.revisions(after.path, after.start, size, follow=True)
        found += more
    return [(one.id, one.path) for one in found]


def as_git_follows(path: str, where: Path) -> list[tuple[str, str]]:
    """Have Git itself follow a path."""
    log = git("log", "--follow", "--format=%H", "--name-only", "main", "--", path, where=where)
    words = [line for line in log.splitlines() if line]
    return list(zip(words[::2], words[1::2], strict=True))


LINES = [f"line {number}\n" for number in range(20)]
TEXT = "".join(LINES)
OTHER = "".join(f"{number * 7919} is something else\n" for number in range(20))
RENAMED = [
    pytest.param([{"a": TEXT}, {"a": None, "b": TEXT}], id="as it was"),
    pytest.param(
        [{"a": TEXT}, {"a": "0\n" + TEXT}, {"a": None, "d/b": TEXT + "x\n"}, {"d/b": "1\n" + TEXT}],
        id="edited",
    ),
    pytest.param([{"a": TEXT}, {"a": None, "c": TEXT}, {"c": None, "b": TEXT}], id="twice"),
    pytest.param([{"a": TEXT}, {"a": None, "b": OTHER}], id="another text"),
    pytest.param([{"a": TEXT}, {"a": None}, {"b": TEXT}], id="in two commits"),
    pytest.param([{"a": TEXT}, {"a": None, "b": "".join(LINES[:12]) + OTHER[:60]}], id="half"),
    pytest.param(
        [{"a": TEXT, "c": OTHER}, {"a": None, "c": None, "x": TEXT + "1\n", "b": TEXT + "2\n"}],
        id="one becomes two",
    ),
    pytest.param(
        [{"b": OTHER, "a": TEXT}, {"b": None}, {"a": None, "b": TEXT}, {"b": None}],
        id="to a path that another had, and deleted",
    ),
    pytest.param([{"e": TEXT}, {"e": None, "e/f": TEXT}, {"e/f": None, "b": TEXT}], id="a folder"),
    pytest.param([{"b/f": TEXT}, {"b/f": None, "b": TEXT}], id="out of a folder"),
]


@pytest.mark.parametrize("commits", RENAMED)
def test_renames_are_followed_as_git_follows_them(
    repo: Repository, path: Path, commits: list[dict[str, str | None]]
) -> None:
    """The same commits, with the same paths, as `git log --follow`; on pages of any size."""
    head = ""
    for texts in commits:
        head = repo.commit(texts, by(ADA), parent=head).id
    for of in ("a", "b", "c", "d/b", "e/f"):
        expected = as_git_follows(of, path)
        assert followed(repo, of) == followed(repo, of, 1) == expected
        plain, _ = repo.revisions(of, "", 100)
        assert [one.path for one in plain] == [""] * len(plain)


def test_a_copy_begins_where_it_was_made(repo: Repository) -> None:
    """What stays is another document, with a history of its own, however alike they are."""
    first = repo.commit({"a": TEXT}, by(ADA), parent="")
    second = repo.commit({"b": TEXT}, by(ADA), parent=first.id)
    assert followed(repo, "b") == [(second.id, "b")]
    assert followed(repo, "a") == [(first.id, "a")]


def test_a_plain_listing_compares_no_files(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who asks for it pays for finding what a file was before."""
    first = repo.commit({"a": TEXT}, by(ADA), parent="")
    repo.commit({"a": None, "b": TEXT}, by(ADA), parent=first.id)
    monkeypatch.delattr(repository, "_renamed_from")
    assert len(repo.revisions("b", "", 100)[0]) == 1
    with pytest.raises(NameError):
        repo.revisions("b", "", 100, follow=True)


def test_a_name_that_is_no_text_is_nobodys_former_path(
    repo: Repository, path: Path, tmp_path: Path
) -> None:
    """Somebody pushed such a file and took it away: revisions are listed, and renames followed."""
    first = repo.commit({"a": TEXT}, by(ADA), parent="")
    clone = tmp_path / "clone"
    git("clone", "-q", str(path), str(clone))
    strange = Path(os.fsdecode(bytes(clone) + b"/\xff"))
    strange.write_text(OTHER)
    me = ("-c", "user.name=Eve", "-c", "user.email=eve@example.org")
    git("add", "-A", where=clone)
    git(*me, "commit", "-qm", "strange", where=clone)
    strange.unlink()
    (clone / "a").rename(clone / "b")
    git("add", "-A", where=clone)
    git(*me, "commit", "-qm", "renamed", where=clone)
    git("push", "-q", "origin", "HEAD:main", where=clone)
    assert followed(repo, "b") == [(repo.head(), "b"), (first.id, "a")]
    assert [list(one.paths) for one in repo.revisions("", "", 2)[0]] == [["a", "b", "�"], ["�"]]
