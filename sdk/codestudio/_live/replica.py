"""A document as one holds it: the text, what one does to it, what others do. No connection."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from codestudio import _errors
from codestudio._live import crdt, edits, units, wire
from codestudio._live.edits import Edit

ROOT = "content"
"""Name of the text in every document (contract, Document)."""

PIECE_BYTES = 256 * 1024
"""Longest insertion done at once: an update that a server takes and a frame that others wait
for. A longer one is done piece by piece."""

_LOCAL = "local"
_REMOTE = "remote"


class Applied(NamedTuple):
    """What a change did to the text."""

    before: str
    """The text before it."""
    edits: tuple[Edit, ...]
    """What it did, in order of offset."""
    clients: frozenset[int]
    """Who put something in, as far as the change tells."""
    whole: bool = True
    """Whether nothing of it waits for something that has not come yet."""


class Replica:
    """A Yjs text and the same as a Python string, which is kept along with it.

    `on_update` is told every update that was made here, undoing included.
    """

    def __init__(self, on_update: Callable[[bytes], None], *, client_id: int | None = None) -> None:
        self._pycrdt = crdt.load()
        self._on_update = on_update
        self._doc: Any = self._pycrdt.Doc(client_id=client_id)
        self._text: Any = self._doc.get(ROOT, type=self._pycrdt.Text)
        self.text = ""
        """The text."""
        self._deltas: list[list[dict[str, Any]]] = []
        self._updates: list[bytes] = []
        self._editing = False
        self._text_watch = self._text.observe(self._observe)
        self._doc_watch = self._doc.observe(lambda event: self._updates.append(event.update))
        self._undo: Any = self._pycrdt.UndoManager(scopes=[self._text])
        self._undo.include_origin(_LOCAL)

    @property
    def client_id(self) -> int:
        """The client's Yjs id, below 2^53."""
        return int(self._doc.client_id)

    @property
    def state_vector(self) -> bytes:
        """What it holds."""
        return bytes(self._doc.get_state())

    def update_since(self, state_vector: bytes = b"") -> bytes:
        """Give what somebody lacks who holds so much, as one update."""
        return bytes(self._doc.get_update(state_vector or b"\0"))

    def edit(self, changes: Sequence[Edit]) -> Applied:
        """Make edits, which are valid for the text, in order, and do not overlap."""
        before = self.text
        for change in changes:
            _check_text(change.inserted)
        with self._watching(local=True):
            self._editing = True  # what is done is known: no need to read it back
            for pieces in _batches(before, changes):
                with self._doc.transaction(origin=_LOCAL):
                    for at, length, inserted in pieces:
                        if length:
                            del self._text[at : at + length]
                        if inserted:
                            self._text.insert(at, inserted)
        self.text = edits.apply(before, changes)
        return Applied(before, tuple(changes), frozenset({self.client_id}))

    def apply(self, update: bytes) -> Applied:
        """Take in an update of others. Raises Internal when it is none."""
        before = self.text
        with self._watching(local=False) as deltas:
            try:
                with self._doc.transaction(origin=_REMOTE):
                    self._doc.apply_update(update)
            except ValueError as error:
                raise _errors.Internal(f"an update cannot be read: {error}") from None
        done = self._take_in(before, deltas)
        extents = _extents(update)
        clocks = self.clocks()
        # What comes out of order waits within pycrdt, and does not always get out by itself.
        whole = all(clocks.get(client, 0) >= end for client, end in extents.items())
        return Applied(before, done, frozenset(extents), whole)

    def undo(self) -> Applied:
        """Undo one's own newest edits; others' stay."""
        return self._step(self._undo.undo)

    def redo(self) -> Applied:
        """Do again what was undone."""
        return self._step(self._undo.redo)

    def close(self) -> None:
        """Let go of the observers, which would keep the document alive."""
        self._text.unobserve(self._text_watch)
        self._doc.unobserve(self._doc_watch)

    def clocks(self) -> dict[int, int]:
        """Give which clock each client has reached."""
        return wire.read_state_vector(self.state_vector)

    def sticky(self, place: int) -> dict[str, Any]:
        """Give pycrdt's sticky index of a place in bytes, which lies before some character."""
        index = self._text.sticky_index(place, self._pycrdt.Assoc.AFTER)
        return dict(index.to_json())

    def offset_of(self, item: dict[str, int], assoc: int) -> int:
        """Give pycrdt's offset of an item the document holds."""
        index = self._pycrdt.StickyIndex.from_json({"item": item, "assoc": assoc}, self._text)
        return int(index.get_index())

    def _observe(self, event: Any) -> None:
        if not self._editing:
            self._deltas.append(event.delta)

    def _step(self, step: Callable[[], bool]) -> Applied:
        before = self.text
        with self._watching(local=True) as deltas:
            step()
        return Applied(before, self._take_in(before, deltas), frozenset({self.client_id}))

    @contextmanager
    def _watching(self, *, local: bool) -> Iterator[list[list[dict[str, Any]]]]:
        self._deltas, self._updates, self._editing = [], [], False
        yield self._deltas
        if local:
            for update in self._updates:
                self._on_update(update)

    def _take_in(self, before: str, deltas: list[list[dict[str, Any]]]) -> tuple[Edit, ...]:
        """Follow the deltas with the string; they count in bytes."""
        done: list[Edit] = []
        for delta in deltas:
            done = _read(self.text, delta)
            self.text = edits.apply(self.text, done)
        if len(deltas) > 1:
            done = edits.difference(before, self.text)
        return tuple(done)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a text must not have lone surrogates") from None


Piece = tuple[int, int, str]


def _batches(text: str, changes: Sequence[Edit]) -> Iterator[list[Piece]]:
    """Give what to do in bytes, from the end so that places stay; long insertions in pieces."""
    places = []
    end = at = 0
    for change in changes:
        at += units.byte_length(text[end : change.offset])
        end = change.offset
        places.append(at)
    batch: list[Piece] = []
    size = 0
    for change, at in zip(reversed(changes), reversed(places), strict=True):
        length = units.byte_length(change.deleted)
        inserted = change.inserted
        # The last piece goes in first: all of them are put in at the same place.
        starts = range(0, max(len(inserted), 1), PIECE_BYTES // 4)
        for start in reversed(starts):
            piece = inserted[start : start + PIECE_BYTES // 4]
            if size + len(piece) > PIECE_BYTES // 4 and batch:
                yield batch
                batch, size = [], 0
            batch.append((at, length, piece))
            size += len(piece)
            length = 0
    if batch:
        yield batch


def _read(text: str, delta: list[dict[str, Any]]) -> list[Edit]:
    """Read a delta, which counts in bytes, as edits of a text."""
    found: list[Edit] = []
    encoded = b"" if text.isascii() else text.encode()
    position = place = 0  # in code points, in bytes

    def stretch(count: int) -> str:
        if not encoded:
            return text[place : place + count]
        return encoded[place : place + count].decode()

    for step in delta:
        if "retain" in step:
            passed = stretch(step["retain"])
            place += step["retain"]
            position += len(passed)
        elif "delete" in step:
            gone = stretch(step["delete"])
            place += step["delete"]
            _join(found, Edit(position, gone, ""))
            position += len(gone)
        elif isinstance(step.get("insert"), str):
            _join(found, Edit(position, "", step["insert"]))
    return found


def _join(found: list[Edit], edit: Edit) -> None:
    if found and found[-1].end == edit.offset:
        last = found.pop()
        edit = Edit(last.offset, last.deleted + edit.deleted, last.inserted + edit.inserted)
    found.append(edit)


def _extents(update: bytes) -> dict[int, int]:
    try:
        return wire.extents(update)
    except wire.MalformedError:
        return {}
