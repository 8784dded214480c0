"""Where settings that were changed while running are kept. The only module that knows how.

MongoDB has the record: ``config_revisions``, one document a revision, each with everything set at
that time. A revision is committed by inserting its document under its number: of all that read
the same one before, one gets the next number, and nobody overwrites what they have not read.

Redis has a copy of the newest, the specification's hash ``config:<service>``: a field for each
path, its value as JSON. ``@revision`` and ``@at`` say what it is a copy of, 0 of nothing ever
set: a copy that is not there tells nothing. It is written after the record, and from it again
whenever the two differ, so it may be lost at any time.
"""

import asyncio
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, cast

from pymongo import errors as mongo_errors
from redis import exceptions
from redis.commands.core import AsyncScript

from services.chassis import connectors
from services.config.state import Change, Revision

_KEY = "config:"
_REVISION = "@revision"
_AT = "@at"


class Taken(Exception):  # noqa: N818 - an answer more than an error
    """Somebody else has made the revision of that number."""


class Revisions:
    """The record. MongoDB being down raises its library's exceptions."""

    def __init__(self, *, mongo: connectors.Mongo) -> None:
        self._collection = mongo.client["config_revisions"]
        self._prepared = False
        self._preparing = asyncio.Lock()

    async def commit(self, revision: Revision) -> None:
        """Write the revision after the newest one; what it holds must follow from that one.

        Raises:
            Taken: There is one of that number.
        """
        await self._prepare()
        try:
            await self._collection.insert_one(_encode(revision))
        except mongo_errors.DuplicateKeyError as error:
            raise Taken from error

    async def newest(self, service: str) -> Revision | None:
        """Read the newest revision of a service; None if nothing was ever set."""
        found = await self.before(service, 0, 1)
        return found[0] if found else None

    async def get(self, service: str, number: int) -> Revision | None:
        """Read one revision; None if there is none."""
        document = await self._collection.find_one({"_id": _id(service, number)})
        return _decode(document) if document else None

    async def before(self, service: str, number: int, limit: int) -> list[Revision]:
        """Read up to `limit` revisions of a service below a number (0 for all), newest first."""
        await self._prepare()
        query: dict[str, Any] = {"service": service}
        if number:
            query["revision"] = {"$lt": number}
        cursor = self._collection.find(query).sort("revision", -1).limit(limit)
        return [_decode(one) for one in await cursor.to_list(limit)]

    async def _prepare(self) -> None:
        """Make the index, at first use rather than at start: the database may be down then."""
        if self._prepared:
            return
        async with self._preparing:
            if not self._prepared:
                await self._collection.create_index([("service", 1), ("revision", 1)])
                self._prepared = True


class Mirror:
    """The copy. Redis being down raises its library's exceptions."""

    def __init__(self, *, redis: connectors.Redis) -> None:
        self._redis = redis
        text = (resources.files("services.config") / "lua" / "mirror.lua").read_text("utf-8")
        self._write: AsyncScript = redis.client.register_script(text)

    async def write(self, revision: Revision, *, instead_of: Revision | None = None) -> bool:
        """Write the copy, unless a newer one is there; whether it was written.

        Args:
            revision: What to copy.
            instead_of: What was there and may be overwritten, newer or not.
        """
        flat = [text for pair in _fields(revision).items() for text in pair]
        written = await self._write(
            keys=[_KEY + revision.service],
            args=[str(revision.number), str(instead_of.number) if instead_of else "", *flat],
        )
        return bool(written)

    async def read(self, service: str) -> Revision | None:
        """Read the copy; None if there is none, or it is no copy of anything."""
        fields = await self._fields(service)
        return _from_fields(service, fields) if fields else None

    async def is_copy_of(self, revision: Revision) -> bool:
        """Whether what is there is exactly the copy of a revision, untouched by anybody."""
        return await self._fields(revision.service) == _fields(revision)

    async def _fields(self, service: str) -> dict[str, str]:
        """Read what is there; nothing where that is no hash, which `write` replaces."""
        try:
            found: dict[str, str] = await cast("Any", self._redis.client.hgetall(_KEY + service))
        except exceptions.ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            return {}
        return found


def _id(service: str, number: int) -> str:
    return f"{service}/{number}"


def _fields(revision: Revision) -> dict[str, str]:
    return {
        **{path: json.dumps(value) for path, value in revision.values.items()},
        _REVISION: str(revision.number),
        _AT: str(revision.at),
    }


def _from_fields(service: str, fields: Mapping[str, str]) -> Revision | None:
    try:
        return Revision(
            service=service,
            number=int(fields[_REVISION]),
            at=int(fields[_AT]),
            values={
                path: json.loads(text)
                for path, text in sorted(fields.items())
                if not path.startswith("@")
            },
        )
    except (KeyError, ValueError):
        return None


def _encode(revision: Revision) -> dict[str, Any]:
    """Write a revision as a document.

    Paths are values here, not names of fields: a dot in those means something to MongoDB. Values
    are JSON, since the local stack's server changes the type of some (DESIGN, nx-27017).
    """
    return {
        "_id": _id(revision.service, revision.number),
        "service": revision.service,
        "revision": revision.number,
        "values": [[path, json.dumps(value)] for path, value in revision.values.items()],
        "author": revision.author,
        "reason": revision.reason,
        "at": revision.at,
        "changes": [
            [one.path, json.dumps(one.before), json.dumps(one.after)] for one in revision.changes
        ],
        "rollback_of": revision.rollback_of,
    }


def _decode(document: Mapping[str, Any]) -> Revision:
    return Revision(
        service=document["service"],
        number=document["revision"],
        values={path: json.loads(text) for path, text in document["values"]},
        author=document["author"],
        reason=document["reason"],
        at=document["at"],
        changes=tuple(
            Change(path=path, before=json.loads(before), after=json.loads(after))
            for path, before, after in document["changes"]
        ),
        rollback_of=document["rollback_of"],
    )
