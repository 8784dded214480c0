"""The edits that make one text of another."""

import itertools
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.collaboration import texts
from services.collaboration.difference import splices

TEXT = st.text(alphabet="ab \n\r\té🙂漢", max_size=60)


def applied(old: str, edits: list[tuple[int, int, str]]) -> str:
    """Apply edits in the order given."""
    for start, length, text in edits:
        old = old[:start] + text + old[start + length :]
    return old


@given(old=TEXT, new=TEXT)
@example(old="x" * 3000 + "\n", new="y\n" * 1000)
@example(old="a\n" * 3000, new="b\n" * 3000)
def test_edits_make_the_new_text(old: str, new: str) -> None:
    """Applied in order they give exactly the new text; they descend and do not overlap."""
    edits = splices(old, new)
    assert applied(old, edits) == new
    for (later, _, _), (start, length, _) in itertools.pairwise(edits):
        assert start + length <= later
    assert all(length or text for _, length, text in edits)


@given(text=TEXT)
def test_what_is_the_same_is_not_touched(text: str) -> None:
    """No edit for no difference."""
    assert splices(text, text) == []


@pytest.mark.parametrize(
    ("old", "new", "edits"),
    [
        ("one two three", "one 2 three", [(4, 3, "2")]),
        ("a\nb\nc\n", "a\nc\n", [(2, 2, "")]),
        ("", "new", [(0, 0, "new")]),
        ("old", "", [(0, 3, "")]),
        ("🙂🙂", "🙂x🙂", [(1, 0, "x")]),
    ],
)
def test_edits_are_small(old: str, new: str, edits: list[tuple[int, int, str]]) -> None:
    """What stays is left out of them, in code points."""
    assert splices(old, new) == edits


def test_changes_far_apart_stay_apart() -> None:
    """Two lines changed in a long text are two small edits, not one large one."""
    lines = [f"line {number}\n" for number in range(1900)]
    changed = list(lines)
    changed[3], changed[1800] = "line three\n", "line 1800!\n"
    edits = splices("".join(lines), "".join(changed))
    assert applied("".join(lines), edits) == "".join(changed)
    assert sum(length + len(text) for _, length, text in edits) < 20


@given(old=TEXT, new=TEXT, step=st.integers(1, 20))
def test_edits_in_bytes_make_the_new_text(old: str, new: str, step: int) -> None:
    """Cut into steps that are small enough, in bytes as documents count."""
    with mock.patch.object(texts, "_STEP", step):
        edits = texts._fine(old, new)
    content = old.encode()
    for one in edits:
        assert len(one.inserted) <= step
        content = content[: one.start] + one.inserted.encode() + content[one.start + one.length :]
    assert content.decode() == new
