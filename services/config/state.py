"""The settings of a service at a revision, merged from their layers."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from services.config.base import Base, Sourced
from services.config.schema import Schema, Values
from services.config.sections import SCHEMAS


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of one setting."""

    path: str
    before: Any
    """Its value before; None if it had none."""
    after: Any
    """Its value after; None if it has none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What was set while running, as one change left it."""

    service: str
    number: int
    """From 1; 0 stands for nothing ever set."""
    values: Values
    """Everything set while running, by path."""
    author: str = ""
    reason: str = ""
    at: int = 0
    """Milliseconds since 1970."""
    changes: tuple[Change, ...] = ()
    rollback_of: int | None = None
    """The revision it went back to, 0 for the base; None for one that is no rollback."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The settings of a service."""

    service: str
    revision: int
    at: int
    """When it, or what it follows, was last changed, in milliseconds since 1970; 0 for never."""
    values: Values
    sources: Mapping[str, str]
    """Where each comes from, by path."""
    etag: str
    """Changes with every revision, and with the base."""


def dynamic_values(schema: Schema, revision: Revision) -> dict[str, Any]:
    """Give what of a revision can be in force: what this release knows and lets be changed."""
    return {
        path: value
        for path, value in revision.values.items()
        if path in schema.settings and schema.settings[path].changeable
    }


def merge(schema: Schema, base: Base, revisions: Mapping[str, Revision]) -> State:
    """Give the settings of a service.

    Args:
        schema: The service's.
        base: The base of all services.
        revisions: The newest of the service and of those it follows; missing ones set nothing.
    """
    own = revisions.get(schema.service, nothing(schema.service))
    found: dict[str, Sourced] = {}
    layers = {
        service: {
            **base.values[service],
            **{
                path: Sourced(value, "dynamic")
                for path, value in dynamic_values(
                    SCHEMAS[service], revisions.get(service, nothing(service))
                ).items()
            },
        }
        for service in (schema.service, *schema.followed)
    }
    for path, setting in schema.settings.items():
        sourced = layers[setting.follows or schema.service].get(path)
        if sourced is not None:
            found[path] = sourced
    values = {path: one.value for path, one in found.items()}
    return State(
        service=schema.service,
        revision=own.number,
        at=max(revisions[name].at if name in revisions else 0 for name in layers),
        values=values,
        sources={path: one.source for path, one in found.items()},
        etag=_etag(schema.service, own, values),
    )


def nothing(service: str) -> Revision:
    """Give what stands for a service whose settings were never changed."""
    return Revision(service=service, number=0, values={})


def _etag(service: str, own: Revision, values: Values) -> str:
    # The time tells a revision from one of the same number in a database that lost its data.
    content = json.dumps([service, own.number, own.at, sorted(values.items())])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
