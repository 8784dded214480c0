"""The few edits that make one text of another, so that what stays is not touched.

Whoever types in a stretch that stays keeps his cursor, and what he typed.
"""

import difflib
import itertools
from collections.abc import Sequence

Splice = tuple[int, int, str]
"""Code points before it, code points to take away, what to put there."""

_FINE = 2_000
"""Characters up to which a changed stretch is compared character by character."""
_LINES = 2_000
"""Lines up to which a changed stretch is compared line by line; past it, it is replaced."""


def splices(old: str, new: str) -> list[Splice]:
    """Return edits that make `new` of `old`: in descending order, not overlapping."""
    return [
        (start + at, size, put)
        for start, length, text in coarse(old, new)
        for at, size, put in reversed(_between(old[start : start + length], text))
    ]


def coarse(old: str, new: str) -> list[Splice]:
    """Return the one edit that replaces the whole stretch in which texts differ, if they do."""
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    before, after = old[start : len(old) - end], new[start : len(new) - end]
    return [(start, len(before), after)] if before or after else []


def _common(one: str, other: str) -> int:
    """Return the length of the longest common beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _between(old: str, new: str) -> list[Splice]:
    if not old or not new:
        return [(0, len(old), new)]
    if len(old) <= _FINE and len(new) <= _FINE:
        return [
            (i1, i2 - i1, new[j1:j2])
            for tag, i1, i2, j1, j2 in _matcher(old, new).get_opcodes()
            if tag != "equal"
        ]
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    if len(before) > _LINES or len(after) > _LINES or len(before) == len(after) == 1:
        return [(0, len(old), new)]
    starts = _starts(before)
    found: list[Splice] = []
    for tag, i1, i2, j1, j2 in _matcher(before, after).get_opcodes():
        if tag == "equal":
            continue
        lines, text = "".join(before[i1:i2]), "".join(after[j1:j2])
        fine = tag == "replace" and len(lines) <= _FINE and len(text) <= _FINE
        parts = _between(lines, text) if fine else [(0, len(lines), text)]
        found.extend((starts[i1] + at, length, put) for at, length, put in parts)
    return found


def _matcher(old: Sequence[str], new: Sequence[str]) -> difflib.SequenceMatcher[str]:
    # Not "autojunk": it takes what is frequent, such as an empty line, for worthless.
    return difflib.SequenceMatcher(None, old, new, autojunk=False)


def _starts(lines: Sequence[str]) -> list[int]:
    return [0, *itertools.accumulate(map(len, lines))]
