"""The instances in MongoDB: the only module that knows the database.

Every write but the first is conditional on the record's `rev`, so nobody overwrites what they
have not read.
"""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import errors as mongo_errors

from services.chassis import connectors
from services.instance import documents
from services.instance.record import Record

_INDEXES: Sequence[tuple[list[tuple[str, int]], dict[str, Any]]] = (
    ([("name", 1)], {}),
    ([("owner", 1), ("name", 1)], {}),
    ([("active", 1)], {}),
    ([("request_key", 1)], {"unique": True, "sparse": True}),
)


class Taken(Exception):  # noqa: N818 - an answer more than an error
    """A new record's id or request is somebody's already."""


class Store:
    """The collection ``instances``."""

    def __init__(self, *, mongo: connectors.Mongo) -> None:
        self._collection = mongo.client["instances"]
        self._prepared = False
        self._preparing = asyncio.Lock()

    async def insert(self, record: Record) -> None:
        """Write a new record.

        Raises:
            Taken: There is one with its id, or of its request.
        """
        await self._prepare()
        try:
            await self._collection.insert_one(documents.encode(record))
        except mongo_errors.DuplicateKeyError as error:
            raise Taken from error

    async def get(self, instance_id: str) -> Record | None:
        """Read the record of an id, hidden ones too."""
        document = await self._collection.find_one({"_id": instance_id})
        return documents.decode(document) if document else None

    async def of_request(self, request_key: str) -> Record | None:
        """Read the record a request made."""
        await self._prepare()
        document = await self._collection.find_one({"request_key": request_key})
        return documents.decode(document) if document else None

    async def update(self, before: Record, after: Record) -> Record | None:
        """Write a record over the one that was read.

        Returns:
            What is stored now, with its new `rev`; None where somebody wrote in between.

        Raises:
            Taken: Its request has made another instance.
        """
        written = dataclasses.replace(after, rev=before.rev + 1)
        try:
            result = await self._collection.update_one(
                {"_id": before.id, "rev": before.rev, "uid": before.uid},
                documents.difference(before, written),
            )
        except mongo_errors.DuplicateKeyError as error:
            raise Taken from error
        return written if result.matched_count else None

    async def remove(self, record: Record) -> bool:
        """Remove the record that was read; False where somebody wrote in between."""
        result = await self._collection.delete_one(
            {"_id": record.id, "rev": record.rev, "uid": record.uid}
        )
        return bool(result.deleted_count)

    async def page(self, conditions: Mapping[str, Any], *, after: str, limit: int) -> list[Record]:
        """Read visible records in order of id, without their outboxes.

        Args:
            conditions: Further conditions on fields, as `filters` gives them.
            after: Only ids behind this one; empty to begin.
            limit: Most to read.
        """
        await self._prepare()
        query = {**conditions, "visible": 1, "name": {"$gt": after}}
        cursor = self._collection.find(query, {"outbox": 0}).sort("name", 1).limit(limit)
        return [documents.decode(one) for one in await cursor.to_list(limit)]

    async def active(self) -> list[Record]:
        """Read every record there may be something to do for."""
        await self._prepare()
        return [
            documents.decode(one)
            for one in await self._collection.find({"active": 1}).to_list(None)
        ]

    async def _prepare(self) -> None:
        """Make the indexes, at first use rather than at start: the database may be down then."""
        if self._prepared:
            return
        async with self._preparing:
            if not self._prepared:
                for keys, options in _INDEXES:
                    await self._collection.create_index(keys, **options)
                self._prepared = True
