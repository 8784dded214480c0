"""The settings of every service: names, types, bounds, defaults, and when a change takes effect.

Names and defaults are the specification's (``instance-config.json``, ``microservices.yaml`` and
the instance template) where it has them. A live setting must be read by its service through
`services.chassis.live` at the same path; `tests/unit/config/test_services.py` holds both together.

A setting either takes effect in the running service or belongs to the deployment. There is no
third kind that waits for a restart: what is shown is what is in force.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from services.chassis import quantities
from services.config.schema import Effect, Kind, Mark, Schema

_TEN_YEARS = 10 * 365 * 86_400


def _live(variable: str = "", *, other: str = "") -> Mark:
    return Mark(effect=Effect.LIVE, variable=variable, other_variable=other)


def _at_start(variable: str = "") -> Mark:
    return Mark(effect=Effect.AT_START, variable=variable)


def _secret(*, variable: str = "", file: str = "") -> Mark:
    return Mark(effect=Effect.AT_START, variable=variable, file=file, secret=True)


def _number_as_text(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:g}" if is_number and abs(value) < 1e6 else value


def _quantity(kind: Kind, parse: Callable[[str], int], invalid: str) -> AfterValidator:
    least, most = map(parse, kind.bounds)

    def check(text: str) -> str:
        try:
            amount = parse(text)
        except ValueError as error:
            # A template: pydantic would take braces in the text for placeholders.
            raise PydanticCustomError(kind.name, "{why}", {"why": f"{invalid}: {error}"}) from None
        if amount < least:
            why = f"{invalid}: must be more than 0"
        elif amount > most:
            why = f"{invalid}: must be at most {kind.bounds[1]}"
        else:
            return text
        raise PydanticCustomError(kind.name, "{why}", {"why": why})

    return AfterValidator(check)


_MOST_CPU = quantities.format_cpu(quantities.MAX_MILLICORES)
_MOST_SIZE = quantities.format_memory(quantities.MAX_EXACT)
_CPU = Kind("cpu", ("1m", _MOST_CPU))
_CPU_OR_NONE = Kind("cpu", ("0", _MOST_CPU))
_SIZE = Kind("size", ("1", _MOST_SIZE))
_SIZE_OR_NONE = Kind("size", ("0", _MOST_SIZE))

Port: TypeAlias = Annotated[int, Kind("port"), Field(ge=1024, le=65535)]
Cpu: TypeAlias = Annotated[
    str,
    _CPU,
    BeforeValidator(_number_as_text),
    _quantity(_CPU, quantities.parse_cpu, "Invalid CPU specification"),
]
Size: TypeAlias = Annotated[
    str,
    _SIZE,
    BeforeValidator(_number_as_text),
    _quantity(_SIZE, quantities.parse_memory, "Invalid memory specification"),
]
CpuOrNone: TypeAlias = Annotated[
    str,
    _CPU_OR_NONE,
    BeforeValidator(_number_as_text),
    _quantity(_CPU_OR_NONE, quantities.parse_cpu, "Invalid CPU specification"),
]
SizeOrNone: TypeAlias = Annotated[
    str,
    _SIZE_OR_NONE,
    BeforeValidator(_number_as_text),
    _quantity(_SIZE_OR_NONE, quantities.parse_memory, "Invalid memory specification"),
]
Durations: TypeAlias = Annotated[
    dict[
        Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")],
        Annotated[float, Field(ge=0, le=_TEN_YEARS)],
    ],
    Kind("durations"),
    Field(max_length=1000),
]


class Section(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PortAllocation(Section):
    """Which port ranges instances get; what is allocated stays valid until it is released."""

    base_port: Annotated[Port, _live("PORT_BASE")] = 8000
    """First port of the first instance's range."""

    range_size: Annotated[int, Field(ge=2, le=64512), _live("PORT_RANGE_SIZE")] = 100
    """Ports in each instance's range: the web port first, and callbacks in the upper half."""

    max_instances: Annotated[int, Field(ge=1, le=100_000), _live("MAX_CONCURRENT_INSTANCES")] = 100
    """Ranges at most, and so instances with ports."""


class ResourceLimits(Section):
    """What an instance gets that asks for nothing, and the most it may ask for."""

    default_cpu_request: Annotated[Cpu, _live("DEFAULT_CPU_REQUEST")] = "500m"
    """CPU of an instance that asks for none."""

    default_memory_request: Annotated[Size, _live("DEFAULT_MEMORY_REQUEST")] = "1Gi"
    """Memory of an instance that asks for none."""

    default_storage_request: Annotated[Size, _live("DEFAULT_STORAGE_REQUEST")] = "10Gi"
    """Disk of an instance that asks for none."""

    max_cpu_limit: Annotated[Cpu, _live("MAX_CPU_LIMIT")] = "4"
    """Most CPU an instance may ask for."""

    max_memory_limit: Annotated[Size, _live("MAX_MEMORY_LIMIT")] = "8Gi"
    """Most memory an instance may ask for."""

    max_storage_limit: Annotated[Size, _live("MAX_STORAGE_LIMIT")] = "1Ti"
    """Most disk an instance may ask for."""


class DefaultQuota(Section):
    """What a namespace may have that was given no limits of its own."""

    instances: Annotated[int, Field(ge=0, le=2**31 - 1), _live("DEFAULT_QUOTA_INSTANCES")] = 100
    """Instances."""

    cpu: Annotated[CpuOrNone, _live("DEFAULT_QUOTA_CPU")] = "100"
    """CPU of all instances together."""

    memory: Annotated[SizeOrNone, _live("DEFAULT_QUOTA_MEMORY")] = "200Gi"
    """Memory of all instances together."""

    storage: Annotated[SizeOrNone, _live("DEFAULT_QUOTA_STORAGE")] = "1Ti"
    """Disk of all instances together."""


class PathCreation(Section):
    """Whether instances' directories are made."""

    auto_create_paths: Annotated[bool, _live("AUTO_CREATE_PATHS")] = True
    """Whether an instance's directories are made when it starts."""


class PathManagement(PathCreation):
    """Where instances' directories are."""

    dynamic_calculation: Annotated[Literal[True], _at_start()] = True
    """Paths are calculated from the instance's id; nothing else is supported."""

    container_root: Annotated[str, _at_start("CONTAINER_ROOT")] = "/app"
    """Directory under which ``instances/<id>`` lie."""

    cache_seconds: Annotated[int, Field(ge=0, le=86_400), _live("PATH_CACHE_SECONDS")] = 300
    """Seconds for which what is known about an instance's paths is kept; 0 for not at all."""

    call_seconds: Annotated[float, Field(ge=0.1, le=60), _live("PATH_SECONDS")] = 9.0
    """Longest time for the file work of one call, in seconds."""

    page_seconds: Annotated[float, Field(ge=0.1, le=60), _live("PATH_PAGE_SECONDS")] = 2.0
    """Seconds after which a page of a project's structure is sent as far as it has come."""


class Collaboration(Section):
    """Live editing."""

    enabled: Annotated[bool, _live("COLLABORATION_ENABLED")] = True
    """Whether documents can be edited together."""

    sync_interval: Annotated[
        int,
        Field(ge=50, le=60_000),
        _live("COLLABORATION_SYNC_INTERVAL", other="REAL_TIME_SYNC_INTERVAL"),
    ] = 1000
    """Milliseconds between two comparisons of a client's document with the server's."""

    conflict_resolution: Annotated[
        Literal["auto", "reject"], _live("COLLABORATION_CONFLICT_RESOLUTION")
    ] = "auto"
    """Whether a plain-text edit of an old revision is rebased (auto) or refused (reject)."""


class Lifetime(Section):
    """When an instance is stopped that nobody asked to stop. All in seconds, 0 for never.

    `rules` keeps the limits to what an instance itself may ask for: a shorter one would stop
    everything that runs before anybody could say no.
    """

    least_limit: Annotated[
        float, Field(ge=0.001, le=_TEN_YEARS), _at_start("LEAST_LIMIT_SECONDS")
    ] = 60.0
    """Shortest of the limits below, of an instance's own and of these."""

    default_idle_timeout: Annotated[
        float, Field(ge=0, le=_TEN_YEARS), _live("DEFAULT_IDLE_TIMEOUT")
    ] = 0.0
    """Time without use after which an instance is stopped that says nothing itself."""

    idle_timeouts: Annotated[Durations, _live("IDLE_TIMEOUTS")] = {}
    """The same for namespaces, by name."""

    default_max_lifetime: Annotated[
        float, Field(ge=0, le=_TEN_YEARS), _live("DEFAULT_MAX_LIFETIME")
    ] = 0.0
    """Time from its start after which an instance is stopped that says nothing itself."""

    max_lifetimes: Annotated[Durations, _live("MAX_LIFETIMES")] = {}
    """The same for namespaces, by name."""

    stop_warning: Annotated[float, Field(ge=0, le=86_400), _live("STOP_WARNING_SECONDS")] = 300.0
    """Time before such a stop at which it is warned of."""

    longest_keep_alive: Annotated[
        float, Field(ge=1, le=_TEN_YEARS), _live("KEEP_ALIVE_MOST_SECONDS")
    ] = 86_400.0
    """Longest keep-alive lease."""


class Monitoring(Section):
    """What a service tells about itself."""

    logging_level: Annotated[Literal["debug", "info", "warning", "error"], _live("LOG_LEVEL")] = (
        "info"
    )
    """Least important level that is logged."""

    metrics_enabled: Annotated[bool, _live("METRICS_ENABLED")] = True
    """Whether /metrics is served."""


class EditorMonitoring(Monitoring):
    """The same, and how editors are watched."""

    health_check_interval: Annotated[int, Field(ge=1, le=3600), _live("HEALTH_CHECK_INTERVAL")] = 30
    """Seconds between two checks of whether an editor that runs answers; its end is seen at once
    anyway."""


class Secrets(Section):
    """Whether each secret is there. Services read them from files and the environment."""

    service_key: Annotated[str, _secret(file="services.pem")]
    """Private key its tokens are signed with."""

    redis_url: Annotated[str, _secret(variable="REDIS_URL", file="redis_url")]
    """Redis, with its password."""


class StatefulSecrets(Secrets):
    """Of a service that also has MongoDB and NATS."""

    mongodb_url: Annotated[str, _secret(variable="MONGODB_URL", file="mongodb_url")]
    """MongoDB, with its password."""

    nats_url: Annotated[str, _secret(variable="NATS_URL", file="nats_url")]
    """NATS, with its password."""


class EdgeSecrets(Secrets):
    """Of edge."""

    user_key: Annotated[str, _secret(file="users.pem")]
    """Private key users' tokens are signed with."""


class Service(Section):
    """What every service has."""

    image: Annotated[str, _at_start()] = ""
    """Container image."""

    replicas: Annotated[int, Field(ge=0, le=1000), _at_start()] = 1
    """Replicas in a cluster."""

    port: Annotated[Port, _at_start("PORT")]
    """Port of the service."""

    monitoring: Monitoring
    secrets: Secrets


class Instance(Service):
    """Settings of the Instance service."""

    port_allocation: PortAllocation
    resource_limits: ResourceLimits
    lifetime: Lifetime
    secrets: StatefulSecrets


class Path(Service):
    """Settings of the Path service."""

    path_management: PathManagement


class Resource(Service):
    """Settings of the Resource service."""

    port_allocation: PortAllocation
    resource_limits: ResourceLimits
    path_management: PathCreation
    monitoring: EditorMonitoring


class CollaborationService(Service):
    """Settings of the Collaboration service."""

    collaboration: Collaboration
    secrets: StatefulSecrets


class Config(Service):
    """Settings of the Config service itself."""

    secrets: StatefulSecrets


class Quota(Service):
    """Settings of the Quota service."""

    default_quota: DefaultQuota


class Edge(Service):
    """Settings of edge."""

    secrets: EdgeSecrets


SCHEMAS: Mapping[str, Schema] = {
    schema.service: schema
    for schema in (
        Schema("collaboration-service", CollaborationService),
        Schema("config-service", Config),
        Schema("edge-service", Edge),
        Schema(
            "instance-service",
            Instance,
            # Instances are admitted by the same figures that resources are allocated by: one
            # place to change them, and never two opinions.
            follows={"port_allocation": "resource-service", "resource_limits": "resource-service"},
        ),
        Schema("path-service", Path),
        Schema("quota-service", Quota),
        # It makes the directories when it starts an instance.
        Schema("resource-service", Resource, follows={"path_management": "path-service"}),
    )
}
"""The settings of every service, by its name."""
