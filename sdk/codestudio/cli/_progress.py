"""Showing an instance's steps while one waits for it."""

import contextlib
import sys
from collections.abc import Iterator

import rich.console
import rich.live
import rich.spinner
import rich.table
import rich.text

import codestudio

_NAMES = {
    codestudio.Step.QUOTA_RESERVED: "quota reserved",
    codestudio.Step.RESOURCES_ALLOCATED: "ports allocated",
    codestudio.Step.PATHS_READY: "directories made",
    codestudio.Step.WORKLOAD_CREATED: "editor started",
    codestudio.Step.EDITOR_READY: "editor answers",
}


class Progress:
    """The steps of one instance, drawn on standard error; nothing where that is no terminal."""

    def __init__(self, live: rich.live.Live | None, id_: str) -> None:
        self._live = live
        self._id = id_

    def observe(self, status: codestudio.InstanceStatus) -> None:
        """Draw anew."""
        if self._live is not None:
            self._live.update(draw(self._id, status))


@contextlib.contextmanager
def following(id_: str) -> Iterator[Progress]:
    """Draw the progress of an instance as long as the block lasts; then it vanishes."""
    if not sys.stderr.isatty():
        yield Progress(None, id_)
        return
    console = rich.console.Console(stderr=True)
    first = rich.spinner.Spinner("dots", f"{id_}: waiting")
    with rich.live.Live(first, console=console, transient=True, refresh_per_second=10) as live:
        yield Progress(live, id_)


def draw(id_: str, status: codestudio.InstanceStatus) -> rich.table.Table:
    """Draw an instance's state and, while it starts, its steps."""
    grid = rich.table.Table.grid(padding=(0, 1))
    grid.add_row(rich.spinner.Spinner("dots"), rich.text.Text(f"{id_}: {status.state.lower()}"))
    if status.desired_state is not codestudio.DesiredState.RUNNING:
        return grid
    for condition in status.conditions:
        mark = rich.text.Text("✓", "green") if condition.reached else rich.text.Text("·", "dim")
        text = _NAMES.get(condition.step, condition.step.lower())
        if not condition.reached and condition.message:
            text += f": {condition.message}"
        grid.add_row(mark, rich.text.Text(text, "" if condition.reached else "dim"))
    return grid
