"""What a room has to send: its edits in order, merged and serialised once for all receivers."""

import collections
import dataclasses
from collections.abc import Callable

import pycrdt

from services.collaboration.subscriber import Subscriber

Encode = Callable[[bytes], bytes]
"""Makes a protocol's frame of an update."""

_MOST = 2000
"""Segments kept at most: of a room that is busy all the time, the last 20 seconds."""
_MERGED_AT_ONCE = 100
"""Updates merged in one go: merging is quadratic."""


class Behind(Exception):  # noqa: N818 - an answer more than an error
    """What was asked for is not kept any more."""


@dataclasses.dataclass(slots=True)
class _Segment:
    update: bytes
    owner: Subscriber | None
    """The only client whose edits it holds; None for those of several, or of another replica."""


class Segments:
    """The newest edits of a room, one segment for each round of sending.

    Every client has a place in it; none has a queue of its own. So the memory of a room is
    bounded by one number, however many are slow.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: collections.deque[_Segment] = collections.deque()
        self._start = 0
        self._bytes = 0
        self._open: list[tuple[bytes, Subscriber | None]] = []
        self._frames: dict[tuple[int, Encode], bytes] = {}

    @property
    def end(self) -> int:
        """The place behind the newest segment."""
        return self._start + len(self._kept)

    @property
    def waiting(self) -> bool:
        """Whether there are edits in no segment yet."""
        return bool(self._open)

    def add(self, update: bytes, owner: Subscriber | None) -> None:
        """Add an edit; it is sent with the segment that is closed next."""
        self._open.append((update, owner))

    def close(self, keep: bool) -> None:
        """Make a segment of what was added; without receivers nothing is kept."""
        if not self._open:
            return
        owners = {owner for _, owner in self._open}
        update = merge([update for update, _ in self._open])
        self._open.clear()
        self._frames.clear()
        if not keep:
            self._start += len(self._kept) + 1
            self._kept.clear()
            self._bytes = 0
            return
        self._kept.append(_Segment(update, owners.pop() if len(owners) == 1 else None))
        self._bytes += len(update)
        while len(self._kept) > 1 and (self._bytes > self._most_bytes or len(self._kept) > _MOST):
            self._drop()

    def drop_before(self, place: int) -> None:
        """Let go of what every client has been given."""
        while self._kept and self._start < place:
            self._drop()

    def frame(self, place: int, reader: Subscriber, encode: Encode) -> bytes | None:
        """Return one frame of everything from a place on; None for nothing but the reader's own.

        Raises:
            Behind: It is not kept any more.
        """
        if place < self._start:
            raise Behind
        behind = len(self._kept) - (place - self._start)
        if behind == 1:
            only = self._kept[-1]
            if only.owner is reader:
                return None
        elif all(one.owner is reader for one in self._last(behind)):
            return None
        frame = self._frames.get((place, encode))
        if frame is None:
            frame = encode(merge([one.update for one in self._last(behind)]))
            self._frames[place, encode] = frame
        return frame

    def _last(self, count: int) -> list[_Segment]:
        length = len(self._kept)
        return [self._kept[number] for number in range(length - count, length)]

    def _drop(self) -> None:
        self._bytes -= len(self._kept.popleft().update)
        self._start += 1


def merge(updates: list[bytes]) -> bytes:
    """Return one update of many."""
    while len(updates) > 1:
        updates = [
            pycrdt.merge_updates(*updates[start : start + _MERGED_AT_ONCE])
            for start in range(0, len(updates), _MERGED_AT_ONCE)
        ]
    return updates[0]
