"""What documents consist of, for those who use them."""

import dataclasses
import datetime
import enum
from typing import NamedTuple

from codestudio import _messages
from codestudio._live.edits import Edit
from codestudio._live.units import OffsetUnit
from codestudio.collaboration.v1 import collaboration_service_pb2 as service_pb2
from codestudio.collaboration.v1 import document_pb2


class Role(enum.StrEnum):
    """What somebody may do with a document."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not known: never joined."""
    VIEWER = "VIEWER"
    """Read, and show a cursor."""
    EDITOR = "EDITOR"
    """Also write."""


class ConnectionState(enum.StrEnum):
    """How a live document stands to the server."""

    CONNECTING = "CONNECTING"
    """It is being joined for the first time."""
    LIVE = "LIVE"
    """Edits go both ways."""
    OFFLINE = "OFFLINE"
    """The connection broke and is tried again; edits are kept."""
    CLOSED = "CLOSED"
    """It is closed, or the server refused it."""


class DocumentChange(NamedTuple):
    """Something changed a live document."""

    edits: tuple[Edit, ...]
    """What, in order of offset, each in terms of the text before."""
    text: str
    """The text after."""
    local: bool
    """Whether it was done through this document, undoing included."""
    authors: tuple[str, ...]
    """Names of those who put something in, as far as they told them; who only deletes is not
    known."""


class Cursor(NamedTuple):
    """Where somebody else is in a document."""

    client_id: int
    """Their Yjs id."""
    name: str
    """Name for people; may be empty."""
    color: str
    """A CSS colour; may be empty."""
    anchor: int | None
    """Where their selection begins, in code points; None while they show no cursor."""
    head: int | None
    """Where it ends and their cursor stands."""


class Author(NamedTuple):
    """Somebody who wrote."""

    subject: str
    """Subject of the user."""
    name: str
    """Name for people."""


class DocumentInfo(_messages.View[document_pb2.Document]):
    """A document as it was when asked for."""

    @property
    def namespace(self) -> str:
        """Namespace of its project."""
        return self.proto.name.namespace

    @property
    def project(self) -> str:
        """Its project."""
        return self.proto.name.project

    @property
    def path(self) -> str:
        """Its path within the project."""
        return self.proto.name.path

    @property
    def epoch(self) -> str:
        """Identity of its history."""
        return self.proto.epoch

    @property
    def revision(self) -> int:
        """Counts what was stored, from 1."""
        return self.proto.revision

    @property
    def text(self) -> str:
        """The text; empty in lists."""
        return self.proto.text

    @property
    def length(self) -> int:
        """Length of the text in code points."""
        return self.proto.length

    @property
    def role(self) -> Role:
        """What the caller may do with it."""
        return role(self.proto.role)

    @property
    def create_time(self) -> datetime.datetime | None:
        """When it was created."""
        return _messages.time(self.proto, "create_time")

    @property
    def update_time(self) -> datetime.datetime | None:
        """When it last changed."""
        return _messages.time(self.proto, "update_time")


class DocumentRevision(_messages.View[document_pb2.Revision]):
    """A revision of a project that Git holds."""

    @property
    def id(self) -> str:
        """The commit's id."""
        return self.proto.id

    @property
    def authors(self) -> tuple[Author, ...]:
        """Who wrote it, the author first, then co-authors."""
        return tuple(Author(each.subject, each.name) for each in self.proto.authors)

    @property
    def message(self) -> str:
        """What it says of itself."""
        return self.proto.message

    @property
    def create_time(self) -> datetime.datetime | None:
        """When it was committed."""
        return _messages.time(self.proto, "create_time")

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths it changed."""
        return tuple(self.proto.paths)

    @property
    def path(self) -> str:
        """Path the document had then; only where a listing follows renames."""
        return self.proto.path


class RevisionText(NamedTuple):
    """A document as it was at a revision."""

    revision: DocumentRevision
    """The revision."""
    text: str
    """The text then."""


Place = tuple[int, int]
"""A line and a column, both from 0."""


@dataclasses.dataclass(frozen=True)
class CodeChange:
    """An edit for `client.documents.sync`: a stretch of a document replaced.

    The stretch is given by `offset` and `length`, or by `start` and `end`.
    """

    path: str
    """The document's path within the project."""
    text: str = ""
    """What to put there; empty to delete."""
    offset: int | None = None
    """Characters before the stretch."""
    length: int = 0
    """Characters in it."""
    start: Place | None = None
    """Where it begins."""
    end: Place | None = None
    """Where it ends; by default where it begins."""
    base_revision: int = 0
    """Revision the place refers to; 0 for the newest."""
    epoch: str = ""
    """The document's `epoch` at that revision: if it was deleted and begun anew since, the edit is
    refused (EPOCH_MISMATCH)."""


class ChangeResult(NamedTuple):
    """What became of a CodeChange."""

    path: str
    """The document's path."""
    revision: int
    """Its revision with the edit."""
    offset: int | None
    """Where the edit came to stand in the newest text; None where a request that was repeated is
    told that it happened, and its first answer was lost."""
    length: int | None
    """How much of it stands there; None likewise."""
    rebased: bool
    """Whether others had changed the document since its base."""


def role(number: int) -> Role:
    """Read a role."""
    return _messages.name(Role, document_pb2.Role, "ROLE_", number)


def change_result(message: service_pb2.ChangeResult) -> ChangeResult:
    """Read what became of an edit."""
    known = message.HasField("applied")
    return ChangeResult(
        message.name.path,
        message.revision,
        message.applied.start if known else None,
        message.applied.length if known else None,
        message.rebased,
    )


def to_code_change(change: CodeChange, project: str, namespace: str) -> service_pb2.CodeChange:
    """Write an edit. Raises ValueError where it names no stretch, or two."""
    message = service_pb2.CodeChange(
        name=document_pb2.DocumentName(namespace=namespace, project=project, path=change.path),
        text=change.text,
        base_revision=change.base_revision,
        epoch=change.epoch,
    )
    if (change.offset is None) == (change.start is None):
        raise ValueError("give either an offset or a start")
    if change.offset is not None:
        message.offset.CopyFrom(service_pb2.OffsetRange(start=change.offset, length=change.length))
    elif change.start is not None:
        begin, end = change.start, change.end or change.start
        message.range.CopyFrom(
            service_pb2.Range(
                start=service_pb2.Position(line=begin[0], column=begin[1]),
                end=service_pb2.Position(line=end[0], column=end[1]),
            )
        )
    return message


def to_unit(unit: OffsetUnit) -> str:
    """Write a unit, by its name in the contract."""
    return f"OFFSET_UNIT_{unit}"
