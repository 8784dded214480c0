"""Reading what people write: K=V pairs, lengths of time."""

import datetime
import re
from collections.abc import Iterable

import typer

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def pairs(items: Iterable[str], option: str) -> dict[str, str]:
    """Read K=V items. Raises typer.BadParameter."""
    found: dict[str, str] = {}
    for item in items:
        key, separator, value = item.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{item!r} is not KEY=VALUE", param_hint=option)
        found[key] = value
    return found


def duration(text: str) -> datetime.timedelta:
    """Read a length of time: seconds, or a number with s, m, h or d. Raises ValueError.

    >>> duration("90"), duration("2h")
    (datetime.timedelta(seconds=90), datetime.timedelta(seconds=7200))
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no length of time; write it like 90s, 30m, 8h or 7d")
    return datetime.timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def duration_option(text: str | None) -> datetime.timedelta | None:
    """Read a length of time given as an option."""
    if text is None:
        return None
    try:
        return duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def quoted(value: str) -> str:
    """Write a value as a filter's string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def filter_of(
    text: str = "", namespace: str = "", state: str = "", labels: Iterable[str] = ()
) -> str:
    """Join a filter's terms; the options are only other words for some of them."""
    terms = [text] if text else []
    if namespace:
        terms.append(f"namespace = {quoted(namespace)}")
    if state:
        terms.append(f"state = {state.upper()}")
    terms += [f"labels.{k} = {quoted(v)}" for k, v in pairs(labels, "--label").items()]
    return " AND ".join(terms)
