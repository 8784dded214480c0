"""Why an editor ended by itself, told so that somebody can do something about it."""

import signal
from collections.abc import Sequence

from services.chassis import clock
from services.resource.workload import Failure

PORT_IN_USE = "PORT_IN_USE"
"""Something else listens on the web port; another range helps."""

EDITOR_NOT_INSTALLED = "EDITOR_NOT_INSTALLED"
"""There is no editor to start."""

EDITOR_NOT_STARTED = "EDITOR_NOT_STARTED"
"""It could not be started, or ended before it answered."""

EDITOR_EXITED = "EDITOR_EXITED"
"""It ended after it had answered."""

PATHS_UNAVAILABLE = "PATHS_UNAVAILABLE"
"""The instance's directories cannot be made or used."""


def explain(code: int | None, *, was_ready: bool, log: Sequence[str], port: int) -> Failure:
    """Tell why an editor ended.

    Args:
        code: Its exit status or minus its signal; None where nobody knows.
        was_ready: Whether it had answered.
        log: The last lines it wrote.
        port: Its web port.
    """
    how = _how(code)
    # Node's own word, whichever editor runs on it.
    if not was_ready and any("EADDRINUSE" in line for line in log):
        return Failure(
            PORT_IN_USE, f"The editor cannot listen on port {port}: it is in use", clock.now()
        )
    last = next((line.strip() for line in reversed(log) if line.strip()), "")
    said = f"; it last wrote: {last[:300]}" if last else ""
    if was_ready:
        return Failure(EDITOR_EXITED, f"The editor {how}{said}", clock.now())
    return Failure(EDITOR_NOT_STARTED, f"The editor {how} before it answered{said}", clock.now())


def _how(code: int | None) -> str:
    if code is None:
        return "ended while nobody watched it"
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"was ended by signal {name}"
