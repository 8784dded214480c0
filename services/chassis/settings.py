"""Settings of a service, read from the environment in this one place.

Names are the specification's (MICROSERVICE_NAME, MONGODB_URL, …), the field's
name in capitals. A service subclasses `ServiceSettings` to give its own
defaults and to add what only it needs.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.chassis import quantities

ADMIN_PORT_OFFSET = 6000
"""A service's admin port is its port plus this: 3001 and 9001."""

WEB_PORT_OFFSET = 4000
"""The port for browsers of a service that also speaks gRPC is its port plus this."""


@dataclasses.dataclass(frozen=True, slots=True)
class Configured:
    """Marks a field that a service's configuration can change while the service runs.

    Its value must then be read from `live.Live.current` each time it is needed.
    """

    path: str
    """Where the configuration has it, such as ``port_allocation.base_port``."""


def _admin_port(given: dict[str, Any]) -> int:
    # Port 0 (any free one, in tests) means any free one for both.
    port = int(given.get("port", 0))
    return port + ADMIN_PORT_OFFSET if port else 0


def _web_port(given: dict[str, Any]) -> int:
    port = int(given.get("port", 0))
    return port + WEB_PORT_OFFSET if port else 0


class ServiceSettings(BaseSettings):
    """What every service reads. Times are in seconds, sizes as the name says."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )

    microservice_name: str = Field(min_length=1)
    """Name of the service, such as ``instance-service``: in logs, errors and its tokens."""

    bind_host: str = "127.0.0.1"
    """Address to listen on. Loopback by default: nothing is open to a network unasked."""

    port: int = Field(ge=0, le=65535)
    """Port of the service itself; 0 takes any free one."""

    http_port: int = Field(default_factory=_admin_port, ge=0, le=65535)
    """Port of /health, /ready and /metrics; `port` + 6000 by default."""

    web_port: int = Field(default_factory=_web_port, ge=0, le=65535)
    """Port for browsers, of a service that speaks gRPC on `port`; `port` + 4000 by default."""

    stack_id: str = "local"
    """Unique id of the stack we belong to; keeps two stacks on a machine apart."""

    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis or Valkey."""

    redis_cluster_endpoint: str = ""
    """A node of a Redis Cluster, such as ``redis://redis-cluster:6379``; overrides `redis_url`."""

    redis_pool_max: int = Field(default=50, ge=1)
    """Connections to Redis at most (specification, connection pools)."""

    redis_pool_min: int = Field(default=10, ge=0)
    """Connections to Redis opened ahead of use (specification, connection pools)."""

    redis_pool_timeout: float = Field(default=30.0, gt=0)
    """Wait for a free connection to Redis at most (specification: acquireTimeoutMillis)."""

    redis_pool_create_timeout: float = Field(default=30.0, gt=0)
    """Make a connection to Redis at most, second attempt included (specification:
    createTimeoutMillis). Each attempt also ends after `dependency_timeout`, which is shorter."""

    redis_pool_create_retry_interval: float = Field(default=0.2, ge=0)
    """Pause before the second attempt (specification: createRetryIntervalMillis)."""

    redis_pool_destroy_timeout: float = Field(default=5.0, gt=0)
    """Close a connection to Redis at most (specification: destroyTimeoutMillis)."""

    redis_pool_idle_timeout: float = Field(default=30.0, gt=0)
    """Close connections to Redis beyond `redis_pool_min` after (specification:
    idleTimeoutMillis)."""

    redis_pool_reap_interval: float = Field(default=1.0, gt=0)
    """Time between two looks for such connections (specification: reapIntervalMillis)."""

    mongodb_url: str = "mongodb://127.0.0.1:27017/codestudio"
    """MongoDB, with the name of the database."""

    mongodb_pool_max: int = Field(default=50, ge=1)
    """Connections to MongoDB at most (specification: maxPoolSize)."""

    mongodb_pool_min: int = Field(default=10, ge=0)
    """Connections to MongoDB kept open (specification: minPoolSize)."""

    mongodb_max_idle: float = Field(default=30.0, gt=0)
    """Close surplus connections to MongoDB after (specification: maxIdleTimeMS)."""

    mongodb_pool_timeout: float = Field(default=30.0, gt=0)
    """Wait for a free connection to MongoDB at most (specification: waitQueueTimeoutMS)."""

    dependency_timeout: float = Field(default=5.0, gt=0)
    """Longest wait for an answer of Redis, MongoDB or NATS before it counts as down."""

    nats_url: str = "nats://127.0.0.1:4222"
    """NATS; several servers separated by commas."""

    mesh_address: str = "127.0.0.1:3100"
    """Envoy's mesh listener, host:port: the way to every other service."""

    gateway_url: str = "http://localhost:3000"
    """Where users reach the product."""

    jwks_file: Path = Path(".codestudio/secrets/jwks.json")
    """Public keys of users' and services' tokens; read again when it changes."""

    service_key_file: Path = Path(".codestudio/secrets/services.pem")
    """Private key that this service signs its own tokens with."""

    user_key_file: Path = Path(".codestudio/secrets/users.pem")
    """Private key of users' tokens; only edge may have it."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Configured("monitoring.logging_level")
    ] = "info"
    """Least important level that is logged."""

    metrics_enabled: Annotated[bool, Configured("monitoring.metrics_enabled")] = True
    """Whether /metrics is served (specification, monitoring)."""

    otel_exporter_otlp_endpoint: str = ""
    """Collector of traces by OTLP over gRPC; without one no spans are made, only passed on."""

    drain_seconds: float = Field(default=20.0, ge=0)
    """On SIGTERM, time for running calls to finish before they are cancelled."""

    drain_settle_seconds: float = Field(default=1.0, ge=0)
    """On SIGTERM, time between NOT_SERVING and refusing calls, for health checks to notice."""

    grpc_max_receive_bytes: int = Field(default=4 * 1024**2, ge=1024)
    """Largest message accepted."""

    grpc_max_send_bytes: int = Field(default=16 * 1024**2, ge=1024)
    """Largest message sent."""

    kubernetes_namespace: str = "codestudio"
    """The Kubernetes namespace everything lives in."""

    container_root: Path = Path(".codestudio")
    """Root under which ``instances/<id>/{user-data,extensions,workspace,logs,temp}`` lie."""

    editor_command: str = ""
    """Path of code-server or openvscode-server; empty looks it up on PATH."""

    max_concurrent_instances: Annotated[int, Configured("port_allocation.max_instances")] = Field(
        default=100, ge=1
    )
    """Instances at most, in the whole stack."""

    port_base: Annotated[int, Configured("port_allocation.base_port")] = Field(
        default=8000, ge=1024, le=65535
    )
    """First port of the first instance's range."""

    port_range_size: Annotated[int, Configured("port_allocation.range_size")] = Field(
        default=100, ge=2
    )
    """Ports in each instance's range: the web port first, and callbacks in the upper half."""

    default_cpu_request: Annotated[str, Configured("resource_limits.default_cpu_request")] = "500m"
    """CPU of an instance that asks for none (specification, resource_limits)."""

    default_memory_request: Annotated[str, Configured("resource_limits.default_memory_request")] = (
        "1Gi"
    )
    """Memory of an instance that asks for none (specification, resource_limits)."""

    default_storage_request: Annotated[
        str, Configured("resource_limits.default_storage_request")
    ] = "10Gi"
    """Disk of an instance that asks for none (specification, InstanceConfig)."""

    @field_validator("default_cpu_request")
    @classmethod
    def _is_cpu(cls, value: str) -> str:
        quantities.parse_cpu(value)
        return value

    @field_validator("default_memory_request", "default_storage_request")
    @classmethod
    def _is_size(cls, value: str) -> str:
        quantities.parse_memory(value)
        return value

    def __init__(self, **values: Any) -> None:
        # Declared so that type checkers know every field may come from the environment.
        super().__init__(**values)
