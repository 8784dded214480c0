"""Settings of the resource service."""

import os
from typing import Annotated, Self

from pydantic import Field, model_validator

from services.chassis.quantities import parse_cpu, parse_memory
from services.chassis.settings import Configured, ServiceSettings
from services.resource.ports import PortPlan
from services.resource.workload import Resources


class ResourceSettings(ServiceSettings):
    """What the resource service reads beside what every service reads."""

    microservice_name: str = "resource-service"
    """Name of the service."""

    port: int = Field(default=3003, ge=0, le=65535)
    """Port of the service."""

    editor_stop_seconds: float = Field(default=10.0, ge=0)
    """Time an editor and what runs in its terminals have to end before they are killed."""

    editor_starts_at_once: int = Field(
        default_factory=lambda: 2 * len(os.sched_getaffinity(0)), ge=1
    )
    """Editors that may be starting at one time: two for each processor keep it busy."""

    auto_create_paths: Annotated[bool, Configured("path_management.auto_create_paths")] = True
    """Whether a start makes the directories an instance lacks (specification, path_management);
    if not, a start without them fails, naming the first that is missing."""

    usage_sample_seconds: float = Field(default=15.0, gt=0)
    """Time between two samples of usage (specification, Prometheus' scrape_interval)."""

    usage_history_samples: int = Field(default=240, ge=1)
    """Samples kept of each instance: 240 of 15 s are the last hour."""

    busy_cores: float = Field(default=0.05, gt=0)
    """An instance is in use while its terminals and tasks use so much of a core (mean of a
    sample). Idle ones use less than 0.01; see `runtimes.local.activity` for what was measured."""

    idle_editor_cores: float = Field(default=0.25, ge=0)
    """So much of a core the editor itself may use with nobody there: measured were 0.08, and 0.2
    while its page loads. What it uses beyond counts as a task."""

    busy_stretch_seconds: float = Field(default=10.0, gt=0)
    """The mean is taken over samples no shorter than this."""

    port_reconcile_seconds: float = Field(default=15.0, gt=0)
    """Time between two comparisons of allocations with each other and with what runs."""

    unusable_port_seconds: float = Field(default=60.0, ge=0)
    """Time for which a range is left alone whose web port something else listened on."""

    released_port_seconds: float = Field(default=5.0, ge=0)
    """Time for which a range is given to nobody else after an instance gave it back: longer than
    edge goes by an answer (ACCESS_FRESH_SECONDS), or a browser that still has the old instance
    open could be let into the new one."""

    @model_validator(mode="after")
    def _has_ports(self) -> Self:
        if not self.port_plan.capacity:
            raise ValueError("PORT_BASE leaves no room for one range of PORT_RANGE_SIZE ports")
        return self

    @property
    def port_plan(self) -> PortPlan:
        """Which port ranges there are."""
        return PortPlan(self.port_base, self.port_range_size, self.max_concurrent_instances)

    @property
    def default_resources(self) -> Resources:
        """What an instance gets that asks for nothing."""
        return Resources(
            parse_cpu(self.default_cpu_request),
            parse_memory(self.default_memory_request),
            parse_memory(self.default_storage_request),
        )
