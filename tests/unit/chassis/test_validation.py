import pytest

from services.chassis import errors, validation


def test_nothing_wrong_passes() -> None:
    """No violations, no error."""
    wrong = validation.Violations()
    wrong.check()
    assert not wrong


def test_everything_wrong_is_told_at_once() -> None:
    """All fields, in the violations and in the details; the first in the message."""
    wrong = validation.Violations()
    wrong.add("id", "must be a name")
    wrong.add("ports.web", "must be at least 1024")
    assert wrong
    with pytest.raises(errors.InvalidArgument) as caught:
        wrong.check()
    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.message == "id: must be a name (and 1 more)"
    assert caught.value.details == "id: must be a name; ports.web: must be at least 1024"
    assert [one.field for one in caught.value.violations] == ["id", "ports.web"]


def test_very_much_wrong_is_cut() -> None:
    """A client cannot make an answer that is larger than headers may be."""
    wrong = validation.Violations()
    for number in range(1000):
        wrong.add(f"items[{number}]", "bad")
    with pytest.raises(errors.InvalidArgument) as caught:
        wrong.check()
    assert len(caught.value.violations) == 20
    assert caught.value.details.endswith("and 980 more")


@pytest.mark.parametrize(
    ("text", "problem"),
    [("2Gb", "did you mean Gi"), ("-1", "negative"), ("0", "at least 1Mi, is 0"),
     ("9Gi", "at most 8Gi, is 9Gi")],
)  # fmt: skip
def test_sizes_are_read_and_bounded(text: str, problem: str) -> None:
    """Unreadable and out of bounds alike name the field."""
    wrong = validation.Violations()
    wrong.memory("config.memory", text, most=8 * 1024**3)
    with pytest.raises(errors.InvalidArgument, match=problem) as caught:
        wrong.check()
    assert caught.value.violations[0].field == "config.memory"


def test_right_amounts_are_given_back() -> None:
    """In millicores and in bytes."""
    wrong = validation.Violations()
    assert wrong.cpu("cpu", "500m") == 500
    assert wrong.memory("memory", "2Gi") == 2 * 1024**3
    assert wrong.cpu("cpu", "0") == 0
    assert wrong
