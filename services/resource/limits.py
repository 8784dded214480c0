"""How far an instance is held to its limits, and by what."""

import dataclasses
import datetime
import enum


class Resource(enum.Enum):
    """What is limited; the contract's LimitedResource."""

    CPU = "CPU"
    MEMORY = "MEMORY"
    STORAGE = "STORAGE"
    PROCESSES = "PROCESSES"


class Means(enum.Enum):
    """By what a limit is enforced; the contract's EnforcementMeans."""

    CGROUP = "CGROUP"
    """The kernel enforces it for the instance as a whole."""
    PROCESS_LIMIT = "PROCESS_LIMIT"
    """The kernel enforces it for each process of the instance."""
    MEASURED = "MEASURED"
    """We measure again and again, and act on what is above it."""
    NONE = "NONE"
    """It counts against quota only."""


@dataclasses.dataclass(frozen=True, slots=True)
class Enforcement:
    """How one limit of an instance is enforced."""

    resource: Resource
    means: Means
    message: str
    """What that means, for people."""
    limited: bool = False
    """Whether it holds the instance back now."""


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """A limit was reached, or is no longer."""

    time: datetime.datetime
    resource: Resource
    message: str
    """What was done, and what a person can do."""
