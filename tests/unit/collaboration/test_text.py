"""Units of text: code points, UTF-16 and bytes of UTF-8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.collaboration import text
from services.collaboration.text import Lines, OffsetError, Unit

TEXTS = st.text(st.sampled_from("ab\r\né漢🙂\u0301\u2028"), max_size=30)


def test_pycrdt_counts_bytes() -> None:
    """The version installed counts as we convert."""
    text.check_unit()


@given(TEXTS, st.data())
def test_offsets(content: str, data: st.DataObject) -> None:
    """An offset in either unit is found again, and cuts no character."""
    place = data.draw(st.integers(0, len(content)))
    before = content[:place]
    assert text.from_unit(content, place, Unit.CODE_POINT) == place
    assert text.from_unit(content, len(before.encode("utf-16-le")) // 2, Unit.UTF16) == place
    assert text.byte_offset(content, place) == len(before.encode())


@given(TEXTS, st.data())
def test_lines(content: str, data: st.DataObject) -> None:
    """Lines end with LF, CR LF or CR, and with nothing else."""
    lines = Lines(content)
    split = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert len(lines) == len(split)
    number = data.draw(st.integers(0, len(split) - 1))
    column = data.draw(st.integers(0, len(split[number])))
    place = lines.offset(number, column, Unit.CODE_POINT)
    assert content[place : place + len(split[number]) - column] == split[number][column:]
    with pytest.raises(OffsetError, match="column"):
        lines.offset(number, len(split[number]) + 1, Unit.CODE_POINT)
    with pytest.raises(OffsetError, match="line"):
        lines.offset(len(split), 0, Unit.CODE_POINT)


def test_a_pair_is_not_split() -> None:
    """Half a character is no place."""
    with pytest.raises(OffsetError, match="surrogate pair"):
        text.from_unit("a🙂b", 2, Unit.UTF16)
    assert text.from_unit("a🙂b", 3, Unit.UTF16) == 2
    with pytest.raises(OffsetError, match="has 4"):
        text.from_unit("a🙂b", 5, Unit.UTF16)
    with pytest.raises(OffsetError, match="negative"):
        text.from_unit("a", -1, Unit.CODE_POINT)
