"""Remembers which documents have the edits of a request, longer than the log does.

Entries are cut off the log behind snapshots, but none that the follower of the log (`changes`) has
not passed. So what entries say of requests is noted here as they are passed, for the requests
whose answer nobody has kept yet: there are few, and of the others the answer itself is known.
Documents in which a request changes nothing are noted too: no entry tells of them.
"""

from collections.abc import Iterable
from typing import Any

from services.chassis import connectors
from services.chassis.scripts import Call, Script, Scripts
from services.collaboration.entry import Entry
from services.collaboration.names import Name

KEPT = 24 * 3600
"""Seconds for which a request is remembered, from its first attempt."""

_NOTE = Script.of("""
local note = redis.call('GET', KEYS[1])
if not note or cjson.decode(note)['results'] then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
""")


def note_key(request: str) -> str:
    """Return where a request's note or answer is."""
    return f"sync_request:{request}"


def _stored_key(request: str) -> str:
    # On one node of a cluster with the note: the script reads the one and writes the other.
    return f"sync_stored:{{{note_key(request)}}}"


def _note(request: str, document: Name) -> Call:
    # Kept longer than the note, whose time began before.
    return Call(_NOTE, [note_key(request), _stored_key(request)], [document.key, 2 * KEPT])


class Outcomes:
    """Sets of documents in Redis, one for each request."""

    def __init__(self, *, redis: connectors.Redis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis=redis)

    async def passed(self, entries: Iterable[Entry]) -> None:
        """Take note of entries, before they may be cut off the log."""
        await self._scripts.run_all(
            [
                _note(request, one.name)
                for one in entries
                # Of a large entry only the last part says that it is whole.
                if one.part == one.parts - 1
                for request in one.requests
            ]
        )

    async def unchanged(self, request: str, documents: Iterable[Name]) -> None:
        """Take note of documents in which a request has nothing to change: the log won't tell."""
        await self._scripts.run_all([_note(request, one) for one in documents])

    async def stored(self, request: str) -> set[str]:
        """Return the keys of the documents that are known to have a request's edits."""
        found: Any = await self._redis.client.smembers(_stored_key(request))
        return set(found)
