"""Makes a request that is repeated happen once: what became of it is remembered for a day.

In Redis, under the caller and the request's id. Before its edits are made, a request leaves a
note of where the log stood; if its answer is lost, whoever asks again is told from the log
whether it happened.
"""

import asyncio
import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from services.chassis import connectors, errors
from services.collaboration.log import Log
from services.collaboration.names import Name
from services.collaboration.rooms import Rooms
from services.collaboration.syncing import Order, Result, Syncing

_DAY = 24 * 3600
_WAIT = 3.0
"""Seconds to wait for an answer that another call is about to give."""
_LOOK_EVERY = 0.1
_REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1
"""
"""Replaces a note, or removes it, where it is still the one that was read: another call may have
taken the request over meanwhile."""


class Once:
    """Carries out orders that have a request_id."""

    def __init__(
        self,
        *,
        redis: connectors.Redis,
        syncing: Syncing,
        rooms: Rooms,
        log: Log,
        unsettled: float,
    ) -> None:
        """Prepare.

        Args:
            redis: Where requests are remembered.
            syncing: Carries them out.
            rooms: The documents.
            log: Knows what happened.
            unsettled: Seconds for which a request may still be under way.
        """
        self._redis = redis
        self._replace: Any = redis.client.register_script(_REPLACE)
        self._syncing = syncing
        self._rooms = rooms
        self._log = log
        self._unsettled = unsettled

    async def run(self, order: Order, fingerprint: str) -> Sequence[Result]:
        """Carry an order out, or tell what became of it.

        Args:
            order: What is asked for.
            fingerprint: The same for a repetition, and for no other request of the same id.

        Raises:
            errors.InvalidArgument: The id belongs to another request (REQUEST_ID_REUSED).
            errors.Unavailable: It is under way (REQUEST_IN_PROGRESS).
            errors.DomainError: As `Syncing.sync`.
        """
        # The log's entries name the request by this too: a subject may have a comma in it.
        order = dataclasses.replace(
            order, request=hashlib.sha256(order.request.encode()).hexdigest()
        )
        key = f"sync_request:{order.request}"
        places = await self._places(order)
        note = self._note(fingerprint, places)
        until = time.monotonic() + _WAIT
        while not await self._redis.client.set(key, note, nx=True, ex=_DAY):
            text = await self._redis.client.get(key)
            if text is None:
                continue
            kept: dict[str, Any] = json.loads(text)
            if kept["of"] != fingerprint:
                raise _reused()
            if "results" in kept:
                return [_result(one) for one in kept["results"]]
            if time.monotonic() < until:
                await asyncio.sleep(_LOOK_EVERY)
                continue
            stored = await self._stored(order, kept["places"])
            if len(stored) == len(order.names):
                return await self._keep(key, fingerprint, _recovered(order, stored))
            if time.time() - kept["began"] < self._unsettled:
                raise errors.Unavailable(
                    "REQUEST_IN_PROGRESS", "This request is under way; ask again shortly"
                )
            # What is not stored now never will be. Of several that find this, one goes on; its
            # note keeps the places of before, from which what is stored can be found again.
            note = self._note(fingerprint, kept["places"])
            if await self._replace(keys=[key], args=[text, note, _DAY]):
                return await self._carry_out(order, key, note, fingerprint, stored)
        return await self._carry_out(order, key, note, fingerprint, {})

    async def _carry_out(
        self, order: Order, key: str, note: str, fingerprint: str, stored: Mapping[Name, int]
    ) -> Sequence[Result]:
        """Carry out what is not stored of an order, and remember what became of all."""
        rest = [one for one in order.changes if one.name not in stored]
        try:
            made = await self._syncing.sync(dataclasses.replace(order, changes=rest))
        except errors.DomainError as error:
            if not stored and not isinstance(error, errors.Unavailable | errors.DeadlineExceeded):
                # Refused, so nothing happened: the same id may be tried again.
                await self._replace(keys=[key], args=[note, "", _DAY])
            raise
        new = iter(made)
        old = iter(_recovered(order, stored))
        results = [next(old if one.name in stored else new) for one in order.changes]
        return await self._keep(key, fingerprint, results)

    async def _places(self, order: Order) -> dict[str, int]:
        """Return where the log of each document stands."""
        found = {}
        for name in order.names:
            async with self._rooms.holding(name) as room:
                found[name.key] = room.history.sequence
        return found

    async def _stored(self, order: Order, places: Mapping[str, int]) -> dict[Name, int]:
        """Look in the log which documents have an order's edits, and at which revision at most."""
        revisions: dict[Name, int] = {}
        for name in order.names:
            last = await self._log.last(name)
            entries = await self._log.read(name, places.get(name.key, 0), last)
            # Of a large entry only the last part says that it is whole.
            if any(order.request in one.requests and one.part == one.parts - 1 for one in entries):
                async with self._rooms.holding(name) as room:
                    revisions[name] = room.revision
        return revisions

    @staticmethod
    def _note(fingerprint: str, places: Mapping[str, int]) -> str:
        return json.dumps({"of": fingerprint, "began": time.time(), "places": places})

    async def _keep(
        self, key: str, fingerprint: str, results: Sequence[Result]
    ) -> Sequence[Result]:
        facts = [dataclasses.asdict(one) for one in results]
        kept = json.dumps({"of": fingerprint, "results": facts})
        await self._redis.client.set(key, kept, ex=_DAY)
        return results


def _recovered(order: Order, stored: Mapping[Name, int]) -> list[Result]:
    """Return what is known of the edits that are stored: not where their text came to stand."""
    return [
        Result(one.name, stored[one.name], None, 0, rebased=False)
        for one in order.changes
        if one.name in stored
    ]


def _result(kept: Mapping[str, Any]) -> Result:
    return Result(
        Name(**kept["name"]), kept["revision"], kept["start"], kept["length"], kept["rebased"]
    )


def _reused() -> errors.InvalidArgument:
    return errors.InvalidArgument(
        "REQUEST_ID_REUSED",
        "request_id: belongs to another request",
        violations=[errors.Violation("request_id", "belongs to another request")],
    )
