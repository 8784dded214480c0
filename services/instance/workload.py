"""What is known of the workload of an instance: its process or pod."""

import dataclasses
import enum

from services.instance.record import NOTHING_IN_FORCE, InForce


class Phase(enum.StrEnum):
    """Where a workload is in its life; the contract's WorkloadPhase."""

    STARTING = "STARTING"
    READY = "READY"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    EXITED = "EXITED"


_RANKS = {phase: rank for rank, phase in enumerate(Phase)}


@dataclasses.dataclass(frozen=True, slots=True)
class Activity:
    """When a workload was last used. Times are milliseconds since 1970; 0 is never."""

    observed_since: int
    """Since when nothing of it was missed."""
    observed_at: int
    """When it was looked at last."""
    last_input: int = 0
    """When somebody last did something in its editor."""
    last_busy: int = 0
    """When its processes last did something of their own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    """Whether an editor that was ready still answers."""

    responding: bool
    since: int
    """From when, in milliseconds since 1970."""


@dataclasses.dataclass(frozen=True, slots=True)
class Workload:
    """One workload. Times are milliseconds since 1970; 0 is never."""

    phase: Phase
    runtime_id: str = ""
    start_time: int = 0
    exit_code: int = 0
    error_code: str = ""
    error_message: str = ""
    paths_ready: bool = True
    in_force: InForce = NOTHING_IN_FORCE
    activity: Activity | None = None
    """None where it cannot be told."""
    health: Health | None = None
    """None where it is not known."""

    @property
    def runs(self) -> bool:
        """Whether there is a process or pod."""
        return self.phase in (Phase.STARTING, Phase.READY, Phase.STOPPING)

    def outdates(self, other: "Workload") -> bool:
        """Whether this is older than another, by start, phase and health.

        Answers and the watch travel on streams of their own and may pass each other.
        """
        if not self.start_time or not other.start_time:
            return False
        mine = (self.start_time, _RANKS[self.phase])
        theirs = (other.start_time, _RANKS[other.phase])
        if mine == theirs and self.health is not None and other.health is not None:
            return self.health.since < other.health.since
        return mine < theirs

    def forgets(self, other: "Workload") -> bool:
        """Whether this knows nothing of a health that another of the same run and phase knows.

        Older then, unless the Resource service began anew in between.
        """
        return (
            self.health is None
            and other.health is not None
            and bool(self.start_time)
            and (self.start_time, self.phase) == (other.start_time, other.phase)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Sight:
    """What is known of a workload at this moment."""

    known: bool
    """False while the Resource service cannot be watched: the workload may be in any phase."""
    workload: Workload | None = None
    """None where there is none, if known."""
    confirmed: bool = False
    """Whether it was just asked for, rather than seen on a watch that may lag behind."""
    known_since: int = 0
    """Since when the watch has been up: what happened before may not have been seen."""
    following_since: int = 0
    """Since when this replica has known of all workloads, but for gaps too short to matter to
    who counts minutes."""


UNSEEN = Sight(known=False)
