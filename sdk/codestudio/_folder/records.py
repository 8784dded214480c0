"""What is remembered of a folder between two runs, in the folder itself.

For each document, its Yjs state and the text the file had: with them, what was done to the one
and to the other while nobody looked is told apart and merged as if it had been done live. A record
is stored before anything that follows from it happens, so a run may be killed at any moment.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from codestudio import _errors
from codestudio._folder.rules import OWN


class Former(NamedTuple):
    """A text that a file had."""

    until: float
    """When others' edits took its place, in seconds since 1970."""
    text: str
    """The text."""


class Record(NamedTuple):
    """What is known of one document."""

    path: str
    """Its path."""
    epoch: str
    """History the state is of."""
    state: bytes
    """Its Yjs state."""
    base: str | None
    """The text its file had when it was read or written last; None for no file."""
    confirmed: str | None = None
    """The text the server is known to have stored; None where that was not kept."""
    former: tuple[Former, ...] = ()
    """Texts its file had before that, oldest first: an editor may still hold one of them."""


class Records:
    """The records of a folder. Its methods block: they are for threads."""

    def __init__(self, root: Path) -> None:
        self._home = root / OWN
        self._documents = self._home / "documents"
        self._lock: int | None = None

    def open(self, binding: dict[str, str]) -> None:
        """Take the folder for this process and this project.

        Raises FailedPrecondition when another process has it, or it belongs to another project.
        """
        self._documents.mkdir(parents=True, exist_ok=True)
        (self._home / ".gitignore").write_text("*\n")
        self._lock = os.open(self._home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise _errors.FailedPrecondition(
                f"another codestudio sync is at work in {self._home.parent}",
                code="FOLDER_IN_USE",
            ) from None
        kept = self._home / "project.json"
        with contextlib.suppress(FileNotFoundError, ValueError):
            found = json.loads(kept.read_text())
            if found != binding:
                self.close()
                raise _errors.FailedPrecondition(
                    f"{self._home.parent} follows {_shown(found)}, not {_shown(binding)}: use "
                    f"another folder, or remove {self._home} to begin anew",
                    code="FOLDER_OF_ANOTHER_PROJECT",
                )
        _replace(kept, json.dumps(binding).encode())

    def close(self) -> None:
        """Give the folder back."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    @property
    def there(self) -> bool:
        """Whether the folder is still there: it may have been moved, or unmounted."""
        return self._documents.is_dir()

    def all(self) -> Iterator[Record]:
        """Give all records; one that is damaged is as if it were not there."""
        for kept in sorted(self._documents.iterdir()):
            record = _read(kept)
            if record is not None:
                yield record

    def put(self, record: Record) -> None:
        """Keep a record, in one step."""
        _replace(self._documents / _name(record.path), _write(record))

    def drop(self, path: str) -> None:
        """Forget a document."""
        (self._documents / _name(path)).unlink(missing_ok=True)


def _name(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:40]


def _shown(binding: object) -> str:
    if not isinstance(binding, dict):
        return "something else"
    name = "/".join(filter(None, (binding.get("namespace"), binding.get("project"))))
    return " at ".join(filter(None, (f"project {name}", binding.get("gateway"))))


def _write(record: Record) -> bytes:
    base = (record.base or "").encode()
    head: dict[str, object] = {
        "path": record.path,
        "epoch": record.epoch,
        "state": len(record.state),
        "file": record.base is not None,
    }
    if record.confirmed is not None:
        # Most often the base once more; in the head, where older versions do not look.
        head["confirmed"] = None if record.confirmed == record.base else record.confirmed
    if record.former:
        head["former"] = record.former
    body = json.dumps(head).encode() + b"\n" + record.state + base
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _read(kept: Path) -> Record | None:
    # Not waited for on the disk: after a power cut a record may be cut short. Then it is gone.
    try:
        checksum, _, body = kept.read_bytes().partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != checksum:
            return None
        line, _, rest = body.partition(b"\n")
        head = json.loads(line)
        length = head["state"]
        base = rest[length:].decode() if head["file"] else None
        confirmed = head.get("confirmed")
        if confirmed is None and "confirmed" in head:
            confirmed = base
        former = tuple(Former(float(until), str(text)) for until, text in head.get("former", ()))
        return Record(head["path"], head["epoch"], rest[:length], base, confirmed, former)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _replace(kept: Path, data: bytes) -> None:
    temporary = kept.with_name(f"{kept.name}.{secrets.token_hex(4)}.new")
    try:
        temporary.write_bytes(data)
        temporary.replace(kept)
    finally:
        temporary.unlink(missing_ok=True)
