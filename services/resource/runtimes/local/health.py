"""Asks every editor that runs, now and then, whether it still answers.

What follows from it is told, and nothing is done: what an editor has not saved, only its developer
can give up.
"""

import asyncio
import dataclasses
import datetime
import math
import time
import zlib
from collections.abc import Callable, Mapping

import structlog
from prometheus_client import Counter, Gauge

from services.chassis import clock
from services.resource.runtimes.local import editor, readiness
from services.resource.runtimes.local.background import Background
from services.resource.runtimes.local.procfs import Identity
from services.resource.workload import Health

_log = structlog.get_logger(__name__)

CHECKS = Counter(
    "codestudio_editor_health_checks",
    "Health checks of editors that run: answered or failed.",
    ("outcome",),
)
SILENT = Gauge("codestudio_editors_not_responding", "Editors that run and do not answer.")

_STRIKES = 3
"""Checks in a row: one may fall into a moment in which the machine has no time for the editor."""
_ANSWER_SECONDS = 5.0
"""Longest wait for an answer, where checks are not more often than that."""
_TICK = 1.0
"""Longest time between two looks at which editors are due."""


@dataclasses.dataclass(slots=True)
class Watched:
    """One editor, from when it was seen to be ready to its end."""

    identity: Identity
    turn: int
    """The last interval, counted from the machine's start, that it was checked in."""
    checking: bool = False
    strikes: int = 0
    first_strike: datetime.datetime | None = None
    """When the first of these checks began."""
    health: Health | None = None
    """None until something is known."""

    def note(self, began: datetime.datetime, *, answered: bool) -> bool:
        """Take note of a check and when it began; whether the editor's health changed by it."""
        if answered:
            self.strikes, self.first_strike = 0, None
        else:
            self.strikes += 1
            self.first_strike = self.first_strike or began
        before = self.health
        if (before is not None and before.responding == answered) or (0 < self.strikes < _STRIKES):
            return False
        since = self.first_strike or began
        # What comes later is newer, also where the clock was set back.
        self.health = Health(answered, since if before is None else max(since, before.since))
        return True


class Checks:
    """The checks of all editors, spread evenly over the interval."""

    def __init__(
        self,
        *,
        ready: Callable[[], Mapping[str, tuple[Identity, int]]],
        editor_command: str,
        every: Callable[[], float],
        background: Background,
        on_change: Callable[[str], None],
    ) -> None:
        """Begin with nothing known of any editor, also where an earlier life of ours knew it.

        Args:
            ready: Gives the editors that are to answer, with their ports, by instance id.
            editor_command: The editor, or empty to look it up.
            every: Gives the seconds between two checks of one editor, as it is now.
            background: Where checks run.
            on_change: Told of each instance whose editor's health changed.
        """
        self._ready = ready
        self._editor_command = editor_command
        self._every = every
        self._background = background
        self._on_change = on_change
        self._watched: dict[str, Watched] = {}
        self._interval = 0.0

    def health(self, instance_id: str) -> Health | None:
        """Tell whether an editor answers; None where that is not known."""
        watched = self._watched.get(instance_id)
        return None if watched is None else watched.health

    async def run(self) -> None:
        """Check for ever; a check that takes long holds up no other."""
        while True:
            ready = self._ready()
            due = self._due(ready)
            if due:
                path = await asyncio.to_thread(editor.health_path, self._editor_command)
                for name in due:
                    watched = self._watched[name]
                    watched.checking = True
                    self._background.start(self._check(name, watched, ready[name][1], path))
            SILENT.set(
                sum(
                    one.health is not None and not one.health.responding
                    for one in self._watched.values()
                )
            )
            await asyncio.sleep(min(_TICK, self._interval / 5))

    def _due(self, ready: Mapping[str, tuple[Identity, int]]) -> list[str]:
        """Give the editors whose turn has come, and forget those that are gone.

        An editor's turn comes at a moment of the interval that its name decides. Where the
        interval is another one now, and of an editor just seen, the first turn is the next.
        """
        every = self._every()
        changed, self._interval = every != self._interval, every
        for name in self._watched.keys() - ready.keys():
            del self._watched[name]
        now = time.monotonic()
        due = []
        for name, (identity, _) in ready.items():
            turn = math.floor(now / every + zlib.crc32(name.encode()) / 2**32)
            watched = self._watched.get(name)
            if watched is None or watched.identity != identity:
                self._watched[name] = Watched(identity, turn)
            elif changed:
                watched.turn = turn
            elif turn != watched.turn and not watched.checking:
                watched.turn = turn
                due.append(name)
        return due

    async def _check(self, name: str, watched: Watched, port: int, path: str) -> None:
        began = clock.now()
        seconds = min(_ANSWER_SECONDS, self._interval)
        try:
            answered = await readiness.answers(port, path, seconds)
        finally:
            watched.checking = False
        if self._watched.get(name) is not watched:
            return  # it ended meanwhile, or is being ended
        CHECKS.labels("answered" if answered else "failed").inc()
        before = watched.health
        if watched.note(began, answered=answered):
            if not answered:
                _log.warning("editor does not answer", instance_id=name, checks=watched.strikes)
            elif before is not None:
                _log.info("editor answers again", instance_id=name)
            self._on_change(name)
