"""`codestudio sync`."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import rich.console
import rich.status
import typer

import codestudio
from codestudio._folder.files import MAX_BYTES
from codestudio._folder.folder import Folder
from codestudio._folder.owner import Told
from codestudio._folder.project import ClientProject
from codestudio.cli import _exit, _output
from codestudio.cli._session import Session, command

Directory = Annotated[
    Path, typer.Argument(help="The folder; it is made if there is none.", file_okay=False)
]
Project = Annotated[str, typer.Option("--project", "-p", help="Project the folder follows.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the project.")]
Once = Annotated[bool, typer.Option("--once", help="Bring both sides together, then end.")]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", "-x", metavar="PATTERN", help="Leave out, as .gitignore does."),
]
MaxBytes = Annotated[int, typer.Option(help="Leave larger files alone.", min=1)]

_HELP = """Let a folder follow a project, live and both ways, whatever edits the files.

What an editor, a formatter or Git does to a file becomes small edits that others see at once;
what others do is written into the file. .gitignore is honoured; .git, links, binary and large
files are left alone. What was changed on both sides meanwhile is merged.

Example: codestudio sync ~/src/shop --project shop
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "sync", help=_HELP)(sync)


def sync(
    session: Session,
    directory: Directory,
    *,
    project: Project,
    namespace: Namespace = "default",
    once: Once = False,
    exclude: Exclude = None,
    max_bytes: MaxBytes = MAX_BYTES,
) -> None:
    """Run until Ctrl-C, or until both sides are the same."""
    directory.mkdir(parents=True, exist_ok=True)
    run = _run(
        session,
        directory.resolve(),
        project,
        namespace,
        once=once,
        exclude=exclude or [],
        max_bytes=max_bytes,
    )
    if not asyncio.run(run):
        _output.say(
            "Not everything could be stored; it is remembered in the folder, and sent when "
            "you run this again."
        )
        raise typer.Exit(_exit.ExitCode.UNAVAILABLE)


async def _run(
    session: Session,
    root: Path,
    project: str,
    namespace: str,
    *,
    once: bool,
    exclude: list[str],
    max_bytes: int,
) -> bool:
    def tell(told: Told, path: str, more: str) -> None:
        if session.for_people:
            _output.say(" ".join(part for part in (told, path, more and f"({more})") if part))
        else:
            fields = {"event": told.value, "path": path, "detail": more}
            _output.structured_item(fields, session.format)

    async with codestudio.AsyncClient(
        session.gateway, token=session.token, timeout=session.timeout or 10.0
    ) as client:
        folder = Folder(
            root,
            ClientProject(client, project, namespace),
            tell=tell,
            exclude=exclude,
            max_bytes=max_bytes,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, folder.stop)
        with _status(folder, f"{namespace}/{project}") if session.for_people else _nothing():
            binding = {"gateway": client.gateway, "namespace": namespace, "project": project}
            return await folder.run(once=once, binding=binding)


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextlib.contextmanager
def _status(folder: Folder, name: str) -> Iterator[None]:
    """Keep one line at the end of a terminal up to date; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    console = rich.console.Console(stderr=True, highlight=False)
    with rich.status.Status(name, console=console) as status:
        updating = asyncio.get_running_loop().create_task(_update(status, folder, name))
        try:
            yield
        finally:
            updating.cancel()


async def _update(status: rich.status.Status, folder: Folder, name: str) -> None:
    while True:
        pending = folder.pending
        if not folder.reachable:
            state = "not reachable; what you do is kept"
        else:
            state = f"{pending} to bring over" if pending else "in step"
        status.update(f"{name}: {folder.count} files, {state}. Ctrl-C ends.")
        await asyncio.sleep(0.5)
