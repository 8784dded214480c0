"""Names survive being written as text; no path leaves where it begins."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.path import names
from services.path.local import reasons

NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: not {0, 47} & set(name))
"""Any name a file may have."""


@given(NAMES)
def test_every_name_survives(name: bytes) -> None:
    """Whatever the bytes, what is written is UTF-8 and is read back as the same."""
    written = names.text(name)
    written.encode()
    assert names.raw(written) == name


@given(st.lists(NAMES, max_size=5))
def test_every_path_survives(parts: list[bytes]) -> None:
    """A path that was told can be asked for."""
    kept = [part for part in parts if part not in (b".", b"..")]
    assert names.relative(names.join(kept)) == tuple(kept)


@given(
    st.text()
    | NAMES.map(names.text)
    | st.lists(st.sampled_from(["..", ".", "a", ""]), max_size=6).map("/".join)
)
def test_no_path_goes_up(written: str) -> None:
    """Whatever is accepted is plain names: no slash, no NUL, not up, of a length that exists."""
    try:
        parts = names.relative(written)
    except names.BadPathError:
        return
    for part in parts:
        assert part not in (b"", b".", b"..")
        assert not {0, 47} & set(part)
        assert len(part) <= names.LONGEST_NAME


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("/etc/passwd", "relative"),
        ("../x", '".."'),
        ("a/../b", '".."'),
        ("a/..", '".."'),
        (r"a/\x2e\x2e/b", '".."'),
        (r"\x2fetc", "relative"),
        ("a\0b", "NUL"),
        (r"a\x00b", "NUL"),
        ("a" * 256, "255"),
        ("a/" * 2048, "4095"),
    ],
)
def test_what_is_no_path(written: str, says: str) -> None:
    """Refused with the reason, however it is written."""
    with pytest.raises(names.BadPathError, match=says):
        names.relative(written)


@pytest.mark.parametrize("module", [names, reasons])
def test_examples(module: object) -> None:
    """The examples in the documentation are true."""
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
