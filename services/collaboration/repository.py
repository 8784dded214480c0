"""One project's Git repository: bare, one branch, and only ever added to.

Everything here blocks and is for threads. Each call opens the repository anew: that costs little,
and Git's objects are not to be shared between threads.

The branch moves by compare and swap from the commit that was its head *before* the texts were
collected. A writer who was held up in between, and has lost its lease meanwhile, cannot put old
texts over new ones: it is told `Moved`. A crash leaves objects that nothing refers to, or a lock
on the branch, which the next writer takes away once it is too old to be anybody's.
"""

import contextlib
import dataclasses
import datetime
import itertools
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path

import pygit2
from pygit2.enums import DeltaStatus, DiffFind, DiffOption, FileMode

from services.collaboration import people
from services.collaboration.entry import Author

BRANCH = "main"

PATHS_MOST = 1000
"""Paths a revision names at most; only a commit pushed from outside changes more."""
LOOKED_AT_MOST = 20_000
"""Commits looked at for one page: about a second's work; the page then ends early."""
_LISTED = 50
"""Paths a commit's message lists at most."""
_ALIKE = 50
"""Percent of a renamed file that is as it was, at least: what Git itself takes."""
_LOCK_SECONDS = 60.0
"""Age past which a lock on the branch belongs to nobody: moving it takes a moment."""

_REFERENCE = f"refs/heads/{BRANCH}"
_COMMITTER = ("CodeStudio", "collaboration-service@services.codestudio.invalid")

# What is committed is still there after a power cut.
pygit2.settings.enable_fsync_gitdir(True)


class Moved(Exception):  # noqa: N818 - it is what happened
    """The branch is not where it was: somebody else has committed."""


class NotText(Exception):  # noqa: N818
    """What is stored at a path is no text."""


@dataclasses.dataclass(frozen=True, slots=True)
class Revision:
    """One commit."""

    id: str
    """Its id, 40 hexadecimal digits."""
    authors: Sequence[Author]
    """Who wrote it: the author, then the co-authors."""
    message: str
    """What it says of itself."""
    time: datetime.datetime
    """When it was committed."""
    paths: Sequence[str]
    """Paths it changed."""
    path: str = ""
    """Path the document had then; only where renames are followed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Next:
    """Where a listing goes on."""

    start: str = ""
    """Id of the commit; empty at the end."""
    path: str = ""
    """Path the document had there."""


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """What became of texts to commit."""

    id: str
    """The commit; empty where nothing had changed."""
    left_out: Sequence[str]
    """Paths that cannot be in the repository beside the others, or at all."""


class Repository:
    """A repository at a path of the file system."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def head(self) -> str:
        """Return the id of the newest commit; empty if there is none yet."""
        repository = self._open()
        reference = None if repository is None else _branch(repository)
        return "" if reference is None else str(reference.target)

    def commit(
        self,
        texts: Mapping[str, str | None],
        authors: Callable[[Sequence[str]], Sequence[Author]],
        *,
        parent: str,
    ) -> Made:
        """Commit texts by path: those that changed; nothing where none did.

        Args:
            texts: The new texts; None for what is deleted.
            authors: Gives who wrote the paths that changed, the first as the author; where it
                gives nobody, that is `people.UNKNOWN`.
            parent: `head` before the texts were collected.

        Raises:
            Moved: The branch is elsewhere now.
            pygit2.GitError: The repository cannot be written.
            OSError: The same.
        """
        repository = self._open() or self._make()
        base = repository[parent].peel(pygit2.Commit) if parent else None
        tree, changed, left_out = _tree(repository, base.tree if base else None, texts)
        if not changed:
            return Made("", left_out)
        first, *others = authors(changed) or (people.UNKNOWN,)
        commit = repository.create_commit(
            None,
            pygit2.Signature(people.name(first), people.address(first)),
            pygit2.Signature(*_COMMITTER),
            _message(changed, texts, others),
            tree,
            [base.id] if base else [],
        )
        self._move(parent, commit)
        return Made(str(commit), left_out)

    def revisions(
        self, path: str, start: str, limit: int, *, follow: bool = False
    ) -> tuple[list[Revision], Next]:
        """List commits from one on, newest first.

        Args:
            path: Only those that changed this path; empty for all.
            start: Id to begin with; empty for the newest.
            limit: Commits to give at most.
            follow: Go on under the path it was renamed from, as `git log --follow` does; a copy
                begins where it was made.

        Returns:
            The commits, and where to go on.
        """
        repository = self._open()
        found: list[Revision] = []
        if repository is None:
            return found, Next()
        for looked_at, commit in enumerate(_line(repository, start)):
            if len(found) == limit or looked_at == LOOKED_AT_MOST:
                return found, Next(str(commit.id), path)
            parent = _parent(commit)
            before = _entry(parent, path) if path else None
            if path and _entry(commit, path) == before:
                continue
            revision = _revision(repository, commit)
            found.append(dataclasses.replace(revision, path=path) if follow else revision)
            if follow and parent is not None:
                path = _renamed_from(repository, parent, commit, path) or path
        return found, Next()

    def revision(self, revision_id: str) -> Revision | None:
        """Return a commit; None if there is none of that id."""
        repository = self._open()
        commit = None if repository is None else repository.get(revision_id)
        if repository is None or not isinstance(commit, pygit2.Commit):
            return None
        return _revision(repository, commit)

    def text(self, revision_id: str, path: str) -> str | None:
        """Return the text of a path as it was at a commit; None if it was not there.

        Raises:
            NotText: Something else was there.
        """
        repository = self._open()
        commit = None if repository is None else repository.get(revision_id)
        if not isinstance(commit, pygit2.Commit):
            return None
        found = _lookup(commit.tree, path)
        if found is None:
            return None
        if not isinstance(found, pygit2.Blob):
            raise NotText(f"{path} is a folder")
        try:
            return found.data.decode()
        except UnicodeDecodeError:
            raise NotText(f"{path} is no text in UTF-8") from None

    def _open(self) -> pygit2.Repository | None:
        # Not left to the constructor: that would look in the folders above as well.
        if not (self._path / "HEAD").exists():
            return None
        return pygit2.Repository(str(self._path))

    def _make(self) -> pygit2.Repository:
        # Beside its place and then into it: nobody ever finds half a repository.
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex}")
        pygit2.init_repository(str(aside), bare=True, initial_head=BRANCH)
        try:
            aside.rename(self._path)
        except OSError:
            shutil.rmtree(aside)
            # Another made it at this moment; otherwise this says what is in the way.
        return pygit2.Repository(str(self._path))

    def _move(self, parent: str, commit: pygit2.Oid) -> None:
        """Move the branch from one commit to another, and from no other."""
        try:
            self._swap(parent, commit)
        except (pygit2.GitError, OSError):
            if self.head() != parent:
                raise Moved from None
            if not self._unlock():
                raise
            self._swap(parent, commit)

    def _swap(self, parent: str, commit: pygit2.Oid) -> None:
        repository = pygit2.Repository(str(self._path))
        reference = _branch(repository)
        if ("" if reference is None else str(reference.target)) != parent:
            raise Moved
        try:
            if reference is None:
                repository.references.create(_REFERENCE, commit)
            else:
                # Fails if it is not what `reference` was read as.
                reference.set_target(commit)
        except pygit2.AlreadyExistsError:
            raise Moved from None

    def _unlock(self) -> bool:
        lock = self._path / f"{_REFERENCE}.lock"
        try:
            if time.time() - lock.stat().st_mtime < _LOCK_SECONDS:
                return False
            lock.unlink()
        except FileNotFoundError:
            return True
        return True


def _branch(repository: pygit2.Repository) -> pygit2.Reference | None:
    return repository.references.get(_REFERENCE)


def _tree(
    repository: pygit2.Repository, base: pygit2.Tree | None, texts: Mapping[str, str | None]
) -> tuple[pygit2.Oid, list[str], list[str]]:
    """Write a tree with texts in place of what was there; also which changed and which cannot."""
    index = pygit2.Index()
    if base is not None:
        index.read_tree(base)
    gone = {path for path, text in texts.items() if text is None}
    changed = [path for path in sorted(gone) if isinstance(_lookup(base, path), pygit2.Blob)]
    for path in changed:
        index.remove(path)
    left_out: list[str] = []
    files: set[str] = set()
    folders: set[str] = set()
    for path, text in sorted(texts.items()):
        if text is None:
            continue
        above = ["/".join(parts) for parts in _folders(path)]
        before = _lookup(base, path)
        if (
            (isinstance(before, pygit2.Tree) and _left(before, path, gone))
            or path in folders
            or not files.isdisjoint(above)
            or any(isinstance(_lookup(base, one), pygit2.Blob) and one not in gone for one in above)
        ):
            # One name for a file and a folder: documents may have that, a tree may not.
            left_out.append(path)
            continue
        data = text.encode()
        if before is not None and before.id == pygit2.hash(data):
            continue
        known = isinstance(before, pygit2.Blob) and before.filemode
        try:
            blob = repository.create_blob(data)
            index.add(pygit2.IndexEntry(path, blob, FileMode(known or FileMode.BLOB)))
        except (pygit2.GitError, ValueError, OSError):
            # A name that Git has for itself, such as ".git" in disguise.
            left_out.append(path)
            continue
        files.add(path)
        folders.update(above)
        changed.append(path)
    return index.write_tree(repository), changed, left_out


def _left(tree: pygit2.Tree, path: str, gone: Set[str]) -> bool:
    """Tell whether a folder has a file that is not among those that go."""
    for one in tree:
        inner = f"{path}/{one.name}"
        if _left(one, inner, gone) if isinstance(one, pygit2.Tree) else inner not in gone:
            return True
    return False


def _folders(path: str) -> Iterator[tuple[str, ...]]:
    parts = path.split("/")[:-1]
    return (tuple(parts[:count]) for count in range(1, len(parts) + 1))


def _lookup(tree: pygit2.Tree | None, path: str) -> pygit2.Object | None:
    try:
        return None if tree is None else tree[path]
    except KeyError:
        return None


def _message(
    changed: Sequence[str], texts: Mapping[str, str | None], others: Sequence[Author]
) -> str:
    if len(changed) == 1:
        (path,) = changed
        paragraphs = [f"{'Delete' if texts[path] is None else 'Edit'} {path}"]
    else:
        listed = [
            f"- {path}{' (deleted)' if texts[path] is None else ''}" for path in changed[:_LISTED]
        ]
        if len(changed) > _LISTED:
            listed.append(f"- and {len(changed) - _LISTED} more")
        paragraphs = [f"Change {len(changed)} documents", "\n".join(listed)]
    if others:
        paragraphs.append(people.trailers(others))
    return "\n\n".join(paragraphs) + "\n"


def _line(repository: pygit2.Repository, start: str) -> Iterator[pygit2.Commit]:
    """Give commits from one on, each followed by its first parent."""
    if start:
        found = repository.get(start)
        commit = found if isinstance(found, pygit2.Commit) else None
    else:
        reference = _branch(repository)
        commit = None if reference is None else reference.peel(pygit2.Commit)
    while commit is not None:
        yield commit
        commit = _parent(commit)


def _parent(commit: pygit2.Commit) -> pygit2.Commit | None:
    return commit.parents[0] if commit.parent_ids else None


def _entry(commit: pygit2.Commit | None, path: str) -> pygit2.Oid | None:
    found = None if commit is None else _lookup(commit.tree, path)
    return None if found is None else found.id


def _renamed_from(
    repository: pygit2.Repository, parent: pygit2.Commit, commit: pygit2.Commit, path: str
) -> str:
    """Tell which file that a commit took away is the one it brought; empty for none."""
    new = _lookup(commit.tree, path)
    if isinstance(_lookup(parent.tree, path), pygit2.Blob) or not isinstance(new, pygit2.Blob):
        return ""
    # The new file is compared with what went, as Git does here, and not all that came with it.
    index = pygit2.Index()
    index.read_tree(parent.tree)
    changes = repository.diff(parent, commit, flags=DiffOption.SKIP_BINARY_CHECK)
    for delta in changes.deltas:
        if delta.status == DeltaStatus.DELETED:
            # A name that is no text was no document's.
            with contextlib.suppress(UnicodeDecodeError):
                index.remove(delta.old_file.raw_path.decode())
    index.add(pygit2.IndexEntry(path, new.id, FileMode(new.filemode)))
    diff = parent.tree.diff_to_index(index)
    diff.find_similar(DiffFind.FIND_RENAMES, rename_threshold=_ALIKE)
    return next((one.old_file.path for one in diff.deltas if one.status == DeltaStatus.RENAMED), "")


def _revision(repository: pygit2.Repository, commit: pygit2.Commit) -> Revision:
    parent = _parent(commit)
    if parent is None:
        diff = commit.tree.diff_to_tree(swap=True, flags=DiffOption.SKIP_BINARY_CHECK)
    else:
        diff = repository.diff(parent, commit, flags=DiffOption.SKIP_BINARY_CHECK)
    deltas = itertools.islice(diff.deltas, PATHS_MOST)
    return Revision(
        id=str(commit.id),
        authors=[
            people.read(commit.author.name, commit.author.email),
            *people.co_authors(commit.message),
        ],
        message=commit.message,
        time=datetime.datetime.fromtimestamp(commit.commit_time, datetime.UTC),
        # Names that somebody pushed need not be UTF-8.
        paths=[delta.new_file.raw_path.decode(errors="replace") for delta in deltas],
    )
