"""Settings of the resource service."""

import os
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from services.chassis.quantities import parse_cpu, parse_memory
from services.chassis.settings import Configured, ServiceSettings
from services.resource.ports import PortPlan
from services.resource.rightsizing import Limits, Policy
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

    health_check_interval: Annotated[int, Configured("monitoring.health_check_interval")] = Field(
        default=30, ge=1, le=3600
    )
    """Seconds between two checks of whether an editor that runs answers (specification)."""

    limit_look_seconds: float = Field(default=2.0, gt=0)
    """Time between two looks at whether local instances keep to their limits."""

    local_cpu_affinity: bool = True
    """Whether a local instance runs on as many processors as its CPU limit, rounded up."""

    local_cgroups: bool = True
    """Whether the kernel's control groups hold local instances, where they are delegated to us."""

    local_process_limit: int = Field(default=1000, ge=0)
    """Processes a local instance may have; 0 for any number. A large build has some hundred."""

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

    unclaimed_port_seconds: float = Field(default=600.0, ge=0)
    """Time for which a range may wait for its instance to be created."""

    max_cpu_limit: Annotated[str, Configured("resource_limits.max_cpu_limit")] = "4"
    """Most CPU that is recommended, or allocated by hand (specification, resource_limits)."""

    max_memory_limit: Annotated[str, Configured("resource_limits.max_memory_limit")] = "8Gi"
    """Most memory that is recommended, or allocated by hand (specification, resource_limits)."""

    max_storage_limit: Annotated[str, Configured("resource_limits.max_storage_limit")] = "1Ti"
    """Most disk that is allocated by hand."""

    optimize_high_ratio: float = Field(default=0.8, gt=0, lt=1)
    """Share of a limit above which more is recommended (specification)."""

    optimize_factor: float = Field(default=1.5, gt=1)
    """What the use is multiplied by for it (specification)."""

    optimize_up_seconds: float = Field(default=60.0, gt=0)
    """The use that counts for it is the mean of this long."""

    optimize_low_ratio: float = Field(default=0.3, ge=0, lt=1)
    """Share of a limit that the mean must not pass for less to be recommended."""

    optimize_down_seconds: float = Field(default=1800.0, gt=0)
    """How long it must not have; at most the whole history, where that is shorter."""

    optimize_headroom: float = Field(default=1.5, gt=1)
    """What the highest use seen is multiplied by for it; more than 1 / `optimize_high_ratio`, or
    the smaller size would at once be recommended to grow."""

    optimize_min_cpu: str = "250m"
    """Least CPU that is recommended."""

    optimize_min_memory: str = "512Mi"
    """Least memory that is recommended: an editor that nobody uses needs half of it."""

    optimize_deadband: float = Field(default=0.2, ge=0, lt=1)
    """Reductions by less than this share are not recommended."""

    optimize_coverage: float = Field(default=0.8, gt=0, le=1)
    """Share of the samples of a stretch of time that must be there to speak for it."""

    @field_validator("max_cpu_limit", "optimize_min_cpu")
    @classmethod
    def _is_cpu(cls, value: str) -> str:
        parse_cpu(value)
        return value

    @field_validator("max_memory_limit", "max_storage_limit", "optimize_min_memory")
    @classmethod
    def _is_size(cls, value: str) -> str:
        parse_memory(value)
        return value

    @model_validator(mode="after")
    def _does_not_swing(self) -> Self:
        if min(self.optimize_headroom, self.optimize_factor) * self.optimize_high_ratio <= 1:
            raise ValueError(
                "OPTIMIZE_HEADROOM and OPTIMIZE_FACTOR must be more than 1 / OPTIMIZE_HIGH_RATIO"
            )
        if self.optimize_low_ratio >= self.optimize_high_ratio:
            raise ValueError("OPTIMIZE_LOW_RATIO must be less than OPTIMIZE_HIGH_RATIO")
        return self

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
    def rightsizing(self) -> Policy:
        """The numbers recommendations keep to."""
        return Policy(
            resolution=self.usage_sample_seconds,
            high=self.optimize_high_ratio,
            factor=self.optimize_factor,
            up_seconds=self.optimize_up_seconds,
            most=Limits(parse_cpu(self.max_cpu_limit), parse_memory(self.max_memory_limit)),
            low=self.optimize_low_ratio,
            down_seconds=min(
                self.optimize_down_seconds, self.usage_sample_seconds * self.usage_history_samples
            ),
            headroom=self.optimize_headroom,
            least=Limits(parse_cpu(self.optimize_min_cpu), parse_memory(self.optimize_min_memory)),
            deadband=self.optimize_deadband,
            coverage=self.optimize_coverage,
        )

    @property
    def default_resources(self) -> Resources:
        """What an instance gets that asks for nothing."""
        return Resources(
            parse_cpu(self.default_cpu_request),
            parse_memory(self.default_memory_request),
            parse_memory(self.default_storage_request),
        )

    @property
    def most_resources(self) -> Resources:
        """What may be allocated by hand at most."""
        return Resources(
            parse_cpu(self.max_cpu_limit),
            parse_memory(self.max_memory_limit),
            parse_memory(self.max_storage_limit),
        )
