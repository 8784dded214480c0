"""Settings of the path service."""

from typing import Annotated

from pydantic import Field

from services.chassis.settings import Configured, ServiceSettings


class PathSettings(ServiceSettings):
    """What the path service reads beside what every service reads."""

    microservice_name: str = "path-service"
    """Name of the service."""

    port: int = Field(default=3002, ge=0, le=65535)
    """Port of the service."""

    path_cache_seconds: Annotated[int, Configured("path_management.cache_seconds")] = Field(
        default=300, ge=0
    )
    """How long ``path_info:<id>`` stays (specification, cachePathInfo); 0 keeps none."""

    path_clock_skew_seconds: float = Field(default=2.0, ge=0)
    """How far the clocks of two replicas may be apart: what another one cached counts only if it
    is so much younger than our own watch for changes."""

    path_threads: int = Field(default=4, ge=1)
    """File work done at once. Mostly it waits for the disk; more only take turns at it."""

    path_queue: int = Field(default=64, ge=0)
    """File work that may wait for a thread; more is refused (FILES_BUSY)."""

    path_calls_per_instance: int = Field(default=16, ge=1)
    """File work of one instance at a time, waiting or done: nobody takes all the places. Of the
    threads, one instance has half."""

    path_seconds: Annotated[float, Configured("path_management.call_seconds")] = Field(
        default=9.0, gt=0
    )
    """Longest time for file work of one call: the gateway repeats a read after ten seconds."""

    path_page_seconds: Annotated[float, Configured("path_management.page_seconds")] = Field(
        default=2.0, gt=0
    )
    """Time after which a page of a project's structure is sent as far as it has come."""
