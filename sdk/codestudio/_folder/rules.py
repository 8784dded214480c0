"""Which files of a folder are carried: paths a document may have, and none that are ignored."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pathspec

OWN = ".codestudio-sync"
"""Folder within the folder where what is needed to go on is kept."""

ALWAYS = (
    # Editors' passing files: they would come and go as documents.
    "*~",
    ".*.sw?",
    ".#*",
    "#*#",
    "4913",
    "___jb_*___",
    ".DS_Store",
)
"""Patterns that are ignored everywhere, beside .git and our own folder."""

_PATH_BYTES = 1024


def leads_out(path: str) -> bool:
    """Whether a path may lead out of the folder: it is absolute, or has a part "", "." or ".."."""
    return "\0" in path or any(part in ("", ".", "..") for part in path.split("/"))


def private(part: str) -> bool:
    """Whether a part of a path is Git's folder or our own, as any file system reads it."""
    return part.lower() in (".git", OWN)


def path_problem(path: str) -> str:
    """Say why no document can have a path; empty if one can (contract, DocumentName)."""
    if len(path.encode("utf-8", "surrogateescape")) > _PATH_BYTES:
        return f"its path is longer than {_PATH_BYTES} bytes"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if any(ord(character) < 32 or character in "\x7f\\" for character in path):
        return "its name has control characters or a backslash"
    if leads_out(path):
        # The server refuses such a path too; what is written here must not depend on that.
        return "its path leads out of the folder"
    return ""


class Rules:
    """Tells what is ignored, by .gitignore files as Git reads them, and by patterns given."""

    def __init__(self, root: Path, exclude: Iterable[str] = ()) -> None:
        self._root = root
        self._given = pathspec.GitIgnoreSpec.from_lines([*ALWAYS, *exclude])
        self._spec = functools.cache(self._read)

    def forget(self) -> None:
        """Read the .gitignore files anew when next asked."""
        self._spec = functools.cache(self._read)

    def ignored(self, path: str, *, folder: bool = False) -> bool:
        """Whether a path in the folder, with "/", is ignored, or lies in a folder that is."""
        parts = path.split("/")
        if leads_out(path) or any(private(part) for part in parts):
            return True
        ends = range(1, len(parts) + 1)
        return any(self._matches(parts[:end], folder=folder or end < len(parts)) for end in ends)

    def walk(self, leave_out: Callable[[str], None] | None = None) -> Iterator[str]:
        """Give all files that are carried, in order; `leave_out` is told of links met."""
        pending = [""]
        while pending:
            base = pending.pop()
            try:
                entries = sorted(os.scandir(self._root / base), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            for entry in entries:
                path = f"{base}{entry.name}"
                folder = entry.is_dir(follow_symlinks=False)
                if self._plainly_ignored(path, folder=folder):
                    continue
                if folder:
                    pending.append(f"{path}/")
                elif entry.is_symlink():
                    if leave_out is not None:
                        leave_out(path)
                elif entry.is_file(follow_symlinks=False):
                    yield path

    def _plainly_ignored(self, path: str, *, folder: bool) -> bool:
        """Whether it is ignored, where no folder above it is."""
        parts = path.split("/")
        if private(parts[-1]):
            return True
        return self._matches(parts, folder=folder)

    def _matches(self, parts: list[str], *, folder: bool) -> bool:
        end = "/" if folder else ""
        if self._given.match_file("/".join(parts) + end):
            return True
        # The nearest .gitignore decides first.
        for depth in range(len(parts) - 1, -1, -1):
            spec = self._spec("/".join(parts[:depth]))
            if spec is None:
                continue
            verdict = spec.check_file("/".join(parts[depth:]) + end).include
            if verdict is not None:
                return bool(verdict)
        return False

    def _read(self, folder: str) -> pathspec.GitIgnoreSpec | None:
        try:
            text = (self._root / folder / ".gitignore").read_text(errors="replace")
        except OSError:
            return None
        return pathspec.GitIgnoreSpec.from_lines(text.splitlines())
