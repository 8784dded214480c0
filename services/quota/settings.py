"""Settings of the quota service."""

from typing import Annotated

from pydantic import Field, field_validator

from services.chassis.quantities import parse_cpu, parse_memory
from services.chassis.settings import Configured, ServiceSettings
from services.quota.amounts import MAX_AMOUNT, Amounts


class QuotaSettings(ServiceSettings):
    """What the quota service reads beside what every service reads."""

    microservice_name: str = "quota-service"
    """Name of the service."""

    port: int = Field(default=3006, ge=0, le=65535)
    """Port of the service."""

    default_quota_instances: Annotated[int, Configured("default_quota.instances")] = Field(
        default=100, ge=0, le=2**31 - 1
    )
    """Instances a namespace may have where nothing else was set."""

    default_quota_cpu: Annotated[str, Configured("default_quota.cpu")] = "100"
    """CPU a namespace may have where nothing else was set; Kubernetes quantity."""

    default_quota_memory: Annotated[str, Configured("default_quota.memory")] = "200Gi"
    """Memory a namespace may have where nothing else was set; Kubernetes quantity."""

    default_quota_storage: Annotated[str, Configured("default_quota.storage")] = "1Ti"
    """Disk a namespace may have where nothing else was set; Kubernetes quantity."""

    quota_reconcile_seconds: float = Field(default=30.0, gt=0)
    """Time between two comparisons of reservations with instances."""

    quota_confirm_seconds: float = Field(default=5.0, gt=0)
    """Time to the next comparison when one found a difference: only what two in a row see is
    repaired, and this is how long a repair waits for the second."""

    quota_grace_seconds: float = Field(default=60.0, ge=0)
    """Age below which a reservation is never taken back. A create reserves first and writes
    its record after; its deadline is 10 s, so after 60 s nothing of it can be in flight."""

    @field_validator("default_quota_cpu")
    @classmethod
    def _is_cpu(cls, value: str) -> str:
        parse_cpu(value)
        return value

    @field_validator("default_quota_memory", "default_quota_storage")
    @classmethod
    def _is_size(cls, value: str) -> str:
        if parse_memory(value) > MAX_AMOUNT:
            raise ValueError(f"size {value!r} is too large")
        return value

    @property
    def default_limits(self) -> Amounts:
        """Limits of a namespace that has none of its own."""
        return Amounts(
            instances=self.default_quota_instances,
            cpu=parse_cpu(self.default_quota_cpu),
            memory=parse_memory(self.default_quota_memory),
            storage=parse_memory(self.default_quota_storage),
        )
