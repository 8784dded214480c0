"""A page token is read back by the question it belongs to, and by no other."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.path import tokens
from tests.unit.path.test_names import NAMES


@given(question=st.binary(max_size=50), place=st.lists(NAMES, min_size=1, max_size=5).map(tuple))
def test_round_trip(question: bytes, place: tuple[bytes, ...]) -> None:
    """Whatever the names, the place is the same."""
    assert tokens.read(question, tokens.write(question, place)) == place


@given(
    token=st.text(max_size=60)
    | st.binary(max_size=60).map(lambda b: base64.urlsafe_b64encode(b).decode())
)
def test_no_other_token(token: str) -> None:
    """What is none is refused, whatever it is."""
    with pytest.raises(ValueError, match="next_page_token"):
        tokens.read(b"question", token)


def test_another_question() -> None:
    """A token goes with path, depth and patterns."""
    token = tokens.write(b"one", (b"a",))
    with pytest.raises(ValueError, match="next_page_token"):
        tokens.read(b"another", token)
