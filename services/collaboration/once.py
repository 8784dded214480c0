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
        key = f"sync_request:{hashlib.sha256(order.request.encode()).hexdigest()}"
        note = {"of": fingerprint, "began": time.time(), "places": await self._places(order)}
        until = time.monotonic() + _WAIT
        while not await self._redis.client.set(key, json.dumps(note), nx=True, ex=_DAY):
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
            found = await self._recover(order, kept["places"])
            if found is not None:
                return await self._keep(key, fingerprint, found)
            if time.time() - kept["began"] < self._unsettled:
                raise errors.Unavailable(
                    "REQUEST_IN_PROGRESS", "This request is under way; ask again shortly"
                )
            # It never happened, and now it never will.
            await self._redis.client.delete(key)
        try:
            results = await self._syncing.sync(order)
        except errors.DomainError as error:
            if not isinstance(error, errors.Unavailable | errors.DeadlineExceeded):
                # Refused, so nothing happened: the same id may be tried again.
                await self._redis.client.delete(key)
            raise
        return await self._keep(key, fingerprint, results)

    async def _places(self, order: Order) -> dict[str, int]:
        """Return where the log of each document stands."""
        found = {}
        for name in order.names:
            async with self._rooms.holding(name) as room:
                found[name.key] = room.history.sequence
        return found

    async def _recover(self, order: Order, places: Mapping[str, int]) -> list[Result] | None:
        """Look in the log whether an order was carried out; None where it was not."""
        revisions: dict[Name, int] = {}
        for name in order.names:
            last = await self._log.last(name)
            entries = await self._log.read(name, places.get(name.key, 0), last)
            if any(order.request in one.requests for one in entries):
                async with self._rooms.holding(name) as room:
                    revisions[name] = room.revision
        if not revisions:
            return None
        # Where its text came to stand is not known any more.
        return [
            Result(one.name, revisions.get(one.name, 0), None, 0, rebased=False)
            for one in order.changes
        ]

    async def _keep(
        self, key: str, fingerprint: str, results: Sequence[Result]
    ) -> Sequence[Result]:
        facts = [dataclasses.asdict(one) for one in results]
        kept = json.dumps({"of": fingerprint, "results": facts})
        await self._redis.client.set(key, kept, ex=_DAY)
        return results


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
