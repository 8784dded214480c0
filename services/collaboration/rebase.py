"""Carries edits over from the text they refer to, to the text as it is now. Pure decisions.

Others' changes since come as deltas of Yjs: what is kept, put in and taken out, from the
beginning of the text, in bytes of UTF-8. An edit is a stretch to take out and a text to put in
its place: what others put into the stretch stays, what they took out of it is gone already, and
where both put something at one place, ours comes behind theirs.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Edit:
    """One edit, at its place in the text it refers to; in bytes of UTF-8."""

    start: int
    end: int
    """Behind the last byte to take out."""
    inserted: str


@dataclasses.dataclass(slots=True)
class Moved:
    """An edit, at its place in a later text."""

    at: int
    """Where to put in."""
    pieces: list[tuple[int, int]]
    """What to take out: stretches in ascending order, none of them empty."""
    conflict: bool = False
    """Whether others changed the same place."""


@dataclasses.dataclass(frozen=True, slots=True)
class Splice:
    """A stretch of the text and what takes its place; in bytes of UTF-8."""

    start: int
    length: int
    inserted: str


def overlapping(edits: Sequence[Edit]) -> tuple[int, int] | None:
    """Return the numbers of two edits of which one reaches into the other; None for none.

    Edits that touch do not overlap, nor do several that put something in at one place.
    """
    order = sorted(range(len(edits)), key=lambda one: (edits[one].start, edits[one].end))
    for before, after in itertools.pairwise(order):
        if edits[after].start < edits[before].end:
            return min(before, after), max(before, after)
    return None


def carry(edits: Iterable[Edit], deltas: Iterable[Sequence[dict[str, Any]]]) -> list[Moved]:
    """Carry edits over others' changes, in the order given."""
    moved = [
        Moved(one.start, [(one.start, one.end)] if one.end > one.start else []) for one in edits
    ]
    for delta in deltas:
        position = 0
        for step in delta:
            if "retain" in step:
                position += int(step["retain"])
            elif "insert" in step:
                length = _length(step["insert"])
                for one in moved:
                    _make_room(one, position, length)
                position += length
            else:
                for one in moved:
                    _close_up(one, position, int(step["delete"]))
    return moved


def splices(moved: Sequence[Moved], inserted: Sequence[str]) -> list[Splice]:
    """Return what to do to the text, in descending order; edits at one place in the order given."""
    stretches: dict[int, int] = {}
    texts: dict[int, list[str]] = {}
    for one, text in zip(moved, inserted, strict=True):
        texts.setdefault(one.at, []).append(text)
        for start, end in one.pieces:
            # Two edits may have come to touch or to cover one place: others took out what lay
            # between.
            stretches[start] = max(stretches.get(start, 0), end - start)
    return [
        Splice(start, stretches.get(start, 0), "".join(texts.get(start, ())))
        for start in sorted(stretches.keys() | texts.keys(), reverse=True)
    ]


def places(moved: Sequence[Moved], inserted: Sequence[str]) -> list[int]:
    """Return where each edit's text stands when all are done, in bytes."""
    found = []
    for number, one in enumerate(moved):
        place = one.at
        for other, text in zip(moved, inserted, strict=True):
            place -= sum(min(end, one.at) - start for start, end in other.pieces if start < one.at)
            if other.at < one.at:
                place += len(text.encode())
        for other, text in zip(moved[:number], inserted, strict=False):
            if other.at == one.at:
                place += len(text.encode())
        found.append(place)
    return found


def _make_room(one: Moved, position: int, length: int) -> None:
    """Take account of something put in by others."""
    if not one.pieces:
        one.conflict |= position == one.at
    one.at += length if position <= one.at else 0
    pieces = []
    for start, end in one.pieces:
        if position <= start:
            pieces.append((start + length, end + length))
        elif position >= end:
            pieces.append((start, end))
        else:
            one.conflict = True
            pieces += [(start, position), (position + length, end + length)]
    one.pieces = pieces


def _close_up(one: Moved, position: int, length: int) -> None:
    """Take account of something taken out by others."""
    gone = position + length
    if position < one.at < gone:
        one.conflict = True
    one.at = _shifted(one.at, position, gone)
    pieces = []
    for start, end in one.pieces:
        one.conflict |= position < end and start < gone
        moved = _shifted(start, position, gone), _shifted(end, position, gone)
        if moved[0] < moved[1]:
            pieces.append(moved)
    one.pieces = pieces


def _shifted(place: int, start: int, end: int) -> int:
    if place <= start:
        return place
    return start if place <= end else place - (end - start)


def _length(inserted: object) -> int:
    """Return the length of what was put in; what is no text takes the place of one unit."""
    return len(inserted.encode()) if isinstance(inserted, str) else 1
