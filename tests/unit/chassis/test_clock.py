import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import clock


def test_times_are_written_as_the_specification_says() -> None:
    """UTC, milliseconds, Z."""
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678_999, datetime.UTC)
    assert clock.iso(moment) == "2026-01-02T03:04:05.678Z"
    east = datetime.timezone(datetime.timedelta(hours=2))
    assert clock.iso(moment.astimezone(east)) == "2026-01-02T03:04:05.678Z"
    assert clock.now().tzinfo is datetime.UTC


@given(st.datetimes(timezones=st.just(datetime.UTC)))
def test_times_survive_writing_and_reading(moment: datetime.datetime) -> None:
    """To the millisecond."""
    read = clock.parse(clock.iso(moment))
    assert moment - read < datetime.timedelta(milliseconds=1)
    assert read <= moment


def test_a_time_without_a_zone_is_refused() -> None:
    """It names no moment."""
    with pytest.raises(ValueError, match="zone"):
        clock.iso(datetime.datetime(2026, 1, 2))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="zone"):
        clock.parse("2026-01-02T03:04:05")
