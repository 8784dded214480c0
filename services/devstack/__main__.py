"""The commands behind `scripts/up` and `scripts/down`."""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from services.devstack import editor, ports, progress, stack, summary, supervision, waiting, web
from services.devstack.binaries import MissingBinaryError
from services.devstack.layout import DEFAULT_DATA_DIR, DataDirError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # or line breaks of these docstrings would be kept
)

DataDir = Annotated[
    Path,
    typer.Option(
        envvar="CODESTUDIO_DATA_DIR",
        help="Where the stack keeps its data, secrets and logs.",
        show_default=".codestudio",
    ),
]

_EXPECTED = (
    DataDirError,
    MissingBinaryError,
    ports.PortsTakenError,
    stack.StackBusyError,
    supervision.SupervisorError,
    waiting.NotHealthyError,
)
_FOLLOW_SECONDS = 1.0


@app.callback()
def main() -> None:
    """Run CodeStudio Collaborative on this machine, without root or Docker."""


@app.command()
def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port_offset: Annotated[
        int,
        typer.Option(
            min=0, max=ports.MAX_OFFSET, help="Added to every port: a second stack beside another."
        ),
    ] = 0,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once everything is healthy.")
    ] = False,
    no_editor: Annotated[
        bool, typer.Option("--no-editor", help="Do not install or use an editor.")
    ] = False,
) -> None:
    """Start the stack, wait until it is healthy, and say how to use it.

    Without --detach it stays, tells when a program ends or comes back, and Ctrl-C stops the
    stack. The editor is installed into ~/.cache/codestudio the first time (CODESTUDIO_CACHE
    names another folder); EDITOR_COMMAND, or a code-server on PATH, is used instead.
    """
    console = Console()
    _end_cleanly_on_sigterm()
    this = stack.Stack(data_dir, port_offset=port_offset)
    try:
        command, problem = "", "started without one"
        if not no_editor and not this.running:
            command, problem = _editor(console, this)
        if not this.running:
            _pages(console, this)
        this = stack.Stack(data_dir, port_offset=port_offset, editor_command=command)
        with progress.Board(console) as board:
            fresh = this.up(lambda item: board.update(item.program, item.state, item.reason))
        if not fresh:
            text = f"The stack in {this.layout.root} already runs"
            if (offset := this.plan.ports.offset) != port_offset:
                text += f", at port offset {offset}"
            console.print(f"{text}.", markup=False, highlight=False, soft_wrap=True)
        summary.show(console, this.plan, set(this.states()), problem)
        if fresh and not detach:
            _follow(console, this)
    except _EXPECTED as error:
        _fail(error)
    except KeyboardInterrupt:
        console.print("Interrupted.")
        raise typer.Exit(130) from None


@app.command()
def down(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Stop everything the stack started, its editors included, and nothing else.

    Data survives: the next start brings back the instances that were running.
    """
    console = Console()
    this = stack.Stack(data_dir)
    try:
        stopped = this.down()
    except _EXPECTED as error:
        _fail(error)
    text = "Stopped. Data is kept in" if stopped else "Nothing runs of"
    console.print(f"{text} {this.layout.root}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def status(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """List the stack's programs; exit with 1 when it does not run."""
    console = Console()
    try:
        states = stack.Stack(data_dir).states()
    except supervision.NotRunningError:
        console.print("The stack does not run.")
        raise typer.Exit(1) from None
    for name, (state, pid) in states.items():
        console.print(f"{name:<14} {state.lower():<10} {pid or ''}", highlight=False)


def _editor(console: Console, this: stack.Stack) -> tuple[str, str]:
    """Find or install the editor; give its command, or none and why."""
    try:
        if found := editor.find(os.environ):
            return str(found), ""
        editor.require_tools(os.environ)
        console.print("Installing the editor, once; this takes about two minutes.")
        with progress.Board(console) as board:
            return str(editor.install(os.environ, this.layout.logs, board.update)), ""
    except (editor.EditorError, MissingBinaryError) as error:
        console.print(
            f"[yellow]No editor:[/] {escape(str(error))}", highlight=False, soft_wrap=True
        )
        return "", str(error)


def _pages(console: Console, this: stack.Stack) -> None:
    """Build the scripts of the pages, once; without them only the page of documents is missing."""
    try:
        if web.is_built(os.environ):
            return
        console.print("Building the pages, once; this takes some ten seconds.")
        with progress.Board(console) as board:
            web.install(os.environ, this.layout.logs, board.update)
    except web.WebError as error:
        console.print(
            f"[yellow]No page to edit documents:[/] {escape(str(error))}",
            highlight=False,
            soft_wrap=True,
        )


def _follow(console: Console, this: stack.Stack) -> None:
    """Tell of programs that end and come back, until `down` is called or Ctrl-C, which calls it."""
    console.print("\nRunning; Ctrl-C stops it.")
    try:
        known = this.states()
        while True:
            time.sleep(_FOLLOW_SECONDS)
            states = this.states()
            for name, (_, pid) in states.items():
                if pid != known[name][1]:
                    what = f"started again (process {pid})" if pid else "ended"
                    console.print(f"{time.strftime('%H:%M:%S')} {name} {what}", highlight=False)
            known = states
    except supervision.NotRunningError:
        console.print("The stack was stopped.")
    except KeyboardInterrupt:
        console.print("Stopping …")
        this.down()
        console.print("Stopped.")


def _end_cleanly_on_sigterm() -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _fail(error: Exception) -> NoReturn:
    Console(stderr=True).print(
        f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True
    )
    raise typer.Exit(1)


if __name__ == "__main__":
    sys.exit(app())
