"""The schema and the settings of the services, held together.

A setting that the schema calls live must be one its service reads live, from the same variable
and with the same default; what a service reads live must be in its schema.
"""

import importlib
import importlib.util
from collections.abc import Iterator

import pydantic
import pytest

from services.chassis import live
from services.chassis.settings import ServiceSettings
from services.collaboration.settings import CollaborationSettings
from services.config.schema import Schema
from services.config.sections import SCHEMAS
from services.quota.settings import QuotaSettings


def _settings_of(service: str) -> type[ServiceSettings] | None:
    """Give the settings of a service; None for one that is not built yet."""
    package = f"services.{service.removesuffix('-service')}"
    if importlib.util.find_spec(package) is None:
        return None
    if importlib.util.find_spec(f"{package}.settings") is None:
        return None
    module = importlib.import_module(f"{package}.settings")
    (found,) = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, ServiceSettings)
        and value.__module__ == module.__name__
    ]
    return found


def _built() -> Iterator[tuple[Schema, type[ServiceSettings]]]:
    for service, schema in SCHEMAS.items():
        settings = _settings_of(service)
        if settings is not None:
            yield schema, settings


_BUILT = list(_built())
_IDS = [schema.service for schema, _ in _BUILT]


def test_the_services_are_found() -> None:
    """Or what follows would hold of nothing."""
    assert {"instance-service", "resource-service", "quota-service", "edge-service"} <= set(_IDS)


@pytest.mark.parametrize(("schema", "settings"), _BUILT, ids=_IDS)
def test_every_live_setting_is_read_live(schema: Schema, settings: type[ServiceSettings]) -> None:
    """By a field at its path, from its variable, with its default; by one that follows, too."""
    readers = [settings] + [
        other for follower, other in _BUILT if schema.service in follower.followed
    ]
    for path, setting in schema.settings.items():
        if not (setting.changeable or setting.follows):
            continue
        fields = [
            (reader.model_fields[name], name)
            for reader in readers
            for name, configured in live.configured(reader).items()
            if configured == path
        ]
        assert fields, f"nobody has a field that is Configured({path!r})"
        for field, name in fields:
            assert setting.mark.variable == name.upper(), path
            alias = field.validation_alias
            assert setting.mark.variables == (
                tuple(one.upper() for one in alias.choices if isinstance(one, str))
                if isinstance(alias, pydantic.AliasChoices)
                else (name.upper(),)
            ), path
            assert setting.default == field.get_default(call_default_factory=True), path


@pytest.mark.parametrize(("schema", "settings"), _BUILT, ids=_IDS)
def test_everything_a_service_reads_live_is_in_its_schema(
    schema: Schema, settings: type[ServiceSettings]
) -> None:
    """What it declares itself; what all services inherit is in the schema of those that use it."""
    own = settings.__annotations__
    everywhere = {path for one in SCHEMAS.values() for path in one.settings}
    for name, path in live.configured(settings).items():
        if name in own:
            assert path in schema.settings, f"{name}: {path} is not in the schema"
        assert path in everywhere, f"{name}: {path} is in no schema"


@pytest.mark.parametrize(("schema", "settings"), _BUILT, ids=_IDS)
def test_what_the_schema_accepts_the_service_accepts(
    schema: Schema, settings: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its bounds too: a value that Config takes must not be rejected by the service."""
    for name in settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    fields = {path: name for name, path in live.configured(settings).items()}
    for path, setting in schema.settings.items():
        if path not in fields:
            continue
        bounds = [one for one in (setting.minimum, setting.maximum) if one is not None]
        if path in ("port_allocation.base_port", "port_allocation.range_size"):
            bounds = bounds[:1]  # both at their most leave no room for a range
        assert bounds or setting.quantities or setting.kind in ("boolean", "string", "durations")
        for value in (*bounds, *setting.quantities, *setting.allowed):
            settings(**{"microservice_name": schema.service, "port": 0, fields[path]: value})


def test_the_specifications_variable_outdoes_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """REAL_TIME_SYNC_INTERVAL is the specification's; what is set while running outdoes both."""
    monkeypatch.setenv("COLLABORATION_SYNC_INTERVAL", "700")
    assert CollaborationSettings().collaboration_sync_interval == 700
    monkeypatch.setenv("REAL_TIME_SYNC_INTERVAL", "500")
    started = CollaborationSettings()
    assert started.collaboration_sync_interval == 500
    told = {**started.model_dump(), "collaboration_sync_interval": 2000}
    assert CollaborationSettings(**told).collaboration_sync_interval == 2000


def test_sizes_end_where_the_ledger_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size that Quota would refuse is none that Config takes: one would stop all changes."""
    monkeypatch.delenv("DEFAULT_QUOTA_MEMORY", raising=False)
    setting = SCHEMAS["quota-service"].settings["default_quota.memory"]
    assert setting.read("8Pi") == "8Pi"
    for value in ("16Pi", str(2**53 + 1)):
        with pytest.raises(ValueError, match="must be at most 8Pi"):
            setting.read(value)
        with pytest.raises(pydantic.ValidationError, match="too large"):
            QuotaSettings(default_quota_memory=value)
