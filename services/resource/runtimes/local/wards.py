"""What is known of the instances that are held to their limits."""

import collections
import dataclasses

from services.resource.limits import Event
from services.resource.runtimes.local import cgroups
from services.resource.runtimes.local.procfs import Identity
from services.resource.workload import Resources

NEVER = cgroups.Reached()
"""Of a group the kernel never had to hold back."""
_EVENTS = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """How instances are held to their limits."""

    processors: bool = True
    """Whether CPU limits below the whole machine confine an instance to some processors."""
    most_processes: int = 1000
    """Processes an instance may have; 0 for any number."""
    groups: bool = True
    """Whether control groups are used where they are delegated to us."""


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """A running instance and what it may use."""

    root: Identity
    """Its editor."""
    limits: Resources
    is_ready: bool
    """Whether the editor answers: while it starts it may use every processor."""


@dataclasses.dataclass(slots=True)
class Ward:
    """What is remembered of one instance."""

    strikes: int = 0
    stuck: bool = False
    """Whether the editor itself is over the limit, which was told."""
    full: bool = False
    """Whether writes are stopped."""
    sizes: set[int] = dataclasses.field(default_factory=lambda: {0})
    """Limits of file size that were ours."""
    confined: bool = False
    failing: bool = False
    """Whether the last look at it failed, which was told."""
    reached: cgroups.Reached = NEVER
    events: "collections.deque[Event]" = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=_EVENTS)
    )
