"""Walks a workspace, depth first, names in byte order, a page at a time.

What a page costs is bounded by the page: of each directory it looks at, only as many names are
kept as the page has room for; a directory far below keeps its ancestors neither open nor in
memory. A page begins behind a path, not behind a number of entries, so what comes and goes
meanwhile neither repeats nor hides anything else.
"""

import dataclasses
import heapq
import os
import stat
import time
from collections.abc import Callable, Iterator

from services.path.filesystem import Entry, Kind, Listing, Page
from services.path.local import beneath, gitignore, reasons
from services.path.names import LONGEST_PATH, Parts

_WARM = 48
"""Directories on the way down that stay open. Those further down are opened again on the way
back: a tree may be thousands of levels deep, and files that may be open are few."""

_GIT = b".git"

MOST_TEXT = 3 * 1024**2
"""Bytes of a page's names at most: what most gRPC clients take is 4 MiB."""

_FIXED = 40
"""Bytes of an entry beside its names, about."""

_CHECK_EVERY = 256
"""Names between two checks: an instance's own rules decide how long a name takes."""

_PRINTABLE = bytes(range(0x20, 0x7F))


@dataclasses.dataclass(slots=True)
class _Level:
    """A directory on the way to where the walk is."""

    path: Parts
    """From the workspace."""
    scopes: gitignore.Scopes
    descriptor: int = -1
    """-1 where it has to be opened again."""
    after: bytes = b""
    """The name the walk has come to in it."""
    names: Iterator[bytes] | None = None
    """Names behind that one; None where they have to be read, perhaps again."""
    more: bool = False
    """Whether the directory has more names than those."""


class Walk:
    """One page being gathered."""

    def __init__(
        self,
        root: beneath.Root,
        workspace: bytes,
        listing: Listing,
        *,
        until: float,
        check: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            root: The instance's own directory.
            workspace: Name of the workspace in it.
            listing: What is asked for.
            until: By `time.monotonic`, when to leave the rest to the next page.
            check: Raises when nobody waits any more.
        """
        self._root = root
        self._workspace = workspace
        self._listing = listing
        self._until = until
        self._check = check
        self._levels: list[_Level] = []
        self._entries: list[Entry] = []
        self._text = 0
        self._resume: list[bytes] = []

    def page(self) -> Page:
        """Gather the page.

        Raises:
            OSError: The directory it begins at cannot be opened: as `beneath.open_directories`.
        """
        try:
            self._begin()
            place: Parts | None = self._listing.after
            while self._levels:
                visited = self._step()
                if visited is None:
                    continue
                if self._is_over():
                    self._entries.pop()
                    return Page(self._entries, place)
                if place is not None and place[: len(visited)] == visited:
                    continue  # still on the way to where the page before ended
                place = visited
                if time.monotonic() >= self._until:
                    return Page(self._entries, place)
            return Page(self._entries, None)
        finally:
            for level in self._levels:
                _close(level)

    def _is_over(self) -> bool:
        """Whether the newest entry belongs on the next page."""
        return len(self._entries) > self._listing.limit or (
            self._text > MOST_TEXT and len(self._entries) > 1
        )

    def _begin(self) -> None:
        """Open the directory it begins at, having read the rules of those above it."""
        path = self._listing.path
        scopes: gitignore.Scopes = ()
        for depth in range(len(path) + 1):
            descriptor = self._open(path[:depth])
            scopes = self._scopes(scopes, descriptor, depth)
            if depth < len(path):
                os.close(descriptor)
        self._resume = list(reversed(self._listing.after or ()))
        self._levels.append(_Level(path, scopes, descriptor))

    def _step(self) -> Parts | None:
        """Visit the next entry; gives its path from where it begins, None where a level ends."""
        self._check()
        level = self._levels[-1]
        name = self._next(level)
        if name is None:
            self._resume = []  # where the page before ended is gone; a namesake above it is not it
            _close(self._levels.pop())
            return None
        level.after = name
        path = (*level.path, name)
        # The walk comes to where the page before ended by way of entries that page gave.
        given = bool(self._resume) and self._resume[-1] == name
        rest = self._resume[:-1] if given else []
        self._resume = []
        entry = self._visit(level, path)
        if entry is not None:
            if not given:
                self._entries.append(entry)
                self._text += _written(b"/".join(path)) + _written(entry.link_target) + _FIXED
            if entry.kind is Kind.DIRECTORY and not self._is_over():
                self._enter(level, entry, rest)
        return path[len(self._listing.path) :]

    def _next(self, level: _Level) -> bytes | None:
        while True:
            if level.names is not None:
                name = next(level.names, None)
                if name is not None or not level.more:
                    return name
            if level.descriptor < 0:
                try:
                    level.descriptor = self._open(level.path)
                except OSError as error:  # gone meanwhile, or exchanged for something else
                    reasons.raise_ours(error)
                    return None
            self._select(level)

    def _select(self, level: _Level) -> None:
        """Read the first names of a directory that the page may have room for, in order."""
        bound = self._resume[-1] if self._resume else None
        # One more tells whether there is a next page; where the page before ended needs no room.
        room = self._listing.limit - len(self._entries) + 1 + (bound is not None)

        listing = self._listing
        # Most directories of a large flat tree have no rules: then a name is asked about none.
        has_rules = bool(listing.ignore or level.scopes)

        def candidates() -> Iterator[bytes]:
            with os.scandir(level.descriptor) as found:
                for number, each in enumerate(found):
                    if number % _CHECK_EVERY == 0:
                        self._check()
                    name = os.fsencode(each.name)
                    if name <= level.after or (bound is not None and name < bound):
                        continue
                    if not has_rules:
                        if listing.include_ignored or name != _GIT:
                            yield name
                    elif name == bound or not self._left_out(
                        level, (*level.path, name), is_directory=each.is_dir(follow_symlinks=False)
                    ):
                        yield name

        try:
            names = heapq.nsmallest(room, candidates())
        except OSError as error:  # no directory any more
            reasons.raise_ours(error)
            names = []
        level.names, level.more = iter(names), len(names) == room

    def _left_out(self, level: _Level, path: Parts, *, is_directory: bool) -> bool:
        listing = self._listing
        own = path[len(listing.path) :]
        if listing.ignore and listing.ignore.verdict(own, is_directory=is_directory):
            return True
        if listing.include_ignored:
            return False
        return path[-1] == _GIT or gitignore.leave_out(
            level.scopes, path, is_directory=is_directory
        )

    def _visit(self, level: _Level, path: Parts) -> Entry | None:
        """Look at an entry; None where it is gone, or is to be left out by now."""
        try:
            status = os.lstat(path[-1], dir_fd=level.descriptor)
        except OSError:
            return None
        is_directory = stat.S_ISDIR(status.st_mode)
        if self._left_out(level, path, is_directory=is_directory):
            return None
        entry = Entry(
            path=path,
            kind=_kind(status.st_mode),
            size=0 if is_directory else status.st_size,
            modified_ns=status.st_mtime_ns,
        )
        if entry.kind is Kind.SYMLINK:
            try:
                entry.link_target = os.readlink(path[-1], dir_fd=level.descriptor)
            except OSError:  # exchanged just now
                return None
            entry.link_outside = beneath.leads_outside(
                self._root, (self._workspace, *level.path), entry.link_target
            )
        return entry

    def _enter(self, level: _Level, entry: Entry, resume: list[bytes]) -> None:
        depth = self._listing.depth
        if depth and len(entry.path) - len(self._listing.path) >= depth:
            return
        if len(b"/".join(entry.path)) >= LONGEST_PATH - 1:
            entry.unreadable = True  # what is in there no program can name
            return
        try:
            descriptor = beneath.open_directory(entry.path[-1], level.descriptor)
        except OSError as error:
            reasons.raise_ours(error)
            entry.unreadable = True
            return
        if len(self._levels) > _WARM:
            _close(level)
        scopes = self._scopes(level.scopes, descriptor, len(entry.path))
        self._levels.append(_Level(entry.path, scopes, descriptor))
        self._resume = resume

    def _open(self, path: Parts) -> int:
        return beneath.open_directories(self._root, (self._workspace, *path))

    def _scopes(self, outer: gitignore.Scopes, descriptor: int, depth: int) -> gitignore.Scopes:
        if self._listing.include_ignored:
            return ()
        return gitignore.within(outer, descriptor, depth)


def _written(name: bytes) -> int:
    """Estimate how long a name is once it is written as text, escapes included."""
    return len(name) + 3 * len(name.translate(None, _PRINTABLE))


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.SYMLINK if stat.S_ISLNK(mode) else Kind.OTHER


def _close(level: _Level) -> None:
    if level.descriptor >= 0:
        os.close(level.descriptor)
    level.descriptor, level.names = -1, None
