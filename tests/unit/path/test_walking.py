"""A workspace page by page: complete, in order, stable, and no more work than the page."""

import os
import shutil
import subprocess
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.path.filesystem import Kind
from services.path.ignore import Rules
from services.path.local import beneath, walking
from services.path.local.workers import AbandonedError
from tests.unit.path.conftest import ID, Disk, make, open_files
from tests.unit.path.test_names import NAMES

_TREES = st.recursive(
    st.none(),
    lambda inner: st.dictionaries(
        st.sampled_from([b"a", b"a-b", b"a.b", b"b", b"ab", b"A", b"\xff", b"a\n"])
        | NAMES.filter(lambda name: name not in (b".", b"..", b".git", b".gitignore")),
        inner,
        max_size=4,
    ),
    max_leaves=15,
).filter(lambda tree: tree is not None)


def _write(place: bytes, tree: dict[bytes, object]) -> list[tuple[bytes, ...]]:
    """Make a tree; gives its paths in the order the contract promises."""
    found: list[tuple[bytes, ...]] = []
    for name, inner in sorted(tree.items()):
        found.append((name,))
        if isinstance(inner, dict):
            os.mkdir(place + b"/" + name)  # noqa: PTH102 - bytes
            found += [(name, *each) for each in _write(place + b"/" + name, inner)]
        else:
            os.close(os.open(place + b"/" + name, os.O_CREAT | os.O_WRONLY))
    return found


@settings(max_examples=100)
@given(tree=_TREES, limit=st.integers(1, 6))
def test_complete_and_in_order(tree: dict[bytes, object], limit: int) -> None:
    """Whatever the names and the size of pages: everything once, depth first, in byte order."""
    with tempfile.TemporaryDirectory() as directory:
        disk = make(Path(directory))
        expected = _write(os.fsencode(disk.workspace), tree)
        assert [each.path for each in disk.walk(limit=limit)] == expected


@settings(max_examples=60)
@given(tree=_TREES, data=st.data(), limit=st.integers(1, 3))
def test_stable_while_it_changes(
    tree: dict[bytes, object], data: st.DataObject, limit: int
) -> None:
    """What is there all the time is given once, whatever comes and goes between pages."""
    with tempfile.TemporaryDirectory() as directory:
        disk = make(Path(directory))
        paths = _write(os.fsencode(disk.workspace), tree)
        lasting = set(paths)
        found: list[tuple[bytes, ...]] = []
        after = None
        while True:
            page = disk.page(limit=limit, after=after)
            found += [each.path for each in page.entries]
            after = page.resume
            if after is None:
                break
            if lasting and data.draw(st.booleans()):
                gone = data.draw(st.sampled_from(sorted(lasting)))
                place = os.fsencode(disk.workspace) + b"/" + b"/".join(gone)
                shutil.rmtree(place) if os.path.isdir(place) else os.unlink(place)  # noqa: PTH108, PTH112
                lasting -= {each for each in lasting if each[: len(gone)] == gone}
            if data.draw(st.booleans()):
                (disk.workspace / data.draw(st.sampled_from(["a0", "zz", "!"]))).touch()
        assert len(found) == len(set(found))
        assert lasting <= set(found)
        assert found == sorted(found)


def test_a_namesake_of_what_is_gone_is_given(disk: Disk) -> None:
    """Where the page before ended is removed; what is called the same, further up, still comes."""
    (disk.workspace / "a").mkdir()
    for path in ("a/b", "b"):
        (disk.workspace / path).touch()
    page = disk.page(limit=2)
    assert page.resume == (b"a", b"b")
    (disk.workspace / "a" / "b").unlink()
    assert [each.path for each in disk.page(after=page.resume).entries] == [(b"b",)]


def test_what_vanishes_hides_nothing(disk: Disk) -> None:
    """Names that were read and are gone when looked at make room for others on the same page."""
    for number in range(10):
        (disk.workspace / str(number)).touch()
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 4:
            for number in range(1, 6):
                (disk.workspace / str(number)).unlink()

    listing = walking.Listing((), 0, Rules.parse(b""), False, 5)
    with beneath.root(disk.instances, ID) as root:
        page = walking.Walk(root, b"workspace", listing, until=float("inf"), check=check).page()
    assert [each.path for each in page.entries] == [(b"0",), (b"1",), (b"6",), (b"7",), (b"8",)]
    assert page.resume == (b"8",)


def test_depth_and_where_to_begin(disk: Disk) -> None:
    """Depth counts levels below where it begins."""
    for path in ("a/b/c/d", "x"):
        (disk.workspace / path).mkdir(parents=True)
    assert disk.listed(depth=1) == ["a/", "x/"]
    assert disk.listed(depth=2) == ["a/", "a/b/", "x/"]
    assert disk.listed(path=(b"a",), depth=1) == ["a/b/"]
    assert disk.listed(path=(b"a", b"b"), limit=1) == ["a/b/c/", "a/b/c/d/"]


def test_ignore_files_at_every_level(disk: Disk) -> None:
    """Inner files speak before outer ones; what begins further down hears those above."""
    for path in ("src/gen", "src/lib/node_modules/x", ".git/objects", "logs"):
        (disk.workspace / path).mkdir(parents=True)
    for path in ("a.log", "src/b.log", "src/keep.log", "src/gen/c.py", "src/lib/d.py"):
        (disk.workspace / path).touch()
    (disk.workspace / ".gitignore").write_text("*.log\nnode_modules/\n/logs/\nsrc/gen/*\n")
    (disk.workspace / "src" / ".gitignore").write_text("!keep.log\n")
    shown = [
        ".gitignore", "src/", "src/.gitignore", "src/gen/", "src/keep.log", "src/lib/",
        "src/lib/d.py",
    ]  # fmt: skip
    assert disk.listed() == shown
    assert disk.listed(limit=1) == shown
    assert disk.listed(path=(b"src", b"gen")) == []
    assert disk.listed(path=(b"src", b"lib")) == ["src/lib/d.py"]
    assert disk.listed(path=(b"src",), ignore=Rules.parse(b"/lib\n.gitignore")) == [
        "src/gen/", "src/keep.log",
    ]  # fmt: skip
    everything = disk.listed(include_ignored=True)
    assert {".git/", ".git/objects/", "a.log", "src/lib/node_modules/x/"} <= set(everything)
    assert disk.listed(include_ignored=True, ignore=Rules.parse(b"/*\n!/logs")) == ["logs/"]


def test_a_linked_ignore_file_is_none(disk: Disk) -> None:
    """A .gitignore that is a link has no effect, as for Git: it could tell what a file says."""
    (disk.outside / "rules").write_text("*\n")
    (disk.workspace / ".gitignore").symlink_to(disk.outside / "rules")
    (disk.workspace / "x").touch()
    assert disk.listed() == [".gitignore", "x"]


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no Git to compare with")
@settings(max_examples=60)
@given(
    tree=_TREES,
    rules=st.lists(
        st.tuples(
            st.sampled_from([b"", b"a/", b"b/"]),
            st.lists(
                st.sampled_from([b"a", b"*", b"!a*", b"b/", b"/a", b"a/*", b"!a/b", b"**/b", b"?"]),
                min_size=1,
                max_size=3,
            ),
        ),
        max_size=3,
    ),
)
def test_git_lists_the_same(
    tree: dict[bytes, object], rules: list[tuple[bytes, list[bytes]]]
) -> None:
    """In any tree with any rules, Git's untracked files are our files."""
    with tempfile.TemporaryDirectory() as directory:
        disk = make(Path(directory))
        place = os.fsencode(disk.workspace)
        _write(place, tree)
        for folder, patterns in rules:
            if os.path.isdir(place + b"/" + folder):  # noqa: PTH112 - bytes
                Path(os.fsdecode(place + b"/" + folder + b".gitignore")).write_bytes(
                    b"\n".join(patterns)
                )
        subprocess.run(["git", "init", "-q", disk.workspace], check=True)
        done = subprocess.run(
            ["git", "-C", disk.workspace, "-c", "core.excludesFile=", "ls-files", "-o", "-z",
             "--exclude-per-directory=.gitignore"],
            capture_output=True,
            check=True,
        )  # fmt: skip
        ours = {b"/".join(each.path) for each in disk.walk() if each.kind is Kind.FILE}
        assert ours == {path for path in done.stdout.split(b"\0") if path}


def test_sizes_times_and_links(disk: Disk) -> None:
    """Each entry says what it is."""
    (disk.workspace / "file").write_bytes(b"12345")
    os.utime(disk.workspace / "file", ns=(0, 1_700_000_000_123_456_789))
    (disk.workspace / "link").symlink_to("file")
    (disk.workspace / "folder").mkdir()
    file, folder, link = disk.walk()
    assert (file.kind, file.size, file.modified_ns) == (Kind.FILE, 5, 1_700_000_000_123_456_789)
    assert (folder.kind, folder.size) == (Kind.DIRECTORY, 0)
    assert (link.kind, link.link_target, link.link_outside) == (Kind.SYMLINK, b"file", False)


def test_what_cannot_be_read_is_told(common_disk: Disk) -> None:
    """A directory that is closed to us is shown, and said to be so; the rest goes on."""
    (common_disk.workspace / "closed").mkdir(mode=0o000)
    (common_disk.workspace / "open").mkdir()
    closed, opened = common_disk.walk(limit=1)
    assert (closed.path, closed.unreadable) == ((b"closed",), True)
    assert (opened.path, opened.unreadable) == ((b"open",), False)


@pytest.fixture
def deep_disk(disk: Disk) -> Iterator[Disk]:
    """Give a tree that pytest, which removes directories by recursion, could not remove."""
    here = os.open(disk.workspace, os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("d", dir_fd=here)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    yield disk
    subprocess.run(["rm", "-rf", disk.workspace], check=True)


def test_a_tree_of_any_depth(deep_disk: Disk) -> None:
    """Few files are open at once, however deep a tree is; what nobody can name is told of."""
    before, most, steps = open_files(), 0, 0

    def check() -> None:
        nonlocal most, steps
        steps += 1
        if steps % 50 == 0:
            most = max(most, open_files())

    after, count, last = None, 0, None
    while True:
        listing = walking.Listing((), 0, Rules.parse(b""), False, 5000, after)
        with beneath.root(deep_disk.instances, ID) as root:
            page = walking.Walk(root, b"workspace", listing, until=float("inf"), check=check).page()
        count += len(page.entries)
        last = [each for each in page.entries if each.unreadable] or last
        after = page.resume
        if after is None:
            break
    assert most - before < 60
    assert last is not None
    assert len(last[0].path) == 2048
    assert count == 2 * 2048


def test_memory_is_the_page_s(disk: Disk) -> None:
    """A page out of one directory of 20,000 files takes the memory of the page."""
    for number in range(20_000):
        (disk.workspace / f"a file with a name of some length {number:05d}").touch()
    tracemalloc.start()
    try:
        page = disk.page(limit=100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(page.entries) == 100
    # The names alone would be 2 MB.
    assert peak < 500_000


def test_a_page_fits_a_message(disk: Disk) -> None:
    """Whatever the names, a page stays below what gRPC clients take; nothing is lost by it."""
    here = disk.workspace
    for letter in "abcdefghijklmn":
        here /= letter * 250
        here.mkdir()
    for number in range(1000):
        (here / (f"{number:03d}" + "\x01" * 240)).touch()
    pages, after, found = 0, None, 0
    while True:
        page = disk.page(limit=10_000, after=after)
        pages += 1
        found += len(page.entries)
        assert sum(len(b"/".join(each.path)) for each in page.entries) < 3.2 * 1024**2
        after = page.resume
        if after is None:
            break
    assert found == 1014
    assert 1 < pages < 4


def test_a_page_ends_in_time(disk: Disk) -> None:
    """When time is up a page is given as it is; the next goes on behind it, to the end."""
    for number in range(5):
        (disk.workspace / str(number)).touch()
    after, found, pages = None, [], 0
    while True:
        listing = walking.Listing((), 0, Rules.parse(b"1\n2"), False, 100, after)
        with beneath.root(disk.instances, ID) as root:
            page = walking.Walk(root, b"workspace", listing, until=0, check=lambda: None).page()
        found += [each.path for each in page.entries]
        pages += 1
        after = page.resume
        if after is None:
            break
    assert found == [(b"0",), (b"3",), (b"4",)]
    assert pages >= 3


def test_a_walk_nobody_waits_for_ends(disk: Disk) -> None:
    """A walk that was given up ends at once."""
    for number in range(20):
        (disk.workspace / str(number)).touch()
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 5:
            raise AbandonedError

    listing = walking.Listing((), 0, Rules.parse(b""), False, 100)
    with pytest.raises(AbandonedError), beneath.root(disk.instances, ID) as root:
        walking.Walk(root, b"workspace", listing, until=float("inf"), check=check).page()
    assert checks == 5
