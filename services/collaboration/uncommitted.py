"""What Git does not have yet: of each document, who has changed it since its last commit.

One record a document, written by whoever follows the log (`changes`) and by whoever commits
(`committing`); each write is conditional on the version that was read. It outlives the log, which
is cut behind snapshots.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pymongo import errors as mongo_errors

from services.chassis import connectors
from services.collaboration.entry import Author
from services.collaboration.names import Name

_ATTEMPTS = 20
"""Writes tried when somebody else keeps writing: there are two who do."""
_AUTHORS_MOST = 100
"""Authors one commit names at most."""
_COLLECTION = "code_uncommitted"
_POSITIONS = "code_positions"
_POSITION = "changes"


@dataclasses.dataclass(frozen=True, slots=True)
class Writer:
    """Somebody who has written since the last commit."""

    author: Author
    """Who."""
    first: int
    """Sequence number of the first entry of theirs."""
    last: int
    """Sequence number of the last."""


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One entry of the log, as far as it matters here."""

    sequence: int
    """Its place in the stream."""
    time: int
    """When it was stored, in milliseconds since 1970."""
    authors: Sequence[Author]
    """Who wrote it."""
    counts: bool = True
    """Whether it makes a revision; all parts of a large one but the last do not."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """What is known of one document."""

    name: Name
    """The document."""
    epoch: str = ""
    """Its history; empty while no entry was seen."""
    stream: str = ""
    """Identity of the stream its numbers are in; empty while no entry was seen."""
    sequence: int = 0
    """Its newest entry."""
    revision: int = 1
    """Its revision with that entry; 1 is the first content."""
    committed: int = -1
    """The newest entry Git has; -1 while it does not have the document."""
    dirty_at: int = 0
    """When it first changed since, in milliseconds since 1970."""
    changed_at: int = 0
    """When it last changed, in milliseconds since 1970."""
    writers: tuple[Writer, ...] = ()
    """Who has written since, in order of their first entries."""
    version: int = 0
    """Counts writes of the record; 0 before the first."""

    @property
    def dirty(self) -> bool:
        """Whether Git lacks anything."""
        return self.sequence > self.committed

    def opened(self, author: Author, now: int) -> "Record":
        """Return it with the first content, which is in no log.

        What is known already is of a document that was deleted: Git may not have that yet.
        """
        writers = {one.author.subject: dataclasses.replace(one, first=0) for one in self.writers}
        writers.setdefault(author.subject, Writer(author, 0, 0))
        return Record(
            self.name,
            dirty_at=now,
            changed_at=now,
            writers=tuple(dataclasses.replace(one, last=0) for one in writers.values()),
            version=self.version,
        )

    def changed(self, changes: Iterable[Change]) -> "Record":
        """Return it with some more entries; those it has already change nothing."""
        new = [one for one in changes if one.sequence > self.committed]
        if not new:
            return self
        writers = {one.author.subject: one for one in self.writers}
        for change in new:
            for author in change.authors:
                before = writers.get(author.subject)
                if before is None and len(writers) >= _AUTHORS_MOST:
                    continue
                first = change.sequence if before is None else before.first
                last = change.sequence if before is None else max(before.last, change.sequence)
                writers[author.subject] = Writer(author, first, last)
        counted = sum(one.counts for one in new if one.sequence > self.sequence)
        return dataclasses.replace(
            self,
            sequence=max(self.sequence, new[-1].sequence),
            revision=self.revision + counted,
            dirty_at=self.dirty_at if self.dirty and self.dirty_at else new[0].time,
            changed_at=max(self.changed_at, new[-1].time),
            writers=tuple(sorted(writers.values(), key=lambda one: one.first)),
        )

    def committed_to(self, sequence: int) -> "Record":
        """Return it after a commit that holds everything up to an entry."""
        return dataclasses.replace(
            self,
            committed=max(self.committed, sequence),
            dirty_at=self.changed_at,
            writers=tuple(one for one in self.writers if one.last > sequence),
        )

    def moved(self, epoch: str, stream: str, sequence: int, revision: int) -> "Record":
        """Return it in another stream or history, whose numbers begin again."""
        return dataclasses.replace(
            self,
            epoch=epoch,
            stream=stream,
            sequence=sequence,
            revision=revision,
            committed=-1 if self.dirty or self.committed < 0 else 0,
            writers=tuple(dataclasses.replace(one, first=0, last=0) for one in self.writers),
        )


class Uncommitted:
    """The records."""

    def __init__(self, *, mongo: connectors.Mongo) -> None:
        self._mongo = mongo
        self._indexed = False

    async def find(self, name: Name) -> Record:
        """Read what is known of a document; an empty record if nothing is."""
        document = await self._mongo.client[_COLLECTION].find_one({"_id": name.key})
        return Record(name) if document is None else _record(document)

    async def dirty(self, changed_before: int, dirty_before: int) -> list[Record]:
        """Read the documents that Git lacks something of, as far as they may be due.

        Args:
            changed_before: Those last changed before; in milliseconds since 1970.
            dirty_before: And those first changed before.

        """
        collection = self._mongo.client[_COLLECTION]
        if not self._indexed:
            await collection.create_index([("dirty", 1), ("changed_at", 1)])
            await collection.create_index([("dirty", 1), ("dirty_at", 1)])
            self._indexed = True
        found: dict[Name, Record] = {}
        for field, before in (("changed_at", changed_before), ("dirty_at", dirty_before)):
            cursor = collection.find({"dirty": True, field: {"$lte": before}})
            for one in await cursor.to_list(length=None):
                record = _record(one)
                found[record.name] = record
        return list(found.values())

    async def count(self) -> int:
        """Count the documents that Git lacks something of."""
        return await self._mongo.client[_COLLECTION].count_documents({"dirty": True})

    async def write(self, before: Record, after: Record) -> Record | None:
        """Replace a record that nobody has written since; returns it as it is now.

        None where somebody has written it: read it again.
        """
        if after == before:
            return before
        written = dataclasses.replace(after, version=before.version + 1)
        content = _document(written)
        if not before.version:
            try:
                await self._mongo.client[_COLLECTION].insert_one({"_id": after.name.key, **content})
            except mongo_errors.DuplicateKeyError:
                return None
            return written
        result = await self._mongo.client[_COLLECTION].update_one(
            {"_id": after.name.key, "version": before.version}, {"$set": content}
        )
        return written if result.matched_count else None

    async def opened(self, name: Name, author: Author, now: int) -> None:
        """Note that somebody is about to give a document its first content."""
        for _ in range(_ATTEMPTS):
            before = await self.find(name)
            if await self.write(before, before.opened(author, now)) is not None:
                return

    async def committed(self, name: Name, sequence: int) -> None:
        """Note that Git has a document up to an entry."""
        for _ in range(_ATTEMPTS):
            before = await self.find(name)
            if not before.version:
                return
            if await self.write(before, before.committed_to(sequence)) is not None:
                return

    async def forget(self, record: Record) -> None:
        """Forget a document that is not there any more, unless somebody has written the record."""
        await self._mongo.client[_COLLECTION].delete_one(
            {"_id": record.name.key, "version": record.version}
        )

    async def position(self) -> tuple[str, int]:
        """Return the stream and the entry up to which all entries are in the records."""
        found = await self._mongo.client[_POSITIONS].find_one({"_id": _POSITION})
        return ("", 0) if found is None else (found["stream"], found["sequence"])

    async def move(self, stream: str, sequence: int) -> None:
        """Note up to which entry they are."""
        await self._mongo.client[_POSITIONS].update_one(
            {"_id": _POSITION}, {"$set": {"stream": stream, "sequence": sequence}}, upsert=True
        )


def _document(record: Record) -> dict[str, Any]:
    return {
        "namespace": record.name.namespace,
        "project": record.name.project,
        "path": record.name.path,
        "epoch": record.epoch,
        "stream": record.stream,
        "sequence": record.sequence,
        "revision": record.revision,
        "committed": record.committed,
        "dirty": record.dirty,
        "dirty_at": record.dirty_at,
        "changed_at": record.changed_at,
        "writers": [
            [one.author.subject, one.author.name, one.first, one.last] for one in record.writers
        ],
        "version": record.version,
    }


def _record(document: Mapping[str, Any]) -> Record:
    return Record(
        name=Name(document["namespace"], document["project"], document["path"]),
        epoch=document["epoch"],
        stream=document["stream"],
        sequence=document["sequence"],
        revision=document["revision"],
        committed=document["committed"],
        dirty_at=document["dirty_at"],
        changed_at=document["changed_at"],
        writers=tuple(
            Writer(Author(subject, name), first, last)
            for subject, name, first, last in document["writers"]
        ),
        version=document["version"],
    )
