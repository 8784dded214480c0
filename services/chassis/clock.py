"""The wall clock, always UTC."""

import datetime


def now() -> datetime.datetime:
    """Return the current time, aware, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def iso(moment: datetime.datetime) -> str:
    """Write a time as ``2026-01-02T03:04:05.678Z``.

    ISO 8601 in UTC with milliseconds, the form of the specification's errors
    and of its log filter (``%Y-%m-%dT%H:%M:%S.%LZ``).

    Raises:
        ValueError: The time has no time zone, so it names no moment.

    """
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone names no moment")
    text = moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def parse(text: str) -> datetime.datetime:
    """Read a time as `iso` writes it, or any ISO 8601 form with a zone.

    Raises:
        ValueError: The text is no such time.

    """
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} has no time zone; end it with Z")
    return moment.astimezone(datetime.UTC)
