"""Reads requests of SyncCode: what is wrong with one is told at once, field by field."""

import hashlib
import re
import uuid
from collections.abc import Mapping

from codestudio.collaboration.v1 import collaboration_service_pb2, document_pb2

from services.chassis.validation import Violations
from services.collaboration import names
from services.collaboration.syncing import Change, Place
from services.collaboration.text import Unit

MAX_CHANGES = 1000
MAX_TEXT_BYTES = 1024**2
"""Text of all changes of a request (contract, SyncCodeRequest)."""

_INSTANCE = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
_INSTANCE_RULE = (
    "must be 1 to 40 lower-case letters, digits and hyphens, a letter first, no hyphen last"
)

_UNITS: Mapping[int, Unit] = {
    document_pb2.OFFSET_UNIT_UNSPECIFIED: Unit.CODE_POINT,
    document_pb2.OFFSET_UNIT_CODE_POINT: Unit.CODE_POINT,
    document_pb2.OFFSET_UNIT_UTF16: Unit.UTF16,
}
_RESOLUTIONS = (
    collaboration_service_pb2.CONFLICT_RESOLUTION_AUTO,
    collaboration_service_pb2.CONFLICT_RESOLUTION_REJECT,
)


def instance_id(wrong: Violations, field: str, value: str) -> str:
    """Read the id of an instance."""
    if not _INSTANCE.fullmatch(value):
        wrong.add(field, _INSTANCE_RULE)
    return value


def request_id(wrong: Violations, value: str) -> str:
    """Read a request_id; empty for none."""
    if not value:
        return ""
    try:
        return str(uuid.UUID(value))
    except ValueError:
        wrong.add("request_id", "must be a UUID")
        return ""


def unit(wrong: Violations, given: int) -> Unit:
    """Read what counts as one character."""
    if given not in _UNITS:
        wrong.add("unit", "must be a unit of the contract")
    return _UNITS.get(given, Unit.CODE_POINT)


def rejects(wrong: Violations, given: int, configured: str) -> bool:
    """Read what to do about conflicts: whether to refuse; as configured where it does not say."""
    if given == collaboration_service_pb2.CONFLICT_RESOLUTION_UNSPECIFIED:
        return configured == "reject"
    if given not in _RESOLUTIONS:
        wrong.add("conflict_resolution", "must be a resolution of the contract")
    return given == collaboration_service_pb2.CONFLICT_RESOLUTION_REJECT


def fingerprint(request: collaboration_service_pb2.SyncCodeRequest) -> str:
    """Return what tells one request from another of the same id."""
    return hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()


def changes(wrong: Violations, request: collaboration_service_pb2.SyncCodeRequest) -> list[Change]:
    """Read the edits."""
    if not 1 <= len(request.changes) <= MAX_CHANGES:
        wrong.add("changes", f"must be 1 to {MAX_CHANGES}, are {len(request.changes)}")
        return []
    size = sum(len(one.text.encode()) for one in request.changes)
    if size > MAX_TEXT_BYTES:
        wrong.add("changes", f"must have at most {MAX_TEXT_BYTES} bytes of text, have {size}")
        return []
    return [_change(wrong, f"changes[{number}]", one) for number, one in enumerate(request.changes)]


def _change(wrong: Violations, field: str, given: collaboration_service_pb2.CodeChange) -> Change:
    name = names.name(wrong, f"{field}.name", given.name)
    if given.base_revision < 0:
        wrong.add(f"{field}.base_revision", f"must not be negative, is {given.base_revision}")
    start: Place | int = 0
    end: Place | int = 0
    match given.WhichOneof("target"):
        case "range":
            start = Place(given.range.start.line, given.range.start.column)
            end = Place(given.range.end.line, given.range.end.column)
        case "offset":
            start, end = given.offset.start, given.offset.length
        case _:
            wrong.add(field, "needs a range or an offset")
    return Change(field, name, start, end, given.text, given.base_revision, given.epoch)
