"""Which role, and which service, holds which permissions.

A permission is ``<things>.<verb>``; a pattern has ``*`` for either part, or is
``*`` for all. Services hold only what their work needs. Whose things they are
is not decided here: ownership is the domain's.
"""

from collections.abc import Iterable, Mapping

_PUBLIC = ("instances", "resources", "quota", "paths", "collaboration")
"""What users' contracts are about. Workloads are not: their answers know no owners. Nor are
settings: they name every namespace, and who changed them."""

ROLES: Mapping[str, frozenset[str]] = {
    "admin": frozenset({"*"}),
    "user": frozenset(
        {
            "instances.*",
            "resources.get",
            "resources.optimize",
            "quota.get",
            "quota.list",
            "quota.check",
            "paths.*",
            "collaboration.*",
        }
    ),
    "viewer": frozenset(
        {
            "collaboration.read",
            *(f"{things}.{verb}" for things in _PUBLIC for verb in ("get", "list", "watch")),
        }
    ),
}
"""Patterns of each role of users."""

_EVERY_SERVICE = frozenset({"config.get", "config.watch"})
"""What a service needs to follow its configuration; Config gives each only its own."""

SERVICES: Mapping[str, frozenset[str]] = {
    "collaboration-service": _EVERY_SERVICE | {"instances.list", "instances.get"},
    "config-service": _EVERY_SERVICE,
    "edge-service": _EVERY_SERVICE,
    "instance-service": _EVERY_SERVICE | {"resources.*", "workloads.*", "quota.*"},
    "path-service": _EVERY_SERVICE | {"instances.get"},
    "quota-service": _EVERY_SERVICE | {"instances.list"},
    "resource-service": _EVERY_SERVICE | {"instances.list", "instances.get"},
}
"""Patterns of each service, by the name in its token."""


def matches(pattern: str, permission: str) -> bool:
    """Whether a pattern grants a permission."""
    if pattern in ("*", permission):
        return True
    things, _, verb = permission.partition(".")
    pattern_things, _, pattern_verb = pattern.partition(".")
    return pattern_things in ("*", things) and pattern_verb in ("*", verb)


def holders(table: Mapping[str, Iterable[str]], permission: str) -> frozenset[str]:
    """Return the roles or services of a table that hold a permission."""
    return frozenset(
        holder
        for holder, patterns in table.items()
        if any(matches(pattern, permission) for pattern in patterns)
    )
