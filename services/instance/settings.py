"""Settings of the Instance service."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, ValidationInfo, field_validator

from services.chassis.settings import Configured, ServiceSettings

LONGEST_LIMIT = 10 * 365 * 86_400
"""Longest idle_timeout and max_lifetime, in seconds: ten years."""


class InstanceSettings(ServiceSettings):
    """What the Instance service reads beside what every service does. Times are in seconds."""

    microservice_name: str = "instance-service"
    """Name of the service."""

    port: int = Field(default=3001, ge=0, le=65535)
    """Port of the service (specification)."""

    max_cpu_limit: Annotated[str, Configured("resource_limits.max_cpu_limit")] = "4"
    """Most CPU an instance may ask for (specification, resource_limits)."""

    max_memory_limit: Annotated[str, Configured("resource_limits.max_memory_limit")] = "8Gi"
    """Most memory an instance may ask for (specification, resource_limits)."""

    max_storage_limit: Annotated[str, Configured("resource_limits.max_storage_limit")] = "1Ti"
    """Most disk an instance may ask for."""

    budget_quota: float = Field(default=15.0, gt=0)
    """A start may wait this long for its quota to be confirmed."""

    budget_resources: float = Field(default=15.0, gt=0)
    """A start may wait this long for ports."""

    budget_paths: float = Field(default=15.0, gt=0)
    """A start may wait this long for its directories."""

    budget_workload: float = Field(default=15.0, gt=0)
    """A start may wait this long for its process or pod to exist."""

    budget_editor: float = Field(default=60.0, gt=0)
    """A start may wait this long for the editor to answer."""

    crash_limit: int = Field(default=5, ge=1)
    """An editor that ended this often within `crash_window` is not started again."""

    crash_window: float = Field(default=60.0, gt=0)
    """Exits longer ago than this are forgotten."""

    crash_backoff: float = Field(default=1.0, gt=0)
    """Pause before an editor that ended twice is started again; doubles with every exit. The
    first exit is mended at once: a person is waiting in front of it."""

    ports_tried: int = Field(default=20, ge=1)
    """Port ranges tried that something else on the machine listens in."""

    least_limit_seconds: float = Field(default=60.0, gt=0)
    """Shortest idle_timeout and max_lifetime, of an instance and by default: the runtime looks
    every 15 s, and VS Code takes somebody for active for 70 s after a key."""

    default_idle_timeout: Annotated[float, Configured("lifetime.default_idle_timeout")] = Field(
        default=0.0, ge=0
    )
    """Stop an instance that says nothing itself after so long without use; 0 for never."""

    idle_timeouts: Annotated[dict[str, NonNegativeFloat], Configured("lifetime.idle_timeouts")] = (
        Field(default_factory=dict)
    )
    """The same for namespaces by name, as a JSON object such as ``{"cs101": 3600}``."""

    default_max_lifetime: Annotated[float, Configured("lifetime.default_max_lifetime")] = Field(
        default=0.0, ge=0
    )
    """Stop an instance that says nothing itself so long after its start; 0 for never."""

    max_lifetimes: Annotated[dict[str, NonNegativeFloat], Configured("lifetime.max_lifetimes")] = (
        Field(default_factory=dict)
    )
    """The same for namespaces by name, as a JSON object."""

    stop_warning_seconds: Annotated[float, Configured("lifetime.stop_warning")] = Field(
        default=300.0, ge=0
    )
    """Warn so long before an instance is stopped for one of these; when a third is left, if
    that is later."""

    keep_alive_most_seconds: Annotated[float, Configured("lifetime.longest_keep_alive")] = Field(
        default=86_400.0, gt=0
    )
    """Longest keep-alive lease: whoever needs more renews it."""

    retry_first: float = Field(default=0.2, gt=0)
    """Pause before a failed step is tried again; doubles up to `retry_last`."""

    retry_last: float = Field(default=5.0, gt=0)
    """Longest pause before a failed step is tried again: a part that returns is found soon."""

    resync_seconds: float = Field(default=10.0, gt=0)
    """Time between two looks at everything (DESIGN section 5)."""

    reconcile_workers: int = Field(default=32, ge=1)
    """Instances worked on at once, per replica."""

    lease_seconds: float = Field(default=10.0, gt=0)
    """How long an instance stays with a replica that died."""

    stop_seconds: float = Field(default=60.0, gt=0)
    """Longest wait for a workload to stop before it is asked again."""

    claim_takeover_seconds: float = Field(default=2.0, gt=0)
    """A creation that hangs this long may be taken over by a retry of the same request."""

    claim_abandon_seconds: float = Field(default=15.0, gt=0)
    """A creation, or a call to start, that hangs this long is undone: its caller is dead. More
    than a write and a reservation can take (`dependency_timeout` and `reserve_seconds`)."""

    reserve_seconds: float = Field(default=5.0, gt=0)
    """Longest wait for a reservation of quota."""

    cache_seconds: float = Field(default=1.0, ge=0)
    """Oldest an instance read from memory may be; 0 reads the database every time."""

    cache_entries: int = Field(default=2_000, ge=1)
    """Instances held in memory at most."""

    heartbeat_seconds: float = Field(default=15.0, gt=0, le=20)
    """Longest silence on a watch; the contract promises 20."""

    events_kept: int = Field(default=2_000, ge=1)
    """Newest events kept in memory for watches; older ones are read from JetStream."""

    events_max_age: float = Field(default=86_400.0, gt=0)
    """How long JetStream keeps events: how old a resume token may be."""

    @field_validator("default_idle_timeout", "default_max_lifetime")
    @classmethod
    def _is_limit(cls, value: float, info: ValidationInfo) -> float:
        # Missing where it was refused itself.
        least = info.data.get("least_limit_seconds", 0)
        if value and not least <= value <= LONGEST_LIMIT:
            raise ValueError(f"must be {least:g} s to ten years, or 0 for never, is {value:g}")
        return value

    @field_validator("idle_timeouts", "max_lifetimes")
    @classmethod
    def _are_limits(cls, value: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        for limit in value.values():
            cls._is_limit(limit, info)
        return value
