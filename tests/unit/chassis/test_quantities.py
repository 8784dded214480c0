import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import quantities


@given(st.integers(0, quantities.MAX_MILLICORES))
def test_cpu_survives_writing_and_reading(millicores: int) -> None:
    """Every amount reads back as itself."""
    assert quantities.parse_cpu(quantities.format_cpu(millicores)) == millicores


@given(st.integers(0, quantities.MAX_BYTES))
def test_sizes_survive_writing_and_reading(size: int) -> None:
    """Every size reads back as itself."""
    assert quantities.parse_memory(quantities.format_memory(size)) == size


@given(st.integers(0, 6), st.integers(1, 1023))
def test_sizes_are_written_with_the_largest_whole_unit(power: int, count: int) -> None:
    """A multiple of a binary unit is written in it."""
    if count * 1024**power > quantities.MAX_BYTES:
        return
    unit = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")[power]
    assert quantities.format_memory(count * 1024**power) == f"{count}{unit}"


@given(st.integers(0, 10**6), st.sampled_from(["Ki", "Mi", "Gi", "k", "M", "G"]))
def test_units_scale(count: int, unit: str) -> None:
    """A number with a unit is the number times the unit."""
    one = quantities.parse_memory(f"1{unit}")
    assert quantities.parse_memory(f"{count}{unit}") == count * one


@given(st.decimals(0, 10**6, places=3))
def test_cpu_in_cores_is_exact(cores: decimal.Decimal) -> None:
    """Fractions are decimal, not binary: 0.1 of a core is 100m."""
    assert quantities.parse_cpu(f"{cores:f}") == int(cores * 1000)


@pytest.mark.parametrize(
    ("text", "millicores"),
    [("500m", 500), ("2", 2000), ("0.5", 500), (".5", 500), ("1.", 1000), ("1e1", 10_000)],
)
def test_forms_of_cpu(text: str, millicores: int) -> None:
    """Kubernetes' forms are read."""
    assert quantities.parse_cpu(text) == millicores


@pytest.mark.parametrize(
    ("text", "size"),
    [("2Gi", 2**31), ("1.5Gi", 3 * 2**29), ("1G", 10**9), ("1024", 1024), ("1E", 10**18),
     ("1e3", 1000), ("1e+3", 1000), ("0", 0)],
)  # fmt: skip
def test_forms_of_size(text: str, size: int) -> None:
    """Kubernetes' forms are read; E is exa, e an exponent."""
    assert quantities.parse_memory(text) == size


@pytest.mark.parametrize(
    "text",
    ["", " ", "-1", "-500m", "+1", "m", "1mm", "500M", "0.5m", "0.0001", "1 ", " 1", "1,5", "abc",
     "1e999", "9" * 31, "9" * 20, "NaN", "Infinity", "0x1", "\uff11", "1\n", "--1", "1e-5"],
)  # fmt: skip
def test_what_is_no_cpu(text: str) -> None:
    """Refused with a text that shows it, and never by another exception."""
    with pytest.raises(ValueError, match="CPU"):
        quantities.parse_cpu(text)


@pytest.mark.parametrize(
    "text",
    ["", "-1", "-2Gi", "2Gb", "2GB", "2gi", "2 Gi", "500m", "0.5", "8Ei", "1e19", "1KiB", "Gi"],
)
def test_what_is_no_size(text: str) -> None:
    """The same for sizes."""
    with pytest.raises(ValueError, match="size"):
        quantities.parse_memory(text)


def test_a_wrong_unit_gets_a_hint() -> None:
    """The commonest slip is told what it should be."""
    with pytest.raises(ValueError, match="did you mean Gi"):
        quantities.parse_memory("2Gb")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Never another exception, and never a long message: it travels in headers."""
    for parse in (quantities.parse_cpu, quantities.parse_memory):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert len(str(error)) < 600  # noqa: PT017 - both ways are right
