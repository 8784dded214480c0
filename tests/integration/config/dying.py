"""A config service that kills itself in the middle of a change: ``python -m … POINT PORT``.

Its settings come from the environment, like any service's.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from services.chassis import lifecycle
from services.config import app
from services.config.announcements import Announcements
from services.config.settings import ConfigSettings
from services.config.store import Mirror, Revisions

POINTS = (
    *("before the commit", "after the commit"),
    *("before the copy", "after the copy"),
    *("before the announcement", "after the announcement"),
)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _around(kind: type, name: str, *, after: bool) -> None:
    original = getattr(kind, name)

    async def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        # The comparison with the record writes copies too; only a change is to end here.
        comparing = getattr(args[0], "number", 0) == 0
        if after or comparing:
            await original(self, *args, **kwargs)
        if not comparing:
            await asyncio.sleep(0.05)  # what was sent is to leave
            _die()

    setattr(kind, name, dying)


def arm(point: str) -> None:
    """Make the change end there."""
    after = point.startswith("after")
    if point.endswith("commit"):
        _around(Revisions, "commit", after=after)
    elif point.endswith("copy"):
        _around(Mirror, "write", after=after)
    else:
        _around(Announcements, "tell", after=after)


if __name__ == "__main__":
    arm(sys.argv[1])
    lifecycle.run(ConfigSettings, app.compose)
