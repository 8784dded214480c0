"""A project's history, as Git has it: listed, read, and brought back."""

import asyncio
import base64
import binascii
import json
import re
from pathlib import Path
from typing import Any

from codestudio.collaboration.v1 import document_pb2

from services.chassis import errors
from services.chassis.validation import Violations
from services.collaboration import listing
from services.collaboration.committing import location
from services.collaboration.names import Name
from services.collaboration.repository import NotText, Repository, Revision

_ID = re.compile(r"[0-9a-f]{40}")


def revision_id(wrong: Violations, value: str) -> str:
    """Read the id of a revision."""
    if not _ID.fullmatch(value):
        wrong.add("revision_id", "must be 40 hexadecimal digits, in lower case")
    return value


def page(wrong: Violations, size: int, token: str, path: str) -> tuple[int, str]:
    """Read how many revisions to list, and which to begin with; empty for the newest."""
    count = listing.size(wrong, size)
    start = ""
    if token:
        match _unpack(token):
            case ["v", str(start), str(of)] if _ID.fullmatch(start):
                if of != path:
                    wrong.add("page_token", "belongs to another path")
            case _:
                wrong.add("page_token", "must be the next_page_token of the page before")
    return count, start


def page_token(start: str, path: str) -> str:
    """Make the token of the page that begins with a revision; empty for none."""
    if not start:
        return ""
    text = json.dumps(["v", start, path], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class Revisions:
    """Reads repositories."""

    def __init__(self, *, root: Path) -> None:
        self._root = root

    async def page(
        self, namespace: str, project: str, path: str, start: str, size: int
    ) -> tuple[list[Revision], str]:
        """List revisions, newest first; also the one the next page begins with.

        A page may have fewer than were asked for, or none, and still not be the last: so much
        history was looked through for it.
        """
        repository = Repository(location(self._root, namespace, project))
        return await asyncio.to_thread(repository.revisions, path, start, size)

    async def text(self, name: Name, revision: str) -> tuple[Revision, str]:
        """Return a revision and a document's text as it was then.

        Raises:
            errors.NotFound: There is no such revision (REVISION_NOT_FOUND), or the document was
                not in it (DOCUMENT_NOT_IN_REVISION).
            errors.FailedPrecondition: What was there is no text (REVISION_NOT_TEXT).
        """
        repository = Repository(location(self._root, name.namespace, name.project))
        try:
            return await asyncio.to_thread(_read, repository, name, revision)
        except NotText as error:
            raise errors.FailedPrecondition(
                "REVISION_NOT_TEXT",
                f"Revision {revision[:12]} holds no text there: {error}",
                metadata={"revision_id": revision, "path": name.path},
            ) from None


def message(revision: Revision) -> document_pb2.Revision:
    """Write a revision as the contract has it."""
    written = document_pb2.Revision(
        id=revision.id,
        authors=[
            document_pb2.Author(subject=one.subject, name=one.name) for one in revision.authors
        ],
        message=revision.message,
        paths=revision.paths,
    )
    written.create_time.FromDatetime(revision.time)
    return written


def _read(repository: Repository, name: Name, revision: str) -> tuple[Revision, str]:
    facts = {"revision_id": revision, "project": name.project, "path": name.path}
    found = repository.revision(revision)
    if found is None:
        raise errors.NotFound(
            "REVISION_NOT_FOUND",
            f"Project {name.project} has no revision {revision}",
            metadata=facts,
        )
    text = repository.text(revision, name.path)
    if text is None:
        raise errors.NotFound(
            "DOCUMENT_NOT_IN_REVISION",
            f"Revision {revision[:12]} does not have {name.path}",
            metadata=facts,
        )
    return found, text


def _unpack(token: str) -> Any:
    if len(token) > 4000:
        return None
    try:
        padded = token + "=" * (-len(token) % 4)
        return json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
