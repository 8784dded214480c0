"""The document itself: pycrdt's, with its dangers kept inside.

Applying gives what was new in an update, and nothing else is ever stored or sent: a duplicate
costs nobody anything, and what waits for a missing predecessor becomes part of the document, the
log and the snapshots when that has come, in one piece with it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pycrdt

from services.chassis import errors, garbage
from services.collaboration import epochs, text, updates, ywire
from services.collaboration.rebase import Splice

_EMPTY = b"\x00\x00"
"""An update without edits."""


class Broken(Exception):  # noqa: N818 - what happened to it
    """The library gave up in the middle: the document has to be made again."""


class Replica:
    """One Yjs document and its text."""

    def __init__(self, doc: "pycrdt.Doc[pycrdt.Text]", epoch: str = "") -> None:
        self._doc = doc
        self._epoch = epoch
        self._root = doc.get(text.ROOT, type=pycrdt.Text)
        self._new: list[bytes] = []
        self._subscription = doc.observe(self._observe)
        self._text: str | None = None

    def close(self) -> None:
        """Let go of the document: a subscription would keep it for ever."""
        self._doc.unobserve(self._subscription)
        # A document and its text refer to each other.
        garbage.dropped()

    @property
    def client_id(self) -> int:
        """The id under which it is edited here."""
        return self._doc.client_id

    @property
    def text(self) -> str:
        """The text."""
        if self._text is None:
            self._text = str(self._root)
        return self._text

    def state_vector(self) -> bytes:
        """Return how far each client's edits are known."""
        return self._doc.get_state()

    def missing(self, state_vector: bytes) -> bytes:
        """Return, as an update, what somebody lacks.

        Raises:
            errors.InvalidArgument: The state vector is none (INVALID_STATE_VECTOR).
            errors.FailedPrecondition: It is another history's (EPOCH_MISMATCH).
        """
        try:
            known = ywire.read_state_vector(state_vector)
        except ywire.Malformed as error:
            raise errors.InvalidArgument(
                "INVALID_STATE_VECTOR", f"The state vector cannot be read: {error}"
            ) from None
        epochs.check(known, self._epoch)
        found: bytes = self._guarded(lambda: self._doc.get_update(state_vector))
        return found

    def state(self) -> bytes:
        """Return everything, as an update."""
        return self._doc.get_update()

    def apply(self, update: bytes) -> tuple[bytes, bool]:
        """Apply an update; returns what was new in it, and whether all of it fits.

        Empty where nothing was new. What does not fit yet, for lack of a predecessor, waits.

        Raises:
            errors.InvalidArgument: It is no update (INVALID_UPDATE); nothing has changed.
            errors.FailedPrecondition: It is another history's (EPOCH_MISMATCH); the same.
            Broken: The document has to be made again.
        """
        try:
            extent = updates.measure(update)
        except ywire.Malformed as error:
            raise _unreadable(error) from None
        epochs.check(extent.edits, self._epoch)
        epochs.check(extent.deletions, self._epoch)
        new = self._change(lambda: self._doc.apply_update(update))
        return new, new == update or extent.within(ywire.read_state_vector(self.state_vector()))

    def edit(self, splices: Sequence[Splice]) -> bytes:
        """Replace stretches of the text in one step; returns the update, empty for no change.

        Args:
            splices: What to replace, in descending order and not overlapping.

        Raises:
            Broken: The document has to be made again.
        """

        def change() -> None:
            for one in splices:
                if one.length:
                    del self._root[one.start : one.start + one.length]
                if one.inserted:
                    self._root.insert(one.start, one.inserted)

        return self._change(change)

    def _change(self, change: Callable[[], None]) -> bytes:
        self._new.clear()

        def within() -> None:
            with self._doc.transaction():
                change()

        self._guarded(within)
        self._text = None if self._new else self._text
        new = self._new[0] if len(self._new) == 1 else b"".join(self._new)
        if len(self._new) > 1:
            new = pycrdt.merge_updates(*self._new)
        self._new.clear()
        return b"" if new == _EMPTY else new

    def _observe(self, event: pycrdt.TransactionEvent) -> None:
        self._new.append(event.update)

    @staticmethod
    def _guarded(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (ValueError, RuntimeError, TypeError) as error:
            raise _unreadable(error) from None
        except BaseException as error:
            # Rust's panic is a BaseException of a module that cannot be imported.
            if type(error).__name__ == "PanicException":
                raise Broken(str(error)) from None
            raise


def _unreadable(error: Exception) -> errors.InvalidArgument:
    return errors.InvalidArgument("INVALID_UPDATE", f"The update cannot be read: {error}")
