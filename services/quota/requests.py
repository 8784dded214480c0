"""Reads requests: what is wrong with one is told at once, field by field."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence

from codestudio.quota.v1 import quota_service_pb2

from services.chassis import errors, identity
from services.chassis.validation import Violations
from services.quota.amounts import MAX_AMOUNT, RESOURCES, Amounts

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
_NAME_RULE = (
    "must be 1 to 40 lower-case letters, digits and hyphens, a letter first, no hyphen last"
)
_PAGE_DEFAULT = 100
_PAGE_MOST = 1000


def namespace(wrong: Violations, field: str, value: str, *, required: bool = True) -> str:
    """Read the name of a namespace.

    Raises:
        errors.PermissionDenied: The caller may not use it (NAMESPACE_DENIED).
    """
    if not value and not required:
        return value
    if not _NAME.fullmatch(value):
        wrong.add(field, _NAME_RULE)
    elif not identity.current().may_use_namespace(value):
        raise errors.PermissionDenied(
            "NAMESPACE_DENIED",
            f"You may not use namespace {value}",
            metadata={"namespace": value},
        )
    return value


def instance_id(wrong: Violations, field: str, value: str, *, required: bool = True) -> str:
    """Read the id of an instance."""
    if (required or value) and not _NAME.fullmatch(value):
        wrong.add(field, _NAME_RULE)
    return value


def amounts(wrong: Violations, field: str, given: quota_service_pb2.Amounts) -> Amounts:
    """Read amounts; a quantity that is left out is none."""
    if given.instances < 0:
        wrong.add(f"{field}.instances", f"must not be negative, is {given.instances}")
    return Amounts(
        instances=max(0, given.instances),
        cpu=_quantity(wrong, field, "cpu", given.cpu),
        memory=_quantity(wrong, field, "memory", given.memory),
        storage=_quantity(wrong, field, "storage", given.storage),
    )


def reservation(wrong: Violations, request: quota_service_pb2.ReserveQuotaRequest) -> Amounts:
    """Read what is to be reserved: at least the instance itself."""
    asked = amounts(wrong, "amounts", request.amounts)
    if request.amounts.instances == 0:
        wrong.add("amounts.instances", "must be at least 1: a reservation is for an instance")
    return asked


def check(wrong: Violations, request: quota_service_pb2.CheckQuotaRequest) -> Amounts:
    """Read what is to be checked: something."""
    if not request.amounts.ByteSize():
        wrong.add("amounts", "must ask for something")
    return amounts(wrong, "amounts", request.amounts)


def changes(
    wrong: Violations, request: quota_service_pb2.UpdateQuotaRequest
) -> Mapping[str, int | None]:
    """Read limits to write, by resource; None makes one the default again.

    Without a mask, those that are set. A mask names ``limits.cpu`` and the like, or ``limits``
    or ``*`` for all four (AIP-134); a named one that is not set becomes the default again, save
    that ``limits.instances`` by itself may be 0, to allow none. What is to be reset becomes the
    default again, too.
    """
    reset = _reset(wrong, request.reset)
    written = _written(wrong, request)
    for name in reset:
        if written.get(name) is not None:
            wrong.add("reset", f"{name} is to be set as well: do one of the two")
    if not (request.reset or request.HasField("update_mask") or written):
        wrong.add(
            "quota.limits",
            "must set at least one limit; 0 instances are a limit only where update_mask names "
            "limits.instances",
        )
    return {**written, **dict.fromkeys(reset)}


def _written(
    wrong: Violations, request: quota_service_pb2.UpdateQuotaRequest
) -> dict[str, int | None]:
    limits = request.quota.limits
    read = dict(
        zip(RESOURCES, amounts(wrong, "quota.limits", limits), strict=True),
    )
    given = {name for name in RESOURCES if getattr(limits, name)}
    if not request.HasField("update_mask"):
        return {name: read[name] for name in given}
    named = _masked(wrong, request.update_mask.paths)
    if "limits.instances" in request.update_mask.paths:
        given.add("instances")
    return {name: read[name] if name in given else None for name in named}


def page_size(wrong: Violations, size: int) -> int:
    """Read how many to list."""
    if not 0 <= size <= _PAGE_MOST:
        wrong.add("page_size", f"must be 1 to {_PAGE_MOST}, or 0 for {_PAGE_DEFAULT}, is {size}")
    return size or _PAGE_DEFAULT


def page(wrong: Violations, request: quota_service_pb2.ListQuotasRequest) -> tuple[int, str]:
    """Read how many namespaces to list and behind which."""
    size = page_size(wrong, request.page_size)
    after = ""
    if request.page_token:
        try:
            after = base64.b64decode(request.page_token, altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            after = ""
        if not _NAME.fullmatch(after):
            wrong.add("page_token", "must be the next_page_token of the page before")
    return size, after


def page_token(last: str) -> str:
    """Make the token of the page behind a namespace."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def _reset(wrong: Violations, names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in RESOURCES:
            wrong.add("reset", f"unknown limit {name[:40]!r}; known are {', '.join(RESOURCES)}")
    return [name for name in RESOURCES if name in names]


def _masked(wrong: Violations, paths: Sequence[str]) -> list[str]:
    named: set[str] = set()
    for path in paths:
        name = path.removeprefix("limits.")
        if path in ("limits", "*"):
            named.update(RESOURCES)
        elif path != name and name in RESOURCES:
            named.add(name)
        else:
            known = ", ".join(f"limits.{resource}" for resource in RESOURCES)
            wrong.add("update_mask", f"unknown path {path[:40]!r}; known are limits, {known}")
    if not paths:
        wrong.add("update_mask", "must name at least one limit")
    return [name for name in RESOURCES if name in named]


def _quantity(wrong: Violations, field: str, name: str, text: str) -> int:
    if not text:
        return 0
    if name == "cpu":
        return wrong.cpu(f"{field}.{name}", text, least=0)
    return wrong.memory(f"{field}.{name}", text, least=0, most=MAX_AMOUNT)
