"""Shows progress: a live table on a terminal, one line a change everywhere else."""

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

_OVER = ("done", "healthy", "failed")
_STYLES = {"done": "green", "healthy": "green", "failed": "red", "waiting": "dim"}


@dataclass
class _Row:
    state: str
    note: str
    since: float
    seconds: float | None = None


class Board:
    """Named rows with a state and the seconds they take; may be updated from any thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[str, _Row] = {}
        self._guard = threading.Lock()
        self._live = (
            Live(console=console, get_renderable=self._table, refresh_per_second=8)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def update(self, name: str, state: str, note: str = "") -> None:
        """Set a row's state; `done`, `healthy` and `failed` stop its clock."""
        with self._guard:
            row = self._rows.setdefault(name, _Row("", "", time.monotonic()))
            changed = row.state != state
            row.state, row.note = state, note
            if changed and state in _OVER:
                row.seconds = time.monotonic() - row.since
            if changed and self._live is None:
                seconds = f" {row.seconds:.1f} s" if row.seconds is not None else ""
                self._console.print(f"{name}: {state}{seconds}", highlight=False)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        with self._guard:
            for name, row in self._rows.items():
                over = row.seconds is not None
                seconds = row.seconds if row.seconds is not None else time.monotonic() - row.since
                table.add_row(
                    Text(f"  {name}"),
                    Text(row.state, style=_STYLES.get(row.state, "yellow")),
                    Text(f"{seconds:.1f} s", justify="right"),
                    Text("" if over else row.note, style="dim", overflow="ellipsis", no_wrap=True),
                )
        return table
