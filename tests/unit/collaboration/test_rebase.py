"""Edits carried over others' changes, against Yjs itself and against plain text."""

import pycrdt
from hypothesis import given
from hypothesis import strategies as st

from services.collaboration import rebase
from services.collaboration.rebase import Edit

ALPHABET = st.sampled_from("abc\né漢🙂 ")
TEXTS = st.text(ALPHABET, max_size=12)


@st.composite
def splices(draw: st.DrawFn, length: int) -> tuple[int, int, str]:
    start = draw(st.integers(0, length))
    return start, draw(st.integers(0, length - start)), draw(st.text(ALPHABET, max_size=3))


@st.composite
def stretches(draw: st.DrawFn, text: str) -> list[tuple[int, int, str]]:
    """Draw edits that do not overlap, in any order, by code points."""
    found: list[tuple[int, int, str]] = []
    at = 0
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(at, len(text)))
        end = draw(st.integers(start, len(text)))
        found.append((start, end, draw(st.text(ALPHABET, max_size=3))))
        at = end
    return draw(st.permutations(found))


def utf8(text: str, place: int) -> int:
    return len(text[:place].encode())


def applied(text: bytes, done: list[rebase.Splice]) -> str:
    for one in done:
        text = text[: one.start] + one.inserted.encode() + text[one.start + one.length :]
    return text.decode()


@given(st.data())
def test_without_others_changes(data: st.DataObject) -> None:
    """All edits refer to the same text, whatever their order."""
    text = data.draw(TEXTS)
    edits = data.draw(stretches(text))
    given_ = [Edit(utf8(text, a), utf8(text, b), what) for a, b, what in edits]
    assert rebase.overlapping(given_) is None
    inserted = [what for _, _, what in edits]
    moved = rebase.carry(given_, [])
    now = applied(text.encode(), rebase.splices(moved, inserted))
    expected, at = "", 0
    for number in sorted(range(len(edits)), key=lambda one: (edits[one][0], edits[one][1], one)):
        start, end, what = edits[number]
        same = [one for one in edits if one[0] == start]
        if len(same) > 1:
            return  # several at one place: their order is tested below
        expected += text[at:start] + what
        at = end
    assert now == expected + text[at:]
    for place, what in zip(rebase.places(moved, inserted), inserted, strict=True):
        assert now.encode()[place:].startswith(what.encode())
    assert not any(one.conflict for one in moved)


@given(st.data())
def test_over_others_changes(data: st.DataObject) -> None:
    """What others put in stays, what they took out stays out, and each text is put in once."""
    text = data.draw(st.text(st.sampled_from("abcdé🙂"), max_size=12))
    doc: pycrdt.Doc = pycrdt.Doc()
    root = doc.get("content", type=pycrdt.Text)
    root.insert(0, text)
    deltas: list = []
    subscription = root.observe(lambda event: deltas.append(event.delta))
    for _ in range(data.draw(st.integers(0, 4))):
        before = str(root)
        start, length, what = data.draw(splices(len(before)))
        a, b = utf8(before, start), utf8(before, start + length)
        with doc.transaction():
            if b > a:
                del root[a:b]
            if what:
                root.insert(a, what.upper().replace("É", "X"))
    root.unobserve(subscription)
    edits = [(a, b, "<" * (b - a + 1)) for a, b, _ in data.draw(stretches(text))]
    given_ = [Edit(utf8(text, a), utf8(text, b), what) for a, b, what in edits]
    moved = rebase.carry(given_, deltas)
    inserted = [what for _, _, what in edits]
    theirs = str(root)
    done = rebase.splices(moved, inserted)
    assert [one.start for one in done] == sorted((one.start for one in done), reverse=True)
    now = applied(theirs.encode(), done)
    assert now.count("<") == sum(map(len, inserted))
    # Capital letters and separators came from others only: none is lost.
    for letter in "ABC\n漢 X":
        assert now.count(letter) == theirs.count(letter)
    for place, what in zip(rebase.places(moved, inserted), inserted, strict=True):
        assert now.encode()[place:].startswith(what.encode())


def test_several_at_one_place_keep_their_order() -> None:
    """Insertions at one place, and a replacement that begins there, come in the order given."""
    edits = [Edit(1, 1, "x"), Edit(1, 3, "y"), Edit(1, 1, "z")]
    moved = rebase.carry(edits, [])
    assert applied(b"abcd", rebase.splices(moved, ["x", "y", "z"])) == "axyzd"
    assert rebase.places(moved, ["x", "y", "z"]) == [1, 2, 3]


def test_overlaps() -> None:
    """Edits that reach into each other are found, touching ones are none."""
    assert rebase.overlapping([Edit(0, 2, ""), Edit(2, 4, ""), Edit(2, 2, "")]) is None
    assert rebase.overlapping([Edit(3, 5, ""), Edit(0, 4, "")]) == (0, 1)
    assert rebase.overlapping([Edit(0, 4, ""), Edit(2, 2, "x")]) == (0, 1)


def test_conflicts() -> None:
    """The same place is a stretch that changed within, or the very place of an insertion."""

    def conflicts(edit: Edit, delta: list[dict]) -> bool:
        return rebase.carry([edit], [delta])[0].conflict

    within = [{"retain": 3}, {"insert": "new"}]
    assert conflicts(Edit(2, 4, ""), within)
    assert conflicts(Edit(3, 3, "x"), within)
    assert not conflicts(Edit(3, 5, "x"), within)
    assert not conflicts(Edit(1, 3, "x"), within)
    assert not conflicts(Edit(4, 4, "x"), within)
    gone = [{"retain": 3}, {"delete": 2}]
    assert conflicts(Edit(4, 6, ""), gone)
    assert conflicts(Edit(4, 4, "x"), gone)
    assert not conflicts(Edit(5, 6, ""), gone)
    assert not conflicts(Edit(3, 3, "x"), gone)
