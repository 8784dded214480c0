"""Documents in MongoDB: their records, and their snapshots. The only module that knows both.

``documents`` has one record a document; creating it is what opens a document, and happens once.
A snapshot too large for the record lies beside it, in ``document_snapshots``, in pieces: a
document of MongoDB holds 16 MiB. Pieces are written before they are the record's content, and
removed after others are. Before they are written the record says that they will be, so that those
of a replica that died in between are removed with the next snapshot.

Kept to what both MongoDB and nx-27017 0.8 do the same way (see services/instance/documents.py):
times are integers, only whole top-level fields are set, nothing is queried by ``_id`` ranges.
"""

import asyncio
import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

from bson import Binary
from pymongo import errors as mongo_errors

from services.chassis import connectors, errors
from services.collaboration.names import Name

_INLINE = 256 * 1024
"""Bytes of a snapshot up to which it lies in the record itself."""
_PIECE = 8 * 1024**2


class Damaged(errors.Internal):
    """A snapshot that is named has no content: better an error than an empty document."""

    def __init__(self, name: Name) -> None:
        super().__init__("DOCUMENT_DAMAGED", f"The stored state of {name.key} cannot be read")


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a document at one place of the log."""

    revision: int
    """Number of its newest entry."""
    sequence: int
    """Place of that entry in the stream; 0 where none was needed."""
    stream: str
    """Identity of the stream the place is in; empty for the first content, which is in none."""
    state: bytes
    """Everything, as one Yjs update (version 1)."""
    length: int
    """Length of the text, in code points."""


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """What is known of a document without reading its state."""

    name: Name
    epoch: str
    """Identity of its history."""
    created_at: int
    """When it was created, in milliseconds since 1970."""
    updated_at: int
    """When it had last changed as its snapshot was stored, in milliseconds since 1970."""
    revision: int
    """Its snapshot's."""
    length: int
    """Its snapshot's."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A document as it is stored."""

    summary: Summary
    snapshot: Snapshot
    generation: str
    """Another one with every snapshot."""


class Store:
    """Records and snapshots of documents."""

    def __init__(self, *, mongo: connectors.Mongo) -> None:
        self._mongo = mongo
        self._indexed = False
        self._indexing = asyncio.Lock()

    async def find(self, name: Name) -> Record | None:
        """Read a document; None where nobody opened it yet.

        Raises:
            Damaged: Its state is not there.
        """
        for _ in range(3):
            document = await self._mongo.client["documents"].find_one({"_id": name.key})
            if document is None:
                return None
            state = await self._state(document)
            if state is not None:
                return _record(name, document, state)
            # A newer snapshot has taken its place just now.
        raise Damaged(name)

    async def generation(self, name: Name) -> str:
        """Return the generation of a document's newest snapshot; empty where there is none."""
        document = await self._mongo.client["documents"].find_one(
            {"_id": name.key}, {"generation": 1}
        )
        return str(document["generation"]) if document else ""

    async def epoch(self, name: Name) -> str:
        """Return the epoch of a document; empty where there is none."""
        document = await self._mongo.client["documents"].find_one({"_id": name.key}, {"epoch": 1})
        return str(document["epoch"]) if document else ""

    async def create(self, name: Name, epoch: str, snapshot: Snapshot, now: int) -> bool:
        """Create a document unless there is one; whether this did."""
        await self._index()
        # In the record where at all possible: there is none yet to say that pieces are coming.
        content = await self._write(_plan(snapshot, inline=_PIECE), snapshot)
        document = {
            "_id": name.key,
            "namespace": name.namespace,
            "project": name.project,
            # For listing: _id cannot be part of a compound index in nx-27017.
            "home": f"{name.namespace}/{name.project}",
            "path": name.path,
            "epoch": epoch,
            "created_at": now,
            "updated_at": now,
            **content,
        }
        try:
            await self._mongo.client["documents"].insert_one(document)
        except mongo_errors.DuplicateKeyError:
            await self._remove(content)
            return False
        return True

    async def save(self, name: Name, epoch: str, snapshot: Snapshot, updated_at: int) -> bool:
        """Put a snapshot in place of an older one; whether there was an older one."""
        before = await self._mongo.client["documents"].find_one(
            {"_id": name.key},
            {"revision": 1, "epoch": 1, "pieces": 1, "generation": 1, "coming": 1},
        )
        if before is None or before["epoch"] != epoch or before["revision"] >= snapshot.revision:
            return False
        planned = _plan(snapshot, inline=_INLINE)
        chosen = {"_id": name.key, "epoch": epoch, "generation": before["generation"]}
        if (left := before.get("coming")) is not None:
            chosen["coming"] = left
        if planned["pieces"] or left:
            coming = f"{planned['generation']}/{planned['pieces']}"
            result = await self._mongo.client["documents"].update_one(
                chosen, {"$set": {"coming": coming}}
            )
            if not result.matched_count:
                return False
            # Whoever meant to write those cannot any more: the record says otherwise.
            chosen["coming"] = coming
            await self._remove_coming(left)
        content = await self._write(planned, snapshot)
        result = await self._mongo.client["documents"].update_one(
            chosen, {"$set": {**content, "updated_at": updated_at, "coming": ""}}
        )
        saved = bool(result.matched_count)
        await self._remove(before if saved else content)
        return saved

    async def delete(self, name: Name, epoch: str) -> None:
        """Remove a document of this history; does nothing where there is none, or another."""
        chosen = {"_id": name.key, "epoch": epoch}
        before = await self._mongo.client["documents"].find_one(
            chosen, {"pieces": 1, "generation": 1, "coming": 1}
        )
        if before is None:
            return
        result = await self._mongo.client["documents"].delete_one(
            {**chosen, "generation": before["generation"]}
        )
        if result.deleted_count:
            await self._remove(before)
            await self._remove_coming(before.get("coming"))
        else:
            # A snapshot was stored in between: that is removed too.
            await self.delete(name, epoch)

    async def page(self, namespace: str, project: str, after: str, limit: int) -> list[Summary]:
        """List a project's documents in order of path, those behind one."""
        await self._index()
        query: dict[str, Any] = {"home": f"{namespace}/{project}"}
        if after:
            query["path"] = {"$gt": after}
        cursor = (
            self._mongo.client["documents"].find(query, {"state": 0}).sort("path", 1).limit(limit)
        )
        return [
            _summary(Name(namespace, project, one["path"]), one)
            for one in await cursor.to_list(length=limit)
        ]

    async def _write(self, content: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
        """Write the pieces of a record's new content; returns the content."""
        for number in range(content["pieces"]):
            start = number * _PIECE
            await self._mongo.client["document_snapshots"].insert_one(
                {
                    "_id": f"{content['generation']}/{number}",
                    "data": Binary(snapshot.state[start : start + _PIECE]),
                }
            )
        return content

    async def _state(self, document: Mapping[str, Any]) -> bytes | None:
        if not document["pieces"]:
            return bytes(document["state"])
        found = []
        for number in range(document["pieces"]):
            piece = await self._mongo.client["document_snapshots"].find_one(
                {"_id": f"{document['generation']}/{number}"}
            )
            if piece is None:
                return None
            found.append(bytes(piece["data"]))
        return b"".join(found)

    async def _remove(self, content: Mapping[str, Any]) -> None:
        for number in range(content.get("pieces", 0)):
            await self._mongo.client["document_snapshots"].delete_one(
                {"_id": f"{content['generation']}/{number}"}
            )

    async def _remove_coming(self, coming: str | None) -> None:
        """Remove pieces that a record said were coming, as far as they came."""
        if coming:
            generation, _, pieces = coming.partition("/")
            await self._remove({"generation": generation, "pieces": int(pieces)})

    async def _index(self) -> None:
        if self._indexed:
            return
        async with self._indexing:
            if not self._indexed:
                await self._mongo.client["documents"].create_index([("home", 1), ("path", 1)])
                self._indexed = True


def _plan(snapshot: Snapshot, *, inline: int) -> dict[str, Any]:
    """Return the fields of a record for a snapshot, which is in them up to so many bytes."""
    size = len(snapshot.state)
    pieces = -(-size // _PIECE) if size > inline else 0
    return {
        "generation": uuid.uuid4().hex,
        "pieces": pieces,
        "state": Binary(b"" if pieces else snapshot.state),
        "revision": snapshot.revision,
        "sequence": snapshot.sequence,
        "stream": snapshot.stream,
        "length": snapshot.length,
    }


def _summary(name: Name, document: Mapping[str, Any]) -> Summary:
    return Summary(
        name=name,
        epoch=document["epoch"],
        created_at=document["created_at"],
        updated_at=document["updated_at"],
        revision=document["revision"],
        length=document["length"],
    )


def _record(name: Name, document: Mapping[str, Any], state: bytes) -> Record:
    snapshot = Snapshot(
        revision=document["revision"],
        sequence=document["sequence"],
        stream=document["stream"],
        state=state,
        length=document["length"],
    )
    return Record(_summary(name, document), snapshot, document["generation"])
