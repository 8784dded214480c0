"""Sizes that would fit better, and who has which ports."""

import datetime
import enum
from typing import NamedTuple

from codestudio import _messages
from codestudio._instance_types import Ports, Resources
from codestudio.resource.v1 import resource_service_pb2


class OptimizationType(enum.StrEnum):
    """Which way to size what."""

    UNSPECIFIED = "UNSPECIFIED"
    SCALE_UP_CPU = "SCALE_UP_CPU"
    SCALE_UP_MEMORY = "SCALE_UP_MEMORY"
    SCALE_DOWN_CPU = "SCALE_DOWN_CPU"
    SCALE_DOWN_MEMORY = "SCALE_DOWN_MEMORY"


class OptimizationOutcome(enum.StrEnum):
    """What became of a recommendation."""

    UNSPECIFIED = "UNSPECIFIED"
    RECOMMENDED = "RECOMMENDED"
    APPLIED = "APPLIED"
    AT_NEXT_START = "AT_NEXT_START"
    REFUSED = "REFUSED"


class Evidence(NamedTuple):
    """What a recommendation rests on: shares of the limit."""

    samples: int
    """Samples looked at."""
    window: datetime.timedelta
    """Time they span."""
    lowest: float
    """Lowest share."""
    mean: float
    """Mean share."""
    highest: float
    """Highest share."""


class Optimization(NamedTuple):
    """One recommendation."""

    type: OptimizationType
    """Which way to size what."""
    instance_id: str
    """The instance."""
    current: float
    """Share of the limit in use, 0 to 1 and above."""
    current_limit: str
    """The limit it has, as a quantity."""
    recommended_limit: str
    """The limit it should have."""
    outcome: OptimizationOutcome
    """What became of it."""
    message: str
    """More about the outcome."""
    evidence: Evidence
    """What speaks for it."""


class EstimatedImprovement(NamedTuple):
    """What following every recommendation would give."""

    cpu_cores_freed: float
    """Cores no longer held; negative if more would be."""
    memory_bytes_freed: float
    """Memory no longer held; negative if more would be."""
    utilization_before: float
    """Used over held, CPU and memory averaged: 0 to 1."""
    utilization_after: float
    """The same after."""


class OptimizationResult(_messages.View[resource_service_pb2.OptimizationResult]):
    """What would fit better."""

    @property
    def optimizations(self) -> tuple[Optimization, ...]:
        """The recommendations, in order of instance."""
        return tuple(_optimization(each) for each in self.proto.optimizations)

    @property
    def estimated_improvement(self) -> EstimatedImprovement:
        """What following them all would give."""
        told = self.proto.estimated_improvement
        return EstimatedImprovement(
            told.cpu_cores_freed,
            told.memory_bytes_freed,
            told.utilization_before,
            told.utilization_after,
        )


class ResourceAllocation(_messages.View[resource_service_pb2.ResourceAllocation]):
    """What an instance has."""

    @property
    def instance_id(self) -> str:
        """The instance."""
        return self.proto.instance_id

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self.proto.namespace

    @property
    def ports(self) -> Ports:
        """Its ports."""
        callback = self.proto.callback_port_range
        return Ports(self.proto.web_port, range(callback.start, callback.end + 1))

    @property
    def resources(self) -> Resources:
        """What it may use."""
        resources = self.proto.resources
        return Resources(resources.cpu, resources.memory, resources.storage)

    @property
    def allocated_at(self) -> datetime.datetime | None:
        """When it was allocated."""
        return _messages.time(self.proto, "allocated_at")


def _optimization(message: resource_service_pb2.Optimization) -> Optimization:
    evidence = message.evidence
    return Optimization(
        type=_messages.name(
            OptimizationType,
            resource_service_pb2.OptimizationType,
            "OPTIMIZATION_TYPE_",
            message.type,
        ),
        instance_id=message.instance_id,
        current=message.current,
        current_limit=message.current_limit,
        recommended_limit=message.recommended_limit,
        outcome=_messages.name(
            OptimizationOutcome,
            resource_service_pb2.OptimizationOutcome,
            "OPTIMIZATION_OUTCOME_",
            message.outcome,
        ),
        message=message.message,
        evidence=Evidence(
            evidence.samples,
            evidence.window.ToTimedelta(),
            evidence.lowest,
            evidence.mean,
            evidence.highest,
        ),
    )
