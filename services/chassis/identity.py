"""Who is calling."""

import contextvars
import dataclasses
import math
from typing import Literal

from services.chassis import errors


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """The verified bearer of a token."""

    subject: str
    """Stable id: the user's ``sub``, or the service's name such as ``quota-service``."""
    name: str
    """Name for people."""
    kind: Literal["user", "service"]
    """Whether a person's (or their program's) token, or one of our services'."""
    roles: tuple[str, ...] = ()
    """A user's roles: admin, user, viewer."""
    namespaces: tuple[str, ...] = ()
    """Namespaces a user may use; ``*`` is all of them."""
    token: str = dataclasses.field(default="", repr=False)
    """The token itself, to act on the caller's behalf."""
    expires: float = dataclasses.field(default=math.inf, compare=False)
    """When the token is no longer accepted, in seconds since 1970."""

    @property
    def is_admin(self) -> bool:
        """Whether the caller is a user with the role admin."""
        return self.kind == "user" and "admin" in self.roles

    @property
    def sees_all(self) -> bool:
        """Whether ownership and namespaces do not limit the caller: admins and services."""
        return self.kind == "service" or self.is_admin

    def may_use_namespace(self, namespace: str) -> bool:
        """Whether the caller may work in a namespace."""
        return self.sees_all or "*" in self.namespaces or namespace in self.namespaces

    def owns(self, owner: str) -> bool:
        """Whether the caller is this owner, or one whom ownership does not limit."""
        return self.sees_all or self.subject == owner


_current: contextvars.ContextVar[Caller] = contextvars.ContextVar("caller")


def current() -> Caller:
    """Return the caller of the request being served.

    Raises:
        errors.Unauthenticated: Outside a request nobody is calling (TOKEN_MISSING).

    """
    caller = _current.get(None)
    if caller is None:
        raise errors.Unauthenticated("TOKEN_MISSING", "Nobody is calling")
    return caller


def enter(caller: Caller) -> contextvars.Token[Caller]:
    """Make this the caller of the running task and of those it starts."""
    return _current.set(caller)
