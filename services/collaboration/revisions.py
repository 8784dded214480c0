"""A project's history, as Git has it: listed, read, and brought back."""

import asyncio
import base64
import binascii
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from codestudio.collaboration.v1 import document_pb2

from services.chassis import errors
from services.chassis.validation import Violations
from services.collaboration import listing, names
from services.collaboration.committing import location
from services.collaboration.names import Name
from services.collaboration.repository import Next, NotText, Repository, Revision

_ID = re.compile(r"[0-9a-f]{40}")


def revision_id(wrong: Violations, value: str) -> str:
    """Read the id of a revision."""
    if not _ID.fullmatch(value):
        wrong.add("revision_id", "must be 40 hexadecimal digits, in lower case")
    return value


def page(
    wrong: Violations, size: int, token: str, path: str, *, follow: bool = False
) -> tuple[int, Next]:
    """Read how many revisions to list, and where to begin; without a start, with the newest."""
    count = listing.size(wrong, size)
    if follow and not path:
        wrong.add("follow_renames", "needs a path")
    begin = Next("", path)
    if token:
        match _unpack(token):
            case ["v", str(start), str(of)] if _ID.fullmatch(start):
                begin, followed = Next(start, of), False
            case ["f", str(start), str(of), str(then)] if _ID.fullmatch(start):
                begin, followed = Next(start, names.path(wrong, "page_token", then)), True
            case _:
                wrong.add("page_token", "must be the next_page_token of the page before")
                return count, begin
        if of != path:
            wrong.add("page_token", "belongs to another path")
        if followed != follow:
            wrong.add("page_token", "belongs to a listing with another follow_renames")
    return count, begin


def page_token(after: Next, path: str, *, follow: bool = False) -> str:
    """Make the token of the page that goes on there; empty for none."""
    if not after.start:
        return ""
    fields = ["f", after.start, path, after.path] if follow else ["v", after.start, path]
    text = json.dumps(fields, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class Revisions:
    """Reads repositories."""

    def __init__(self, *, root: Path) -> None:
        self._root = root

    async def page(
        self, namespace: str, project: str, begin: Next, size: int, *, follow: bool = False
    ) -> tuple[list[Revision], Next]:
        """List revisions, newest first; also where the next page begins.

        A page may have fewer than were asked for, or none, and still not be the last: so much
        history was looked through for it.
        """
        repository = Repository(location(self._root, namespace, project))
        return await asyncio.to_thread(
            repository.revisions, begin.path, begin.start, size, follow=follow
        )

    async def text(self, name: Name, revision: str, former_path: str = "") -> tuple[Revision, str]:
        """Return a revision and a document's text as it was then, under the path it had then.

        Raises:
            errors.NotFound: There is no such revision (REVISION_NOT_FOUND), or the document was
                not in it (DOCUMENT_NOT_IN_REVISION).
            errors.FailedPrecondition: What was there is no text (REVISION_NOT_TEXT).
        """
        repository = Repository(location(self._root, name.namespace, name.project))
        then = dataclasses.replace(name, path=former_path or name.path)
        try:
            return await asyncio.to_thread(_read, repository, then, revision)
        except NotText as error:
            raise errors.FailedPrecondition(
                "REVISION_NOT_TEXT",
                f"Revision {revision[:12]} holds no text there: {error}",
                metadata={"revision_id": revision, "path": then.path},
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
        path=revision.path,
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
