"""Reads requests: what is wrong with one is told at once, field by field."""

import re
from collections.abc import Iterable

from codestudio.path.v1 import path_service_pb2

from services.chassis.validation import Violations
from services.path import layout, names, tokens
from services.path.filesystem import Listing
from services.path.ignore import MOST_RULES, Rules

MOST_PATHS = 1000
"""Paths in one ValidatePaths."""

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
_NAME_RULE = (
    "must be 1 to 40 lower-case letters, digits and hyphens, a letter first, no hyphen last"
)
_DEEPEST = 64
_PAGE_DEFAULT = 1000
_PAGE_MOST = 10_000
_PATTERNS_BYTES = 64 * 1024
_PROBE_DEFAULT = 4096
_PROBE_MOST = 16 * 1024**2


def instance_id(wrong: Violations, value: str) -> str:
    """Read the id of an instance; none that is valid can be part of another path."""
    if not _NAME.fullmatch(value):
        wrong.add("instance_id", _NAME_RULE)
    return value


def paths(wrong: Violations, request: path_service_pb2.ValidatePathsRequest) -> list[str]:
    """Read which paths to validate. Whether one is a path at all is for the answer to tell."""
    if len(request.paths) > MOST_PATHS:
        wrong.add("paths", f"must be at most {MOST_PATHS}, are {len(request.paths)}")
    return list(request.paths)


def listing(
    wrong: Violations, request: path_service_pb2.GetProjectStructureRequest
) -> tuple[Listing, bytes]:
    """Read what to list; also gives what all pages of it have in common, for their tokens."""
    path: names.Parts = ()
    try:
        path = names.relative(request.path)
    except names.BadPathError as error:
        wrong.add("path", str(error))
    if not 0 <= request.depth <= _DEEPEST:
        wrong.add("depth", f"must be 1 to {_DEEPEST}, or 0 for all, is {request.depth}")
    size = request.page_size
    if not 0 <= size <= _PAGE_MOST:
        wrong.add("page_size", f"must be 1 to {_PAGE_MOST}, or 0 for {_PAGE_DEFAULT}, is {size}")
    patterns = _patterns(wrong, request.ignore)
    question = path_service_pb2.GetProjectStructureRequest()
    question.CopyFrom(request)
    question.ClearField("page_size")
    question.ClearField("page_token")
    common = question.SerializeToString(deterministic=True)
    after: names.Parts | None = None
    if request.page_token:
        try:
            after = tokens.read(common, request.page_token)
        except ValueError as error:
            wrong.add("page_token", str(error))
    asked = Listing(
        path=path,
        depth=request.depth,
        ignore=Rules.parse(patterns),
        include_ignored=request.include_ignored,
        limit=size or _PAGE_DEFAULT,
        after=after,
    )
    return asked, common


def directories(
    wrong: Violations, config: path_service_pb2.PathTestConfig
) -> tuple[list[str], int]:
    """Read which directories to test, each once, and how many bytes to write."""
    for number, each in enumerate(config.path_types):
        if each not in layout.DIRECTORIES:
            known = ", ".join(layout.DIRECTORIES)
            wrong.add(f"test_config.path_types[{number}]", f"must be one of {known}")
    size = config.probe_size
    if not 0 <= size <= _PROBE_MOST:
        wrong.add(
            "test_config.probe_size",
            f"must be 1 to {_PROBE_MOST}, or 0 for {_PROBE_DEFAULT}, is {size}",
        )
    return list(dict.fromkeys(config.path_types or layout.DIRECTORIES)), size or _PROBE_DEFAULT


def _patterns(wrong: Violations, given: Iterable[str]) -> bytes:
    patterns = list(given)
    for number, each in enumerate(patterns[:MOST_RULES]):
        if "\n" in each or "\0" in each:
            wrong.add(f"ignore[{number}]", "must be one pattern: no line break, no NUL")
    text = "\n".join(patterns).encode()
    if len(patterns) > MOST_RULES or len(text) > _PATTERNS_BYTES:
        wrong.add(
            "ignore", f"must be at most {MOST_RULES} patterns of {_PATTERNS_BYTES} bytes together"
        )
        return b""
    return text
