"""`codestudio paths`."""

import datetime
import itertools
from collections.abc import Iterable
from typing import Annotated

import typer

import codestudio
from codestudio.cli import _exit, _output
from codestudio.cli._session import Session, command

app = typer.Typer(
    no_args_is_help=True, help="Where an instance's directories are, and what is in them."
)

Id = Annotated[str, typer.Argument(help="Id of the instance.", metavar="ID")]

_KIB = 1024
_UNITS = ("B", "K", "M", "G", "T")


@command(
    app,
    "info",
    epilog="Example: codestudio paths info blue-fox --refresh",
)
def info(
    session: Session,
    instance_id: Id,
    *,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Look now, not at what is kept up to 5 minutes.")
    ] = False,
) -> None:
    """Show an instance's directories and whether they can be used."""
    with session.client() as client:
        found = client.paths.info(instance_id, refresh=refresh)
    session.show(found.to_dict(), lambda: _info(found))


@command(
    app,
    "validate",
    epilog="Example: codestudio paths validate blue-fox workspace/src workspace/README.md",
)
def validate(
    session: Session,
    instance_id: Id,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Paths from the instance's own directory; all its directories if none."
        ),
    ] = None,
) -> None:
    """Tell of each path whether it exists and can be used; exit code 1 if one cannot."""
    with session.client() as client:
        found = client.paths.validate(instance_id, paths or ())
    session.show(found.to_dict(), lambda: _details(found.details))
    if not found:
        raise typer.Exit(_exit.ExitCode.ERROR)


@command(
    app,
    "tree",
    epilog="Example: codestudio paths tree blue-fox src --depth 2 --ignore '*.map'",
)
def tree(
    session: Session,
    instance_id: Id,
    path: Annotated[str, typer.Argument(help="Directory in the workspace to begin at.")] = "",
    *,
    depth: Annotated[int, typer.Option(help="Levels to show; 0 for all.", min=0, max=64)] = 0,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", "-i", help="Leave this out; a pattern as in .gitignore."),
    ] = None,
    include_ignored: Annotated[
        bool,
        typer.Option("--include-ignored", help="Show what .gitignore leaves out, and .git."),
    ] = False,
    limit: Annotated[int, typer.Option(help="Show so many entries; 0 for all.", min=0)] = 0,
) -> None:
    """Show what is in an instance's workspace."""
    with session.client() as client:
        pager = client.paths.structure(
            instance_id,
            path,
            depth=depth,
            ignore=ignore or (),
            include_ignored=include_ignored,
            page_size=min(limit, 10_000) or 5_000,
        )
        entries = itertools.islice(pager, limit or None)
        if session.for_people:
            _tree(entries)
            return
        shown = [entry.to_dict() for entry in entries]
    session.show(
        {"instance_id": instance_id, "root": path, "entries": shown, "next_page_token": ""},
        lambda: None,
    )


@command(
    app,
    "test",
    epilog="Example: codestudio paths test blue-fox workspace temp --size 1048576",
)
def probe(
    session: Session,
    instance_id: Id,
    path_types: Annotated[
        list[str] | None,
        typer.Argument(
            help="Some of user_data, extensions, workspace, logs, temp; all if none.",
            metavar="[DIRECTORY]...",
        ),
    ] = None,
    *,
    size: Annotated[int, typer.Option(help="Bytes to write.", min=1, max=16 * 1024**2)] = 4096,
) -> None:
    """Write, sync, read back and remove a file in each directory; exit code 1 if one fails."""
    with session.client() as client:
        result = client.paths.test(instance_id, path_types or (), probe_size=size)
    session.show(result.to_dict(), lambda: _tests(result.details))
    if not result:
        raise typer.Exit(_exit.ExitCode.ERROR)


def _info(found: codestudio.PathInfo) -> None:
    when = "kept since" if found.cached else "looked at"
    _output.say(f"{found.instance_id}: {found.overall_status.lower()}, {when} {_time(found)}")
    _details(found.details)


def _time(found: codestudio.PathInfo) -> str:
    return _output.moment(found.timestamp)


def _details(details: Iterable[codestudio.PathDetail]) -> None:
    _output.table(
        ("TYPE", "STATUS", "PATH", "WHY"),
        (
            (each.path_type, each.status.lower(), _printable(each.path), each.message)
            for each in details
        ),
    )


def _tests(details: Iterable[codestudio.PathTest]) -> None:
    _output.table(
        ("TYPE", "RESULT", "WRITE", "READ", "FREE", "WHY"),
        (
            (
                each.path_type,
                "passed" if each.passed else "failed",
                _milliseconds(each.write_latency),
                _milliseconds(each.read_latency),
                size_of(each.free_bytes) if each.free_bytes else "",
                each.message,
            )
            for each in details
        ),
    )


def _tree(entries: Iterable[codestudio.ProjectEntry]) -> None:
    """Show entries as they come: a workspace may have a hundred thousand."""
    for entry in entries:
        *above, name = entry.path.split("/")
        shown = _printable(name)
        size = ""
        match entry.type:
            case codestudio.EntryType.DIRECTORY:
                shown += "/ (cannot be read)" if entry.unreadable else "/"
            case codestudio.EntryType.SYMLINK:
                outside = " (outside)" if entry.link_outside else ""
                shown += f" -> {_printable(entry.link_target)}{outside}"
            case codestudio.EntryType.FILE:
                size = size_of(entry.size)
        print(f"{size:>7}  {'  ' * len(above)}{shown}")


def size_of(count: int) -> str:
    """Write a size in bytes for people.

    >>> size_of(0), size_of(1023), size_of(1536), size_of(5 * 1024**4)
    ('0B', '1023B', '1.5K', '5.0T')
    """
    amount = float(count)
    for unit in _UNITS:
        if amount < _KIB or unit == _UNITS[-1]:
            break
        amount /= _KIB
    return f"{amount:.0f}B" if unit == "B" else f"{amount:.1f}{unit}"


def _milliseconds(latency: datetime.timedelta) -> str:
    return f"{latency.total_seconds() * 1000:.2f}ms" if latency else ""


def _printable(name: str) -> str:
    r"""Write a name so that it cannot command a terminal.

    >>> print(_printable("a\x1b[2J\nb é"))
    a\x1b[2J\nb é
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in name
    )
