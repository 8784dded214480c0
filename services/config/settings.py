"""Settings of the config service."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from services.chassis.settings import ServiceSettings


class ConfigSettings(ServiceSettings):
    """What the config service reads beside what every service reads. Times are in seconds."""

    microservice_name: str = "config-service"
    """Name of the service."""

    port: int = Field(default=3005, ge=0, le=65535)
    """Port of the service."""

    config_base_dir: Path = Path("deploy/config")
    """Directory of the base documents; in a cluster a mounted ConfigMap."""

    config_secrets_dir: Path | None = None
    """Directory with one file a secret, of which only the names are read; in a cluster a mounted
    Secret. By default where `service_key_file` lies."""

    service_ports: Annotated[dict[str, int], NoDecode] = Field(default_factory=dict)
    """Ports of services that are not where the base documents say, such as
    ``quota-service=13006,edge-service=13007``."""

    config_reread_seconds: float = Field(default=2.0, gt=0)
    """Time between two looks at the base documents and the names of secrets."""

    config_resync_seconds: float = Field(default=5.0, gt=0)
    """Time between two comparisons of what is in force here, MongoDB and Redis: how long a change
    may go unseen whose announcement was lost."""

    config_heartbeat_seconds: float = Field(default=15.0, gt=0, le=20)
    """Longest silence on a watch; the contract promises 20."""

    @field_validator("service_ports", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)

    @property
    def secrets_dir(self) -> Path:
        """Directory whose files are the secrets there are."""
        return self.config_secrets_dir or self.service_key_file.parent
