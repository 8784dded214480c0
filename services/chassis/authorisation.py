"""Decides who may call a method, by the permission its contract declares."""

import dataclasses
from collections.abc import Mapping, Sequence

from codestudio.common.v1 import options_pb2
from google.protobuf import descriptor_pool

from services.chassis import errors, permissions
from services.chassis.identity import Caller


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """Who may call one method."""

    permission: str
    """The permission the contract declares, such as ``instances.create``."""
    roles: frozenset[str]
    """Roles of users that hold it."""
    services: frozenset[str]
    """Services that hold it."""

    def check(self, caller: Caller) -> None:
        """Pass a caller who holds the permission.

        Raises:
            errors.PermissionDenied: The caller does not (PERMISSION_DENIED).

        """
        if caller.kind == "service":
            if caller.subject in self.services:
                return
        elif not self.roles.isdisjoint(caller.roles):
            return
        raise errors.PermissionDenied(
            "PERMISSION_DENIED",
            f"{caller.name} lacks the permission {self.permission}",
            metadata={"permission": self.permission},
        )


def rules(services: Sequence[str]) -> Mapping[str, Rule]:
    """Return the rule of every method (full path) of these services (full names).

    Raises:
        ValueError: A method declares no permission, or a service is unknown;
            a server with such a method must not start.

    """
    found: dict[str, Rule] = {}
    pool = descriptor_pool.Default()
    for name in services:
        try:
            service = pool.FindServiceByName(name)
        except KeyError:
            raise ValueError(f"no service {name} in the generated contracts") from None
        for method in service.methods:
            permission: str = method.GetOptions().Extensions[options_pb2.permission]  # type: ignore[index]
            if not permission:
                raise ValueError(f"{method.full_name} declares no permission")
            found[f"/{name}/{method.name}"] = Rule(
                permission=permission,
                roles=permissions.holders(permissions.ROLES, permission),
                services=permissions.holders(permissions.SERVICES, permission),
            )
    return found
