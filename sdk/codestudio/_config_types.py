"""Settings of the services, as their users read them."""

import datetime
import enum
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from google.protobuf import json_format, struct_pb2

from codestudio import _messages
from codestudio.config.v1 import config_service_pb2 as pb


class SettingEffect(enum.StrEnum):
    """When a change of a setting takes effect."""

    UNSPECIFIED = "UNSPECIFIED"
    LIVE = "LIVE"
    """In the running service, within two seconds."""
    AT_START = "AT_START"
    """When the service is started with another environment; it cannot be changed here."""
    FOLLOWS = "FOLLOWS"
    """When it is changed in the configuration of the service it belongs to."""


class ConfigurationChange(NamedTuple):
    """One change of one setting."""

    path: str
    """Path of the setting."""
    before: Any
    """Its value before; None if it had none."""
    after: Any
    """Its value after; None if it has none."""


class Configuration(_messages.View[pb.Configuration]):
    """The settings of a service; `configuration["port_allocation.base_port"]` is one of them."""

    @property
    def service(self) -> str:
        """Name of the service, such as "resource-service"."""
        return self.proto.service

    @property
    def values(self) -> dict[str, Any]:
        """The settings, as nested dictionaries."""
        return dict(_messages.whole(json_format.MessageToDict(self.proto.values)))

    @property
    def by_path(self) -> dict[str, Any]:
        """The settings by their paths, such as "port_allocation.base_port"."""
        return dict(sorted(self._flat(self.values, "")))

    @property
    def revision(self) -> int:
        """Revision of what was set while running; 0 if nothing ever was."""
        return self.proto.revision

    @property
    def etag(self) -> str:
        """Changes with every revision."""
        return self.proto.etag

    @property
    def update_time(self) -> datetime.datetime | None:
        """When it, or the service it follows, was last changed; None if never."""
        return _messages.time(self.proto, "update_time")

    @property
    def sources(self) -> dict[str, str]:
        """Where each comes from, by path: "base", "environment", "secret" or "dynamic"."""
        return dict(sorted(self.proto.sources.items()))

    def __getitem__(self, path: str) -> Any:
        return self.by_path[path]

    def _flat(self, values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for name, value in values.items():
            path = prefix + name
            # A setting may be an object itself; what is one has a source.
            if isinstance(value, Mapping) and path not in self.proto.sources:
                yield from self._flat(value, path + ".")
            else:
                yield path, value


class ConfigurationRevision(_messages.View[pb.ConfigurationRevision]):
    """One change of a service's settings."""

    @property
    def service(self) -> str:
        """Name of the service."""
        return self.proto.service

    @property
    def revision(self) -> int:
        """Its number, from 1."""
        return self.proto.revision

    @property
    def author(self) -> str:
        """Subject of the user who made it."""
        return self.proto.author

    @property
    def reason(self) -> str:
        """Why, in the author's words."""
        return self.proto.reason

    @property
    def create_time(self) -> datetime.datetime | None:
        """When."""
        return _messages.time(self.proto, "create_time")

    @property
    def changes(self) -> tuple[ConfigurationChange, ...]:
        """What changed."""
        return tuple(
            ConfigurationChange(each.path, _value(each, "before"), _value(each, "after"))
            for each in self.proto.changes
        )

    @property
    def rollback_of(self) -> int | None:
        """The revision it went back to, 0 for the base; None for one that is no rollback."""
        return self.proto.rollback_of if self.proto.is_rollback else None


class Setting(_messages.View[pb.Setting]):
    """One setting a service has."""

    @property
    def path(self) -> str:
        """Its path."""
        return self.proto.path

    @property
    def type(self) -> str:
        """What it takes: integer, number, boolean, string, cpu, size or durations."""
        return self.proto.type

    @property
    def description(self) -> str:
        """What it is for, with its unit."""
        return self.proto.description

    @property
    def effect(self) -> SettingEffect:
        """When a change takes effect."""
        return _messages.name(SettingEffect, pb.SettingEffect, "SETTING_EFFECT_", self.proto.effect)

    @property
    def base(self) -> Any:
        """Its value where nothing was set while running; None for secrets."""
        return _value(self.proto, "base")

    @property
    def minimum(self) -> float | None:
        """Least value; None where there is none."""
        return self.proto.minimum if self.proto.HasField("minimum") else None

    @property
    def maximum(self) -> float | None:
        """Greatest value; None where there is none."""
        return self.proto.maximum if self.proto.HasField("maximum") else None

    @property
    def allowed(self) -> tuple[str, ...]:
        """The values there are; empty where any of its type will do."""
        return tuple(self.proto.allowed)

    @property
    def variable(self) -> str:
        """Environment variable it is read from at start; empty for none."""
        return self.proto.variable

    @property
    def secret(self) -> bool:
        """Whether its value is never told."""
        return self.proto.secret

    @property
    def follows(self) -> str:
        """The service whose setting of the same path it follows; empty for its own."""
        return self.proto.follows


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Write settings by path as the nested message of the contract.

    Raises ValueError for what JSON does not know.
    """
    nested: dict[str, Any] = {}
    for path, value in values.items():
        *sections, name = path.split(".")
        home = nested
        for section in sections:
            home = home.setdefault(section, {})
            if not isinstance(home, dict):
                raise ValueError(f"{path} lies inside a setting that is given too")
        home[name] = value
    try:
        return json_format.ParseDict(nested, struct_pb2.Struct())
    except json_format.ParseError as error:
        raise ValueError(f"settings are values that JSON knows: {error}") from None


def _value(message: pb.ConfigurationChange | pb.Setting, field: str) -> Any:
    if not message.HasField(field):
        return None
    return _messages.whole(json_format.MessageToDict(getattr(message, field)))
