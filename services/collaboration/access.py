"""Who may do what with documents.

A namespace is for those whose token names it, as everywhere in the product; within it, whoever
holds the permission ``collaboration.write`` (the roles user and admin) is an editor, and whoever
holds only ``collaboration.read`` a viewer, who reads and shows a cursor.
"""

from services.chassis import errors, identity, permissions
from services.collaboration.entry import Author
from services.collaboration.names import Name

READ = "collaboration.read"
WRITE = "collaboration.write"

_READERS = permissions.holders(permissions.ROLES, READ)
_WRITERS = permissions.holders(permissions.ROLES, WRITE)
_WRITING_SERVICES = permissions.holders(permissions.SERVICES, WRITE)
_READING_SERVICES = permissions.holders(permissions.SERVICES, READ)


def may_read(caller: identity.Caller) -> bool:
    """Whether a caller may read documents, where its namespaces allow."""
    if caller.kind == "service":
        return caller.subject in _READING_SERVICES
    return not _READERS.isdisjoint(caller.roles)


def may_write(caller: identity.Caller) -> bool:
    """Whether a caller is an editor, where its namespaces allow."""
    if caller.kind == "service":
        return caller.subject in _WRITING_SERVICES
    return not _WRITERS.isdisjoint(caller.roles)


def check_namespace(caller: identity.Caller, namespace: str) -> None:
    """Pass a caller who may use a namespace.

    Raises:
        errors.PermissionDenied: The caller may not (NAMESPACE_DENIED).
    """
    if not caller.may_use_namespace(namespace):
        raise errors.PermissionDenied(
            "NAMESPACE_DENIED",
            f"You may not use namespace {namespace}",
            metadata={"namespace": namespace},
        )


def check(caller: identity.Caller, name: Name) -> None:
    """Pass a caller who may use a document's namespace; see `check_namespace`."""
    check_namespace(caller, name.namespace)


def author(caller: identity.Caller) -> Author:
    """Return the caller as an author of edits."""
    return Author(caller.subject, caller.name)
