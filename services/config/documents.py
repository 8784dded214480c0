"""The base documents, as the specification writes them, as values of the services' settings.

- ``instance.yaml``, the instance template: what of it is the same for all instances.
- ``instance-config.json``: sections, each of the service it belongs to.
- ``microservices.yaml``: any setting, by service.

A later one outdoes an earlier one, but not what a variable was put into: that is what those who
deployed us want, as any other variable is. Anything no service has is a mistake, and is told.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from services.chassis.errors import Violation
from services.config import template
from services.config.schema import Schema
from services.config.sections import SCHEMAS

TEMPLATE = "instance.yaml"
INSTANCES = "instance-config.json"
SERVICES = "microservices.yaml"
NAMES = (TEMPLATE, INSTANCES, SERVICES)
"""The documents there may be, the least important first."""

Layer = dict[str, dict[str, Any]]
"""Values as written, by service and path; a `template.Put` where a variable said so."""

OF_TEMPLATE = {
    "resources.requests.cpu": "resource_limits.default_cpu_request",
    "resources.requests.memory": "resource_limits.default_memory_request",
    "paths.container_root": "path_management.container_root",
    "collaboration.enabled": "collaboration.enabled",
    "collaboration.sync_interval": "collaboration.sync_interval",
    "collaboration.conflict_resolution": "collaboration.conflict_resolution",
    "monitoring.metrics_enabled": "monitoring.metrics_enabled",
    "monitoring.logging_level": "monitoring.logging_level",
    "monitoring.health_check_interval": "monitoring.health_check_interval",
}
"""The settings that the instance template sets, by their place in it."""
_OF_ONE_INSTANCE = (
    *("id", "namespace", "ports.web_port", "ports.callback_port"),
    *(f"paths.{name}" for name in ("user_data", "extensions", "workspace", "logs", "temp")),
    # An instance has one figure for both requests and limits: that of the requests.
    *("resources.limits.cpu", "resources.limits.memory"),
)


def read(
    documents: Mapping[str, str], variables: Mapping[str, str]
) -> tuple[Layer, list[Violation]]:
    """Read documents by name; gives what they set, and what is wrong with them.

    Placeholders are expanded with the variables. Violations name the document and the path in it.
    """
    layer: Layer = {service: {} for service in SCHEMAS}
    wrong: list[Violation] = []
    for name in NAMES:
        if name not in documents:
            continue
        try:
            parsed = (
                json.loads(documents[name])
                if name == INSTANCES
                else yaml.safe_load(documents[name])
            )
        except (ValueError, yaml.YAMLError) as error:
            wrong.append(Violation(name, f"cannot be read: {' '.join(str(error).split())[:200]}"))
            continue
        expanded = template.expand_all(parsed, variables)
        if not isinstance(expanded, dict):
            wrong.append(Violation(name, "must be an object"))
            continue
        _READERS[name](expanded, layer, _Wrong(name, wrong))
    return layer, wrong


class _Wrong:
    """Takes violations of one document."""

    def __init__(self, document: str, found: list[Violation]) -> None:
        self._document = document
        self._found = found

    def add(self, path: str, why: str) -> None:
        self._found.append(Violation(f"{self._document}: {path}" if path else self._document, why))


def _read_template(document: dict[str, Any], layer: Layer, wrong: _Wrong) -> None:
    for path, value in _leaves(document, ""):
        name = path.removeprefix("instance.")
        if name == path or (name not in OF_TEMPLATE and name not in _OF_ONE_INSTANCE):
            wrong.add(path, "is no part of the instance template")
        elif name in OF_TEMPLATE and not (isinstance(value, str) and not template.complete(value)):
            for schema in _owners(OF_TEMPLATE[name]):
                _put(layer[schema.service], OF_TEMPLATE[name], value)


def _read_instances(document: dict[str, Any], layer: Layer, wrong: _Wrong) -> None:
    for section, content in document.items():
        owners = [
            schema
            for schema in SCHEMAS.values()
            if any(not schema.settings[path].follows for path in schema.paths_under(section))
        ]
        if not owners:
            wrong.add(section, "is no section of any service's settings")
        for schema in owners:
            _take(schema, {section: content}, layer, wrong, "")


def _read_services(document: dict[str, Any], layer: Layer, wrong: _Wrong) -> None:
    for name in document.keys() - {"services"}:
        wrong.add(str(name), "is no part of this document; its one part is services")
    services = document.get("services")
    if not isinstance(services, dict):
        wrong.add("services", "must be an object")
        return
    for service, content in services.items():
        schema = SCHEMAS.get(str(service))
        if schema is None:
            wrong.add(f"services.{service}", f"is no service; there are {', '.join(SCHEMAS)}")
        elif not isinstance(content, dict):
            wrong.add(f"services.{service}", "must be an object")
        else:
            _take(schema, content, layer, wrong, f"services.{service}.")


_READERS: Mapping[str, Callable[[dict[str, Any], Layer, _Wrong], None]] = {
    TEMPLATE: _read_template,
    INSTANCES: _read_instances,
    SERVICES: _read_services,
}


def _take(
    schema: Schema, content: dict[str, Any], layer: Layer, wrong: _Wrong, prefix: str
) -> None:
    values, violations = schema.flatten(content)
    for violation in violations:
        wrong.add(prefix + violation.field, violation.description)
    for path, value in values.items():
        setting = schema.settings[path]
        if setting.mark.secret:
            wrong.add(prefix + path, "secrets are not written into documents")
        elif setting.follows:
            wrong.add(prefix + path, f"belongs to {setting.follows}")
        else:
            _put(layer[schema.service], path, value)


def _put(values: dict[str, Any], path: str, value: Any) -> None:
    if isinstance(value, template.Put) or not isinstance(values.get(path), template.Put):
        values[path] = value


def _owners(path: str) -> list[Schema]:
    return [
        schema
        for schema in SCHEMAS.values()
        if path in schema.settings and not schema.settings[path].follows
    ]


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(path, value)]
    return [
        leaf
        for name, inner in value.items()
        for leaf in _leaves(inner, f"{path}.{name}" if path else str(name))
    ]
