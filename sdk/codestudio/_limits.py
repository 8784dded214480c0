"""How far instances are held to their limits, and by what."""

import datetime
import enum
from typing import NamedTuple

from codestudio import _messages
from codestudio.resource.v1 import resource_service_pb2


class LimitedResource(enum.StrEnum):
    """What is limited."""

    UNSPECIFIED = "UNSPECIFIED"
    CPU = "CPU"
    MEMORY = "MEMORY"
    STORAGE = "STORAGE"
    PROCESSES = "PROCESSES"


class EnforcementMeans(enum.StrEnum):
    """By what a limit is enforced: the kernel, for the instance or for each process; measuring."""

    UNSPECIFIED = "UNSPECIFIED"
    CGROUP = "CGROUP"
    PROCESS_LIMIT = "PROCESS_LIMIT"
    MEASURED = "MEASURED"
    NONE = "NONE"


class Enforcement(NamedTuple):
    """How one limit of an instance is enforced."""

    resource: LimitedResource
    """Which limit."""
    means: EnforcementMeans
    """By what."""
    limited: bool
    """Whether it holds the instance back now."""
    message: str
    """What that means."""


class LimitEvent(NamedTuple):
    """A limit was reached, or is no longer."""

    time: datetime.datetime | None
    """When."""
    resource: LimitedResource
    """Which limit."""
    message: str
    """What was done and what a person can do."""


def enforcement(message: "resource_service_pb2.Enforcement") -> Enforcement:
    """Read how a limit is enforced."""
    return Enforcement(
        _resource(message.resource),
        _messages.name(
            EnforcementMeans,
            resource_service_pb2.EnforcementMeans,
            "ENFORCEMENT_MEANS_",
            message.means,
        ),
        message.limited,
        message.message,
    )


def event(message: "resource_service_pb2.LimitEvent") -> LimitEvent:
    """Read what was done to hold an instance to a limit."""
    return LimitEvent(_messages.time(message, "time"), _resource(message.resource), message.message)


def _resource(number: int) -> LimitedResource:
    return _messages.name(
        LimitedResource, resource_service_pb2.LimitedResource, "LIMITED_RESOURCE_", number
    )
