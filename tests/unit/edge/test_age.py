import datetime

import pytest

from services.edge import console


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "now"), (0, "now"), (59, "now"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"),
     (86399, "23 h"), (86400, "1 d"), (40 * 86400, "40 d")],
)  # fmt: skip
def test_age_is_in_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    """An age is short; a clock that is behind is no reason for negative ones."""
    assert console.age(datetime.timedelta(seconds=seconds)) == text
