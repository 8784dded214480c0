"""Showing things: tables for people, JSON and YAML for programs."""

import datetime
import enum
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import rich.box
import rich.console
import rich.table
import rich.text
import yaml

_COLOURS = {
    "RUNNING": "green",
    "STOPPED": "dim",
    "FAILED": "red",
    "FAILING": "red",
    "PENDING": "yellow",
    "STARTING": "yellow",
    "STOPPING": "yellow",
    "DELETING": "yellow",
}


class Format(enum.StrEnum):
    """How to show a result."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def structured(fields: Any, format_: Format) -> None:
    """Show what REST would give, as JSON or YAML."""
    if format_ is Format.JSON:
        print(json.dumps(fields, indent=2, ensure_ascii=False))
    else:
        print(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True), end="")


def structured_item(fields: Any, format_: Format) -> None:
    """Show one of many that arrive over time: a line of JSON, or a YAML document."""
    if format_ is Format.JSON:
        print(json.dumps(fields, ensure_ascii=False), flush=True)
    else:
        document = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
        print(f"---\n{document}", end="", flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str = "") -> None:
    """Show rows in columns: coloured on a terminal, plain and stable elsewhere.

    Where there are none, says `empty` to a person and shows the head alone to a program.
    """
    rows = [[cell or "-" for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in plain([list(head), *rows]):
            print(line)
        return
    if not rows and empty:
        print(empty)
        return
    shown = rich.table.Table(*head, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        shown.add_row(*(rich.text.Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    rich.console.Console(highlight=False).print(shown)


def plain(rows: Sequence[Sequence[str]]) -> list[str]:
    """Line up cells in columns with two spaces between."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def details(pairs: Iterable[tuple[str, str]]) -> None:
    """Show the facts of one thing, a line each; what is empty is left out."""
    known = [(name, value) for name, value in pairs if value]
    width = max(len(name) for name, _ in known) + 1
    console = rich.console.Console(highlight=False, soft_wrap=True)
    for name, value in known:
        text = rich.text.Text.assemble(
            (f"{name}:".ljust(width), "bold"), " ", (value, _COLOURS.get(value, ""))
        )
        console.print(text)


def say(text: str) -> None:
    """Tell a person something that is not the result: on standard error."""
    rich.console.Console(stderr=True, highlight=False, soft_wrap=True).print(rich.text.Text(text))


def age(since: datetime.datetime | None) -> str:
    """Say how long ago something was, in one unit."""
    if since is None:
        return ""
    seconds = max(0, int((datetime.datetime.now(datetime.UTC) - since).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def moment(time: datetime.datetime | None) -> str:
    """Write a time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ") if time else ""


def mapping(values: dict[str, str]) -> str:
    """Write a mapping in one line."""
    return ", ".join(f"{key}={value}" for key, value in sorted(values.items()))
