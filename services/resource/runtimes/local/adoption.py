"""What to do, after a restart of ours, with what we remember and what still runs."""

import dataclasses
import enum

from services.resource.runtimes.local.procfs import Identity
from services.resource.runtimes.local.records import Record
from services.resource.workload import Phase


class Verdict(enum.Enum):
    """What becomes of a remembered workload."""

    KEEP = "keep"
    """Nothing ran and nothing runs."""
    ADOPT = "adopt"
    """Its editor runs: watch it again."""
    FINISH_STOP = "finish stop"
    """It was being stopped: stop what is left of it."""
    NEVER_STARTED = "never started"
    """We died between promise and deed; its caller will ask again."""
    EXITED = "exited"
    """Its editor ended while nobody watched."""


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and the editor it is about."""

    verdict: Verdict
    process: Identity | None = None


def decide(record: Record, *, is_alive: bool, found: Identity | None) -> Decision:
    """Decide about one remembered workload.

    Args:
        record: What we remember.
        is_alive: Whether the process in the record still runs.
        found: An editor that runs with this instance's marker, if there is one. It is not the
            one in the record only if we died between starting it and noting it.
    """
    phase = record.workload.phase
    process = record.process if is_alive else found
    if phase is Phase.STOPPING:
        return Decision(Verdict.FINISH_STOP, process)
    if not phase.is_alive:
        # Ended as far as anybody was told: what runs nevertheless is a leftover.
        return Decision(Verdict.KEEP)
    if process is not None:
        return Decision(Verdict.ADOPT, process)
    if record.process is None:
        return Decision(Verdict.NEVER_STARTED)
    return Decision(Verdict.EXITED)
