"""What a client asks to have created: everything wrong with it is told at once.

Fields are named by their path in the gRPC request (``config.resources.cpu``, as the contract's
FieldViolation says); the REST body is the config itself, and its paths are the same without the
first word. Items of a batch are ``configs[3].resources.cpu``.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Literal

from codestudio.instance.v1 import instance_pb2
from google.protobuf import duration_pb2

from services.chassis import quantities, validation
from services.instance import names, translation
from services.instance.record import Desired
from services.instance.settings import LONGEST_LIMIT, InstanceSettings

DEFAULT_NAMESPACE = "default"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_RESERVED = "CODESTUDIO_"
_MOST_VARIABLES = 100
_MOST_VARIABLE_NAME = 256
_MOST_VALUE_BYTES = 4096
_MOST_LABELS = 32
_MOST_LABEL_VALUE = 63
_MOST_DISPLAY_NAME = 100
_MOST_DURATION = LONGEST_LIMIT * 1000
_LONGEST_SHOWN = 40
_LAST_PORT = 65535


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """A request for an instance that is right in itself."""

    id: str
    """The name asked for; empty to have one made."""
    namespace: str
    display_name: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    cpu: str
    memory: str
    storage: str
    web_port: int
    """The port asked for; 0 for any."""
    desired: Desired
    idle_timeout: int | None
    """Milliseconds; 0 for never, None for the default."""
    max_lifetime: int | None
    """Likewise."""


class Reader:
    """Reads configs by the limits of the settings, as they are at that moment."""

    def __init__(self, settings: Callable[[], InstanceSettings]) -> None:
        """Prepare.

        Args:
            settings: Gives the settings in force.
        """
        self._settings = settings

    def read(
        self, config: instance_pb2.InstanceConfig, wrong: validation.Violations, path: str
    ) -> Specification:
        """Read one config, noting what is wrong with it; what it gives is valid if nothing was.

        Args:
            config: What was asked for.
            wrong: Takes the violations.
            path: Path of the config in the request, such as ``config``.
        """
        if config.id and not names.valid(config.id):
            wrong.add(f"{path}.id", names.RULE)
        if config.namespace and not names.valid(config.namespace):
            wrong.add(f"{path}.namespace", names.RULE)
        if len(config.display_name) > _MOST_DISPLAY_NAME:
            wrong.add(f"{path}.display_name", f"must be at most {_MOST_DISPLAY_NAME} characters")
        resources, settings = config.resources, self._settings()
        cpu = resources.cpu or settings.default_cpu_request
        memory = resources.memory or settings.default_memory_request
        storage = resources.storage or settings.default_storage_request
        wrong.cpu(f"{path}.resources.cpu", cpu, most=quantities.parse_cpu(settings.max_cpu_limit))
        wrong.memory(
            f"{path}.resources.memory",
            memory,
            most=quantities.parse_memory(settings.max_memory_limit),
        )
        wrong.memory(
            f"{path}.resources.storage",
            storage,
            most=quantities.parse_memory(settings.max_storage_limit),
        )
        _environment(config.environment, wrong, f"{path}.environment")
        _labels(config.labels, wrong, f"{path}.labels")
        return Specification(
            id=config.id,
            namespace=config.namespace or DEFAULT_NAMESPACE,
            display_name=config.display_name,
            labels=dict(config.labels),
            environment=dict(config.environment),
            cpu=cpu,
            memory=memory,
            storage=storage,
            web_port=_web_port(settings, config.ports, wrong, f"{path}.ports"),
            desired=_desired(config.desired_state, wrong, f"{path}.desired_state"),
            idle_timeout=self.limit(config, "idle_timeout", wrong, path),
            max_lifetime=self.limit(config, "max_lifetime", wrong, path),
        )

    def limit(
        self,
        given: instance_pb2.InstanceConfig | instance_pb2.Instance,
        field: Literal["idle_timeout", "max_lifetime"],
        wrong: validation.Violations,
        path: str,
    ) -> int | None:
        """Read a limit in milliseconds: 0 for never, None where it is left to the default."""
        if not given.HasField(field):
            return None
        value: duration_pb2.Duration = getattr(given, field)
        least, length = self._settings().least_limit_seconds, translation.milliseconds(value)
        never = not value.seconds and not value.nanos
        if not never and not least * 1000 <= length <= _MOST_DURATION:
            wrong.add(f"{path}.{field}", f"must be {least:g}s to ten years, or 0 for never")
            return 0
        return length


def _web_port(
    settings: InstanceSettings,
    ports: instance_pb2.PortRequest,
    wrong: validation.Violations,
    path: str,
) -> int:
    """Read the web port; a callback port alone asks for the range it belongs to."""
    web, callback = ports.web_port, ports.callback_port
    half = settings.port_range_size // 2
    if callback and not 1024 <= callback <= 65535:
        wrong.add(f"{path}.callback_port", f"must be 1024 to 65535, or 0, is {callback}")
        callback = 0
    if web and not 1024 <= web <= 65535:
        wrong.add(f"{path}.web_port", f"must be 1024 to 65535, or 0, is {web}")
        return 0
    if web and callback and callback != web + half:
        wrong.add(f"{path}.callback_port", f"must be web_port + {half}, {web + half}")
    if not web and callback:
        web, path = callback - half, f"{path}.callback_port"
    else:
        path = f"{path}.web_port"
    if web and not _starts_range(settings, web):
        first, size = settings.port_base, settings.port_range_size
        wrong.add(
            path,
            f"must begin a port range: {first}, {first + size}, … up to"
            f" {first + size * (_ranges(settings) - 1)}"
            + (f" for the web port, plus {half}" if path.endswith("callback_port") else ""),
        )
    return web


def _starts_range(settings: InstanceSettings, port: int) -> bool:
    number, rest = divmod(port - settings.port_base, settings.port_range_size)
    return rest == 0 and 0 <= number < _ranges(settings)


def _ranges(settings: InstanceSettings) -> int:
    """Count the ranges there are: as many as instances, and no more than ports there are for."""
    room = (_LAST_PORT + 1 - settings.port_base) // settings.port_range_size
    return min(settings.max_concurrent_instances, room)


def _desired(value: int, wrong: validation.Violations, path: str) -> Desired:
    match value:
        case instance_pb2.DESIRED_STATE_UNSPECIFIED | instance_pb2.DESIRED_STATE_RUNNING:
            return Desired.RUNNING
        case instance_pb2.DESIRED_STATE_STOPPED:
            return Desired.STOPPED
    wrong.add(path, "must be DESIRED_STATE_RUNNING or DESIRED_STATE_STOPPED")
    return Desired.RUNNING


def _environment(given: Mapping[str, str], wrong: validation.Violations, path: str) -> None:
    if len(given) > _MOST_VARIABLES:
        wrong.add(path, f"must be at most {_MOST_VARIABLES} variables, is {len(given)}")
    for name, value in given.items():
        where = f"{path}[{_shown(name)}]"
        if not _VARIABLE.fullmatch(name) or len(name) > _MOST_VARIABLE_NAME:
            wrong.add(
                where,
                'the name must be letters, digits and "_", no digit first,'
                f" at most {_MOST_VARIABLE_NAME} characters",
            )
        elif name.startswith(_RESERVED):
            wrong.add(where, f"names that begin with {_RESERVED} are the product's own")
        if len(value.encode()) > _MOST_VALUE_BYTES:
            wrong.add(where, f"the value must be at most {_MOST_VALUE_BYTES} bytes")
        if "\0" in value:
            wrong.add(where, "the value must not contain NUL")


def _labels(given: Mapping[str, str], wrong: validation.Violations, path: str) -> None:
    if len(given) > _MOST_LABELS:
        wrong.add(path, f"must be at most {_MOST_LABELS} labels, is {len(given)}")
    for key, value in given.items():
        where = f"{path}[{_shown(key)}]"
        if not _LABEL.fullmatch(key):
            wrong.add(
                where,
                "the key must be 1 to 63 letters, digits and . _ / -,"
                " a letter or digit first and last",
            )
        if len(value) > _MOST_LABEL_VALUE:
            wrong.add(where, f"the value must be at most {_MOST_LABEL_VALUE} characters")


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
