"""Edits of a text: finding the few that make one text another, applying and rebasing them."""

import bisect
import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_WORK = 1_000_000
"""Pairs of pieces that difflib is given at most: it may need more than the product of both."""

_TOKEN = re.compile(r"\w+|\r\n|\s|[^\w\s]")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Edit(NamedTuple):
    """One stretch of a text replaced. Several edits of one text all refer to it as it was."""

    offset: int
    """Code points before it."""
    deleted: str
    """What stood there; empty where text is only put in."""
    inserted: str
    """What stands there now; empty where text is only taken out."""

    @property
    def end(self) -> int:
        """Where what was deleted ended."""
        return self.offset + len(self.deleted)


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Apply edits, which come in order of offset and do not overlap.

    >>> apply("one two", [Edit(0, "one", "1"), Edit(7, "", "!")])
    '1 two!'
    """
    pieces, position = [], 0
    for edit in edits:
        pieces += [text[position : edit.offset], edit.inserted]
        position = edit.end
    return "".join([*pieces, text[position:]])


def difference(old: str, new: str) -> list[Edit]:
    r"""Find the edits that make `old` to `new`: of whole lines first, of words within them.

    In order of offset, none touching the next. Bounded in time: where long stretches differ that
    have no line in common which each has once, they become one edit.

    >>> difference("let x = 1\n", "let count = 1\n")
    [Edit(offset=4, deleted='x', inserted='count')]
    """
    if old == new:
        return []
    start, old_end, new_end = _trim(old, new)
    hunks = _hunks(_LINE.findall(old[start:old_end]), _LINE.findall(new[start:new_end]))
    found: list[Edit] = []
    for position, gone, come in _placed(hunks, start):
        words = _hunks(_TOKEN.findall(gone), _TOKEN.findall(come))
        for offset, less, more in _placed(words, position):
            before, less_end, more_end = _trim(less, more)
            edit = Edit(offset + before, less[before:less_end], more[before:more_end])
            _add(found, edit)
    return found


def rebase(edits: Sequence[Edit], over: Sequence[Edit]) -> list[Edit]:
    """Make edits of a text into edits of what `over`, edits of the same text, made of it.

    Nothing that either inserts is lost, and what either deletes is gone, but for the same edit
    on both sides, which is done once. At the same place, what `over` inserts comes first.

    >>> rebase([Edit(4, "", "big ")], over=[Edit(0, "the", "a")])
    [Edit(offset=2, deleted='', inserted='big ')]
    """
    rebased: list[Edit] = []
    same = set(over)
    for edit in edits:
        if edit in same:
            continue
        pieces = [(place, "") for place in _kept(edit, over)]
        if edit.inserted:
            place = _mapped(edit.offset, over, behind=bool(edit.deleted))
            rebased.append(Edit(place, "", edit.inserted))
        for (start, end), _ in pieces:
            gone = edit.deleted[start - edit.offset : end - edit.offset]
            rebased.append(Edit(_mapped(start, over, behind=True), gone, ""))
    joined: list[Edit] = []
    # An insertion within what the other side deleted may have come to stand behind a deletion.
    for edit in sorted(rebased, key=lambda each: (each.offset, bool(each.deleted))):
        _add(joined, edit)
    return joined


def carried(base: str, new: str, current: str) -> list[Edit]:
    """Make what was done to `base` to get `new` into edits of `current`, which base became too."""
    own = difference(base, new)
    return own if base == current else rebase(own, difference(base, current))


def merge(base: str, mine: str, theirs: str) -> str:
    """Merge two texts that were one. Loses no text that either side put in.

    >>> merge("a b c", "A b c", "a b C")
    'A b C'
    """
    if mine in (base, theirs):
        return theirs
    if theirs == base:
        return mine
    return apply(theirs, carried(base, mine, theirs))


def _trim(old: str, new: str) -> tuple[int, int, int]:
    """Give where two texts begin to differ, and where in each they end to."""
    start = _common(old, new)
    most = min(len(old), len(new)) - start
    end = _common(old[len(old) - most :][::-1], new[len(new) - most :][::-1])
    return start, len(old) - end, len(new) - end


def _common(one: str, other: str) -> int:
    """Count the characters two texts begin with alike; by halving, as comparing slices is fast."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while low + 1 < high:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


Hunk = tuple[str, str]


def _hunks(old: list[str], new: list[str]) -> list[Hunk]:
    """Align two lists of pieces; give what stays (twice the same) and what is replaced."""
    if len(old) * len(new) <= _WORK:
        return _aligned(old, new)
    found: list[Hunk] = []
    at_old = at_new = 0
    for anchor_old, anchor_new in [*_anchors(old, new), (len(old), len(new))]:
        between = old[at_old:anchor_old], new[at_new:anchor_new]
        if len(between[0]) * len(between[1]) <= _WORK:
            found += _aligned(*between)
        else:
            found.append(("".join(between[0]), "".join(between[1])))
        if anchor_old < len(old):
            found.append((old[anchor_old], new[anchor_new]))
        at_old, at_new = anchor_old + 1, anchor_new + 1
    return found


def _aligned(old: list[str], new: list[str]) -> list[Hunk]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=len(old) * len(new) > _WORK // 10)
    return [
        ("".join(old[i1:i2]), "".join(new[j1:j2])) for _, i1, i2, j1, j2 in matcher.get_opcodes()
    ]


def _anchors(old: list[str], new: list[str]) -> list[tuple[int, int]]:
    """Give the places of pieces that both have once, as many as stand in the same order."""
    counts_old, counts_new = Counter(old), Counter(new)
    places = {piece: place for place, piece in enumerate(new) if counts_new[piece] == 1}
    pairs = [
        (place, places[piece])
        for place, piece in enumerate(old)
        if counts_old[piece] == 1 and piece in places
    ]
    # The longest run of rising places: patience sorting.
    tops: list[int] = []
    piles: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(pairs):
        pile = bisect.bisect_left(tops, place)
        before.append(piles[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(place)
            piles.append(number)
        else:
            tops[pile], piles[pile] = place, number
    run: list[tuple[int, int]] = []
    number = piles[-1] if piles else -1
    while number >= 0:
        run.append(pairs[number])
        number = before[number]
    return run[::-1]


def _placed(hunks: list[Hunk], start: int) -> Iterable[tuple[int, str, str]]:
    for gone, come in hunks:
        if gone != come:
            yield start, gone, come
        start += len(gone)


def _add(found: list[Edit], edit: Edit) -> None:
    """Add an edit to those before it, joined with the last where they touch."""
    if found and found[-1].end == edit.offset:
        last = found[-1]
        edit = Edit(last.offset, last.deleted + edit.deleted, last.inserted + edit.inserted)
        found[-1] = edit
    else:
        found.append(edit)


def _kept(edit: Edit, over: Sequence[Edit]) -> list[tuple[int, int]]:
    """Give what of an edit's deletion the others left standing, cut where they inserted."""
    pieces, start = [], edit.offset
    for other in over:
        if other.end < start or other.offset >= edit.end:
            continue
        if other.offset > start:
            pieces.append((start, other.offset))
        start = max(start, other.end)
    if start < edit.end:
        pieces.append((start, edit.end))
    return pieces


def _mapped(place: int, over: Sequence[Edit], *, behind: bool) -> int:
    """Give where a place has gone to; `behind` what is put in exactly there, or before it."""
    shift = 0
    for other in over:
        if other.offset > place or (other.offset == place and other.deleted and not behind):
            break
        if other.offset == place and not behind and not other.deleted:
            # Both only insert: the other's comes first.
            shift += len(other.inserted)
            continue
        shift += len(other.inserted) - min(len(other.deleted), place - other.offset)
    return place + shift
