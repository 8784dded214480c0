"""What of a document is stored: a checkpoint, and the entries of the log since.

From it the document as it was at a revision is made again: for edits that refer to one, for a
snapshot (by replaying, which also compacts), and for a room whose document broke.
"""

import dataclasses

import pycrdt

from services.collaboration import epochs, text


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """All of a document at a revision."""

    revision: int
    """Number of its newest entry."""
    sequence: int
    """That entry's place in the stream."""
    state: bytes
    """One Yjs update (version 1)."""


class TooOld(Exception):  # noqa: N818 - an answer more than an error
    """A revision from before what is kept."""


class History:
    """The entries of one document, in order; the newest is its revision."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._floor = checkpoint
        self._latest = checkpoint
        self._entries: list[tuple[int, bytes]] = []
        self._bytes_since = 0

    @property
    def revision(self) -> int:
        """Number of the newest entry."""
        return self._floor.revision + len(self._entries)

    @property
    def sequence(self) -> int:
        """The newest entry's place in the stream."""
        return self._entries[-1][0] if self._entries else self._floor.sequence

    @property
    def floor(self) -> int:
        """The oldest revision that can be made again."""
        return self._floor.revision

    @property
    def latest(self) -> Checkpoint:
        """The newest checkpoint."""
        return self._latest

    @property
    def entries_since(self) -> int:
        """Entries since the newest checkpoint."""
        return self.revision - self._latest.revision

    @property
    def bytes_since(self) -> int:
        """Bytes of those entries."""
        return self._bytes_since

    def append(self, sequence: int, update: bytes) -> int:
        """Add the next entry; returns its revision."""
        self._entries.append((sequence, update))
        self._bytes_since += len(update)
        return self.revision

    def updates(self, after: int, until: int) -> list[bytes]:
        """Return the entries behind one revision up to another.

        Raises:
            TooOld: They are not kept.
        """
        if after < self._floor.revision:
            raise TooOld
        base = self._floor.revision
        return [update for _, update in self._entries[after - base : until - base]]

    def document(self, revision: int, client_id: int | None = None) -> "pycrdt.Doc[pycrdt.Text]":
        """Make the document as it was at a revision, to edit as one client.

        Raises:
            TooOld: It is older than what is kept.
        """
        start = self._latest if revision >= self._latest.revision else self._floor
        if revision < start.revision:
            raise TooOld
        return replay(start.state, self.updates(start.revision, revision), client_id)

    def fold(self) -> tuple[Checkpoint, list[bytes], int, int]:
        """Return what the next checkpoint is made of.

        That is the newest one, the entries since, and the revision and sequence it will have.
        """
        return (
            self._latest,
            self.updates(self._latest.revision, self.revision),
            self.revision,
            self.sequence,
        )

    def checkpointed(self, checkpoint: Checkpoint) -> None:
        """Take a new checkpoint; what lies before the last one is kept no longer."""
        if checkpoint.revision <= self._latest.revision:
            return
        drop = self._latest.revision - self._floor.revision
        self._entries = self._entries[drop:]
        self._floor, self._latest = self._latest, checkpoint
        since = self.updates(checkpoint.revision, self.revision)
        self._bytes_since = sum(map(len, since))


def replay(
    state: bytes, updates: list[bytes], client_id: int | None = None
) -> "pycrdt.Doc[pycrdt.Text]":
    """Make a document of a state and the updates since."""
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=client_id, allow_multithreading=True)
    doc.get(text.ROOT, type=pycrdt.Text)
    with doc.transaction():
        doc.apply_update(state)
        for update in updates:
            doc.apply_update(update)
    return doc


def compact(state: bytes, updates: list[bytes]) -> tuple[bytes, int]:
    """Return the state after some updates, compacted, and the length of its text in code points.

    Takes milliseconds for a megabyte: for a thread.
    """
    doc = replay(state, updates)
    return doc.get_update(), len(content(doc))


def content(doc: "pycrdt.Doc[pycrdt.Text]") -> str:
    """Return the text of a document."""
    return str(doc.get(text.ROOT, type=pycrdt.Text))


def seed(initial: str, epoch: str = "") -> bytes:
    """Return the first state of a document with a text, begun by the epoch's own client.

    It always holds an edit, if only one that is gone: a history without any could not be told from
    another.
    """
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=epochs.first_client(epoch))
    root = doc.get(text.ROOT, type=pycrdt.Text)
    root.insert(0, initial or "-")
    if not initial:
        del root[0:1]
    return doc.get_update()
