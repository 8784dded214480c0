"""The time as records keep it."""

import datetime
import time


def now() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def text(milliseconds: int) -> str:
    """Write a time for people, to the second."""
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
