"""The extensions an editor comes with, and ours beside them.

An editor looks for those it comes with in one directory. It is given another: one that holds a
link to each of its own, and a copy of ours. So ours is loaded into every instance, whatever its
owner installs or removes, shows up among nobody's own extensions, and is as new as we are.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)

OURS = Path(__file__).with_name("extension")
"""Our extension, as it is shipped."""

NAME = "codestudio.activity"
"""Its directory among the others."""

# Where an editor's own are, seen from a directory above its executable.
_PLACES = (
    Path("lib/vscode/extensions"),
    Path("node_modules/code-server/lib/vscode/extensions"),
    Path("lib/code-server/lib/vscode/extensions"),
    Path("extensions"),
)
_LEVELS = 4
_MARK = "git"
"""An extension that every editor comes with."""


def find(editor: Path) -> Path | None:
    """Find the extensions an editor comes with; None where they are not where we look."""
    for above in editor.resolve().parents[:_LEVELS]:
        for place in _PLACES:
            if (above / place / _MARK / "package.json").is_file():
                return above / place
    return None


def assemble(editor: Path, container_root: Path) -> Path | None:
    """Give the directory an editor is to take them from; None where its own are not found.

    Made once for each release of the editor and of ours, in one step: others may be starting
    editors from it. Without ours an editor works all the same, only its input is not seen: so
    this never fails. Blocks some ms.
    """
    theirs = find(editor)
    if theirs is None:
        _log.warning("the editor's extensions are not found, so its input cannot be seen")
        return None
    place = container_root.absolute() / "editor-extensions" / _fingerprint(theirs)
    if not place.is_dir():
        try:
            _make(place, theirs)
        except OSError as error:
            # Or somebody else has made it just now.
            if not place.is_dir():
                _log.warning("our extension is not loaded", why=str(error))
                return None
    return place


def _make(place: Path, theirs: Path) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=place.parent) as directory:
        made = Path(directory) / "made"
        made.mkdir(mode=0o700)
        for entry in theirs.iterdir():
            (made / entry.name).symlink_to(entry)
        shutil.copytree(OURS, made / NAME)
        made.rename(place)


def _fingerprint(theirs: Path) -> str:
    """Give 16 hex digits that change with what is to be linked or copied."""
    found = hashlib.sha256(os.fsencode(theirs))
    found.update(repr(sorted(one.name for one in theirs.iterdir())).encode())
    for file in sorted(OURS.iterdir()):
        found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()[:16]
