"""Names of documents: the rule they follow, and the forms they take in stores and subjects."""

import base64
import binascii
import dataclasses
import re

from services.chassis.validation import Violations

DEFAULT_NAMESPACE = "default"
MAX_PATH_BYTES = 1024
"""Longest path, in bytes of UTF-8 (contract, DocumentName)."""

_NAMESPACE = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
_NAMESPACE_RULE = (
    "must be 1 to 40 lower-case letters, digits and hyphens, a letter first, no hyphen last"
)
_PROJECT = re.compile(r"[a-z0-9-]{1,63}")
_PROJECT_RULE = "must be 1 to 63 lower-case letters, digits and hyphens"


@dataclasses.dataclass(frozen=True, slots=True)
class Name:
    """One document's name."""

    namespace: str
    project: str
    path: str

    @property
    def key(self) -> str:
        """The name as one text; no two names share one."""
        return f"{self.namespace}/{self.project}/{self.path}"

    @property
    def token(self) -> str:
        """The path as one token of a NATS subject; `from_subject` reads it back."""
        return base64.urlsafe_b64encode(self.path.encode()).decode().rstrip("=")

    def subject(self, prefix: str) -> str:
        """Return where something about the document is published: prefix.ns.project.token."""
        return f"{prefix}.{self.namespace}.{self.project}.{self.token}"


def from_subject(subject: str) -> Name | None:
    """Return the document a subject is about; None where it is about none."""
    parts = subject.rsplit(".", 3)
    if len(parts) != 4:
        return None
    token = parts[3]
    try:
        path = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
    return Name(parts[1], parts[2], path)


def namespace(wrong: Violations, field: str, value: str) -> str:
    """Read a namespace; the default one where it is empty."""
    value = value or DEFAULT_NAMESPACE
    if not _NAMESPACE.fullmatch(value):
        wrong.add(field, _NAMESPACE_RULE)
    return value


def project(wrong: Violations, field: str, value: str) -> str:
    """Read the name of a project."""
    if not _PROJECT.fullmatch(value):
        wrong.add(field, _PROJECT_RULE)
    return value


def path(wrong: Violations, field: str, value: str) -> str:
    """Read a path within a project."""
    if problem := _path_problem(value):
        wrong.add(field, problem)
    return value


def name(wrong: Violations, field: str, given: object) -> Name:
    """Read the name of a document, with `field` as its own path in the request."""
    prefix = f"{field}." if field else ""
    return Name(
        namespace(wrong, f"{prefix}namespace", getattr(given, "namespace", "")),
        project(wrong, f"{prefix}project", getattr(given, "project", "")),
        path(wrong, f"{prefix}path", getattr(given, "path", "")),
    )


def _path_problem(value: str) -> str:
    if not value:
        return "must not be empty"
    if len(value.encode()) > MAX_PATH_BYTES:
        return f"must be at most {MAX_PATH_BYTES} bytes long"
    if value.startswith("/"):
        return "must be relative"
    parts = value.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return 'must have no empty part, "." or ".."'
    # A path becomes a file in clients' folders: one in there would be a program Git runs.
    if any(part.lower() == ".git" for part in parts):
        return 'must have no part ".git"'
    if any(ord(character) < 32 or character in "\x7f\\" for character in value):
        return "must have no control characters and no backslash"
    return ""
