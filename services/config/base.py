"""What the settings are before anything was set while running: a pure function of its sources.

Defaults ← documents ← environment ← secrets. All services of a stack share their environment, so
the variables they read are seen here too. What a placeholder of a document takes from a variable
is of the environment as well; the variable of the setting itself outdoes it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from services.chassis.errors import Violation
from services.config import documents, rules, template
from services.config.schema import REDACTED, Setting
from services.config.sections import SCHEMAS


@dataclasses.dataclass(frozen=True, slots=True)
class Sourced:
    """A value and where it comes from."""

    value: Any
    source: str
    """``base``, ``environment``, ``secret`` or ``dynamic``."""


class BaseError(Exception):
    """The sources of the base are wrong; says everything that is."""

    def __init__(self, violations: Collection[Violation]) -> None:
        super().__init__("; ".join(f"{one.field}: {one.description}" for one in violations))
        self.violations = tuple(violations)


@dataclasses.dataclass(frozen=True, slots=True)
class Base:
    """The base of every service."""

    values: Mapping[str, Mapping[str, Sourced]]
    """By service and path. A secret that is not there has no value."""
    digest: str
    """Changes with the values."""


def build(
    texts: Mapping[str, str],
    environment: Mapping[str, str],
    *,
    ports: Mapping[str, int],
    secrets: Collection[str],
) -> Base:
    """Build the base.

    Args:
        texts: The documents by name.
        environment: The variables the services were started with, and those of the template.
        ports: Ports of services that are not where the documents say.
        secrets: Names of the files of secrets there are.

    Raises:
        BaseError: Something in them is wrong.
    """
    layer, wrong = documents.read(texts, environment)
    values: dict[str, dict[str, Sourced]] = {}
    for service, schema in SCHEMAS.items():
        found: dict[str, Sourced] = {}
        for path, setting in schema.settings.items():
            if setting.follows:
                continue
            try:
                sourced = _value(setting, layer[service], environment, ports.get(service), secrets)
            except _WrongError as error:
                wrong.append(Violation(f"{service}: {path}", str(error)))
                continue
            if sourced is not None:
                found[path] = sourced
        plain = {path: one.value for path, one in found.items()}
        wrong += [
            Violation(f"{service}: {one.field}", one.description) for one in rules.violations(plain)
        ]
        values[service] = found
    if wrong:
        raise BaseError(wrong)
    return Base(values, _digest(values))


class _WrongError(Exception):
    pass


def _value(
    setting: Setting,
    layer: Mapping[str, Any],
    environment: Mapping[str, str],
    port: int | None,
    secrets: Collection[str],
) -> Sourced | None:
    name = next((one for one in setting.mark.variables if environment.get(one)), "")
    variable = environment.get(name, "")
    if setting.mark.secret:
        if setting.mark.file in secrets:
            return Sourced(REDACTED, "secret")
        return Sourced(REDACTED, "environment") if variable else None
    if setting.path == "port":
        # Its variable is each process's own; ours says nothing about the others.
        variable = str(port) if port else ""
    if variable:
        return Sourced(_read(setting, variable, f"in {name}"), "environment")
    if setting.path in layer:
        value = layer[setting.path]
        source = "environment" if isinstance(value, template.Put) else "base"
        return Sourced(_read(setting, value, "in the documents"), source)
    if setting.default is None:
        raise _WrongError("has no value in the documents, and needs one")
    return Sourced(setting.default, "base")


def _read(setting: Setting, value: Any, where: str) -> Any:
    try:
        return setting.read(value, strict=False)
    except ValueError as error:
        raise _WrongError(f"{error} ({where})") from None


def _digest(values: Mapping[str, Mapping[str, Sourced]]) -> str:
    plain = {
        service: {path: [one.value, one.source] for path, one in sorted(found.items())}
        for service, found in sorted(values.items())
    }
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]
