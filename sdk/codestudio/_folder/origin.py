"""From which text an editor made the one it saved.

Not always from what stood in the file: an editor that has a file open saves over what others did
to it meanwhile, warning or not. Taken by its letter that would delete what they did. So the texts
that a file had lately are kept, and a save is taken to be made from the one it is nearest to.
"""

import time
from collections import deque
from collections.abc import Iterable

from codestudio._folder.records import Former, Record
from codestudio._live import edits

_MOST = 16
_BYTES = 4 * 1024**2
_SECONDS = 900.0
_REMEMBERED = 128 * 1024
"""Characters of texts that the next run is told of."""


class History:
    """The texts a file had before others' edits were written into it."""

    def __init__(self, remembered: Iterable[Former] = ()) -> None:
        self._texts = deque(remembered, maxlen=_MOST)

    def replaced(self, text: str | None) -> None:
        """Take note that a text stood in the file until now."""
        if text is not None:
            self._texts.append(Former(time.time(), text))

    def to_remember(self) -> tuple[Former, ...]:
        """Give what the next run is to know, oldest first."""
        now, size = time.time(), 0
        newest = []
        for one in reversed(self._texts):
            size += len(one.text)
            if size > _REMEMBERED or now - one.until >= _SECONDS:
                break
            newest.append(one)
        return tuple(reversed(newest))

    def origin_of(self, saved: str, current: str) -> str:
        """Tell from which text a saved one was made: what stands in the file, or an older one.

        An older text that comes back to the letter was brought back: made from what stands there.
        """
        now = time.time()
        recent = [one.text for one in reversed(self._texts) if now - one.until < _SECONDS]
        kept, size = [current], 0
        for text in recent:
            size += len(text)
            if text == saved or size > _BYTES:
                return current if text == saved else nearest(saved, kept)
            kept.append(text)
        return nearest(saved, kept)


def nearest(saved: str, texts: Iterable[str]) -> str:
    """Give the text that has to be changed least to be the saved one; the first of equals."""

    def distance(text: str) -> int:
        found = edits.difference(text, saved)
        return sum(len(each.deleted) + len(each.inserted) for each in found)

    return min(texts, key=distance)


def remembered(disk: str | None, record: Record, state: str) -> str | None:
    """Tell which text the file had when it was looked at last.

    A run that was killed may have written the state's text, or not: the one it is nearest to.
    Where it is gone, what is remembered decides: if that is old, the file comes again.
    """
    if disk is None or record.base is None or disk == record.base:
        return record.base
    return nearest(disk, (state, record.base))
