"""What requests ask for, and everything that is wrong with them."""

from google.protobuf import json_format, struct_pb2

from services.chassis import errors, identity
from services.chassis.validation import Violations
from services.config.schema import Schema, shown
from services.config.sections import SCHEMAS

PAGE_DEFAULT = 100
PAGE_MOST = 1000
_MOST_REASON = 500


def service(name: str, field: str = "service") -> Schema:
    """Read whose settings are meant.

    Raises:
        errors.InvalidArgument: No service is named.
        errors.NotFound: There is no such service (SERVICE_NOT_FOUND).
        errors.PermissionDenied: A service asks for another's (CONFIGURATION_DENIED).
    """
    if not name:
        wrong = Violations()
        wrong.add(field, f"must name a service: {', '.join(SCHEMAS)}")
        wrong.check()
    caller = identity.current()
    if caller.kind == "service" and caller.subject != name:
        raise errors.PermissionDenied(
            "CONFIGURATION_DENIED",
            f"{caller.subject} may see no settings but its own",
            metadata={"service": name[:100]},
        )
    schema = SCHEMAS.get(name)
    if schema is None:
        raise errors.NotFound(
            "SERVICE_NOT_FOUND",
            f"There is no service {shown(name)}; there are {', '.join(SCHEMAS)}",
            metadata={"service": name[:100]},
        )
    return schema


def reason(wrong: Violations, text: str) -> str:
    """Read why something is changed."""
    if len(text) > _MOST_REASON:
        wrong.add("reason", f"must be at most {_MOST_REASON} characters, is {len(text)}")
    return text


def revision(wrong: Violations, number: int) -> int:
    """Read the number of a revision."""
    if number < 0:
        wrong.add("revision", f"must not be negative, is {number}")
    return number


def page_size(wrong: Violations, size: int) -> int:
    """Read how many revisions to list."""
    if not 0 <= size <= PAGE_MOST:
        wrong.add("page_size", f"must be 1 to {PAGE_MOST}, or 0 for {PAGE_DEFAULT}, is {size}")
    return size or PAGE_DEFAULT


def values(wrong: Violations, field: str, given: struct_pb2.Struct) -> dict[str, object]:
    """Read nested values."""
    try:
        return dict(json_format.MessageToDict(given))
    except (ValueError, RecursionError):
        # Numbers that JSON does not have, or nesting without end.
        wrong.add(field, "must be JSON: no NaN, no infinity, and not that deep")
        return {}
