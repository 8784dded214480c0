"""Times as they are kept: whole milliseconds since 1970."""

import datetime
import time


def now() -> int:
    """Give the time."""
    return time.time_ns() // 1_000_000


def moment(at: int) -> datetime.datetime:
    """Give a kept time as a date, in UTC."""
    return datetime.datetime.fromtimestamp(at / 1000, datetime.UTC)
