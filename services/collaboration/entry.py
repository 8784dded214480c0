"""Entries of the log: one stored update of a document, as a message of JetStream and back."""

import dataclasses
import datetime
import json
from collections.abc import Iterable, Mapping

from nats.aio.msg import Msg

from services.collaboration import names
from services.collaboration.names import Name

SUBJECT = "code.changes"
"""Where a document's entries are published: ``code.changes.<namespace>.<project>.<token>``."""

MESSAGE_ID = "Nats-Msg-Id"
EPOCH = "Codestudio-Epoch"
ORIGIN = "Codestudio-Origin"
AUTHORS = "Codestudio-Authors"
SOURCES = "Codestudio-Sources"
REQUESTS = "Codestudio-Requests"
PART = "Codestudio-Part"
DELETED = "Codestudio-Deleted"

AUTHORS_MOST = 50
"""Authors one entry names at most: headers are small."""


@dataclasses.dataclass(frozen=True, slots=True)
class Author:
    """Somebody who wrote."""

    subject: str
    """Subject of the user, or name of the service."""
    name: str
    """Name for people."""


@dataclasses.dataclass(frozen=True, slots=True)
class Draft:
    """An update that is to be stored."""

    id: str
    """Unique; a second message of this id is no second entry."""
    update: bytes
    """One Yjs update (version 1)."""
    authors: tuple[Author, ...] = ()
    """Who wrote it."""
    sources: tuple[str, ...] = ()
    """Instances it came from."""
    requests: tuple[str, ...] = ()
    """Ids of the requests it carries out."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One message of the log: an update that is stored, or a part of one that is too large."""

    sequence: int
    """Its place in the stream."""
    name: Name
    """The document."""
    epoch: str
    """The history it belongs to."""
    origin: str
    """The replica that stored it."""
    id: str
    """The draft's id."""
    part: int
    """Which part of the update it holds, from 0."""
    parts: int
    """How many parts the update has."""
    update: bytes
    """The update, or its part."""
    authors: tuple[Author, ...]
    """Who wrote it."""
    sources: tuple[str, ...]
    """Instances it came from."""
    requests: tuple[str, ...]
    """Ids of the requests it carries out."""
    time: datetime.datetime
    """When it was stored."""
    deleted: bool = False
    """Whether it is the last of its history: the document was deleted."""


def headers(draft: Draft, epoch: str, origin: str, part: int, parts: int) -> dict[str, str]:
    """Return the headers of a draft's message."""
    found = {
        MESSAGE_ID: draft.id if parts == 1 else f"{draft.id}.{part}",
        EPOCH: epoch,
        ORIGIN: origin,
    }
    if draft.authors:
        found[AUTHORS] = write_authors(draft.authors[:AUTHORS_MOST])
    if draft.sources:
        found[SOURCES] = ",".join(draft.sources[:AUTHORS_MOST])
    if draft.requests:
        # All of them: what is not named here is taken for not done.
        found[REQUESTS] = ",".join(draft.requests)
    if parts > 1:
        found[PART] = f"{part}/{parts}"
    return found


def write_authors(authors: Iterable[Author]) -> str:
    """Return authors as a header has them."""
    return json.dumps([[one.subject, one.name] for one in authors])


def read(message: Msg) -> Entry | None:
    """Read an entry; None for a message that is none, which a later release may have written."""
    name = names.from_subject(message.subject)
    given: Mapping[str, str] = message.headers or {}
    part, _, parts = given.get(PART, "0/1").partition("/")
    if name is None or EPOCH not in given or not (part.isdecimal() and parts.isdecimal()):
        return None
    metadata = message.metadata
    draft_id = given.get(MESSAGE_ID, "")
    return Entry(
        sequence=metadata.sequence.stream,
        name=name,
        epoch=given[EPOCH],
        origin=given.get(ORIGIN, ""),
        # Without the part's number; a replica's name may have dots of its own.
        id=draft_id.rpartition(".")[0] if int(parts) > 1 else draft_id,
        part=int(part),
        parts=int(parts),
        update=message.data,
        authors=_authors(given.get(AUTHORS, "")),
        sources=tuple(filter(None, given.get(SOURCES, "").split(","))),
        requests=tuple(filter(None, given.get(REQUESTS, "").split(","))),
        time=metadata.timestamp,
        deleted=DELETED in given,
    )


def _authors(text: str) -> tuple[Author, ...]:
    if not text:
        return ()
    try:
        return tuple(Author(str(subject), str(name)) for subject, name in json.loads(text))
    except (ValueError, TypeError):
        return ()
