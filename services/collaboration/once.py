"""Makes a request that is repeated happen once: what became of it is remembered for a day.

In Redis, under the caller and the request's id. Before its edits are made, a request leaves a
note of where the log stood; if its answer is lost, whoever asks again is told from the log
whether it happened, and from `outcomes` where the log has been cut since. Where both are gone,
because the log was made anew, nobody knows, and that is the answer.
"""

import asyncio
import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from services.chassis import connectors, errors
from services.collaboration import outcomes
from services.collaboration.log import Log
from services.collaboration.names import Name
from services.collaboration.outcomes import KEPT, Outcomes
from services.collaboration.room import deleted
from services.collaboration.rooms import Rooms
from services.collaboration.syncing import Order, Result, Syncing

_WAIT = 3.0
"""Seconds to wait for an answer that another call is about to give."""
_LOOK_EVERY = 0.1
_PREPARE = 10.0
"""Seconds after its note within which a request makes its edits, or never does."""
_REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') end
return 1
"""
"""Replaces a note, or removes it, where it is still the one that was read: another call may have
taken the request over meanwhile. Its day is that of the first attempt: what is known of its edits
is not kept longer."""


class Once:
    """Carries out orders that have a request_id."""

    def __init__(
        self,
        *,
        redis: connectors.Redis,
        syncing: Syncing,
        rooms: Rooms,
        log: Log,
        known: Outcomes,
        unsettled: float,
    ) -> None:
        """Prepare.

        Args:
            redis: Where requests are remembered.
            syncing: Carries them out.
            rooms: The documents.
            log: Knows what happened.
            known: Knows it where the log has been cut.
            unsettled: Seconds for which edits that were made may still be on their way.
        """
        self._redis = redis
        self._replace: Any = redis.client.register_script(_REPLACE)
        self._syncing = syncing
        self._rooms = rooms
        self._log = log
        self._outcomes = known
        self._unsettled = unsettled + _PREPARE

    async def run(self, order: Order, fingerprint: str) -> Sequence[Result]:
        """Carry an order out, or tell what became of it.

        Args:
            order: What is asked for.
            fingerprint: The same for a repetition, and for no other request of the same id.

        Raises:
            errors.InvalidArgument: The id belongs to another request (REQUEST_ID_REUSED).
            errors.Unavailable: It is under way (REQUEST_IN_PROGRESS).
            errors.Aborted: Nobody knows what became of it (OUTCOME_UNKNOWN).
            errors.DomainError: As `Syncing.sync`.
        """
        request_id = order.request.rpartition("/")[2]
        # The log's entries name the request by this too: a subject may have a comma in it.
        order = dataclasses.replace(
            order, request=hashlib.sha256(order.request.encode()).hexdigest()
        )
        key = outcomes.note_key(order.request)
        try:
            state = await self._state(order)
        except errors.DomainError:
            # A document that was deleted since has had its edits all the same.
            if (answer := await self._answered(key, fingerprint)) is not None:
                return answer
            raise
        stream = self._log.identity
        note, latest = self._note(fingerprint, stream, state)
        until = time.monotonic() + _WAIT
        while not await self._redis.client.set(key, note, nx=True, ex=KEPT):
            text = await self._redis.client.get(key)
            if text is None:
                continue
            kept: dict[str, Any] = json.loads(text)
            if (answer := _answer(kept, fingerprint)) is not None:
                return answer
            if time.monotonic() < until:
                await asyncio.sleep(_LOOK_EVERY)
                continue
            stored = await self._stored(order, kept)
            if len(stored) == len(order.names):
                return await self._keep(key, fingerprint, _recovered(order, stored))
            if time.time() - kept["began"] < self._unsettled:
                raise errors.Unavailable(
                    "REQUEST_IN_PROGRESS", "This request is under way; ask again shortly"
                )
            began_in = kept.get("stream", self._log.identity)
            if began_in != self._log.identity:
                raise _unknown(request_id)
            # What is not stored now never will be. Of several that find this, one goes on; its
            # note keeps the places of before, from which what is stored can be found again.
            note, latest = self._note(fingerprint, began_in, kept)
            if await self._replace(keys=[key], args=[text, note]):
                order = dataclasses.replace(order, latest=latest)
                return await self._carry_out(order, key, note, fingerprint, stored)
        order = dataclasses.replace(order, latest=latest)
        return await self._carry_out(order, key, note, fingerprint, {})

    async def _carry_out(
        self, order: Order, key: str, note: str, fingerprint: str, stored: Mapping[Name, int]
    ) -> Sequence[Result]:
        """Carry out what is not stored of an order, and remember what became of all."""
        rest = [one for one in order.changes if one.name not in stored]
        made = False

        async def on_made(unchanged: Sequence[Name]) -> None:
            nonlocal made
            made = True
            await self._outcomes.unchanged(order.request, unchanged)

        try:
            answers = await self._syncing.sync(
                dataclasses.replace(order, changes=rest), on_made=on_made
            )
        except (errors.DomainError, TimeoutError):
            if not stored and not made:
                # Refused, so nothing happened: the same id may be tried again.
                await self._replace(keys=[key], args=[note, ""])
            raise
        new = iter(answers)
        old = iter(_recovered(order, stored))
        results = [next(old if one.name in stored else new) for one in order.changes]
        return await self._keep(key, fingerprint, results)

    async def _answered(self, key: str, fingerprint: str) -> list[Result] | None:
        text = await self._redis.client.get(key)
        return _answer(json.loads(text), fingerprint) if text is not None else None

    async def _state(self, order: Order) -> dict[str, dict[str, Any]]:
        """Return where the log of each document stands, and its epoch."""
        places, epochs = {}, {}
        for name in order.names:
            async with self._rooms.holding(name) as room:
                places[name.key], epochs[name.key] = room.history.sequence, room.epoch
        return {"places": places, "epochs": epochs}

    async def _stored(self, order: Order, note: Mapping[str, Any]) -> dict[Name, int]:
        """Look which documents have an order's edits, and at which revision at most.

        Raises:
            errors.NotFound: They are in one that was deleted since.
        """
        places, epochs = note["places"], note.get("epochs", {})
        found = set()
        for name in order.names:
            last = await self._log.last(name)
            after = places.get(name.key, 0)
            entries = await self._log.read(name, after, last, headers_only=True)
            # Of a large entry only the last part says that it is whole.
            if any(order.request in one.requests and one.part == one.parts - 1 for one in entries):
                found.add(name.key)
        # Looked up second: what was cut before the log was read was noted before that.
        found |= await self._outcomes.stored(order.request)
        revisions: dict[Name, int] = {}
        for name in order.names:
            if name.key in found:
                async with self._rooms.holding(name) as room:
                    if epochs.get(name.key, room.epoch) != room.epoch:
                        raise deleted(name)
                    revisions[name] = room.revision
        return revisions

    @staticmethod
    def _note(fingerprint: str, stream: str, state: Mapping[str, Any]) -> tuple[str, float]:
        """Return a note, and when at the latest its edits are made, by the monotonic clock."""
        note = {**state, "of": fingerprint, "began": time.time(), "stream": stream}
        return json.dumps(note), time.monotonic() + _PREPARE

    async def _keep(
        self, key: str, fingerprint: str, results: Sequence[Result]
    ) -> Sequence[Result]:
        facts = [dataclasses.asdict(one) for one in results]
        kept = json.dumps({"of": fingerprint, "results": facts})
        await self._redis.client.set(key, kept, ex=KEPT)
        return results


def _recovered(order: Order, stored: Mapping[Name, int]) -> list[Result]:
    """Return what is known of the edits that are stored: not where their text came to stand."""
    return [
        Result(one.name, stored[one.name], None, 0, rebased=False)
        for one in order.changes
        if one.name in stored
    ]


def _answer(kept: Mapping[str, Any], fingerprint: str) -> list[Result] | None:
    """Return the answer that a note keeps; None where there is none yet."""
    if kept["of"] != fingerprint:
        raise _reused()
    return [_result(one) for one in kept["results"]] if "results" in kept else None


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


def _unknown(request_id: str) -> errors.Aborted:
    return errors.Aborted(
        "OUTCOME_UNKNOWN",
        f"Whether request {request_id} happened is not known any more: the log that would tell was "
        "lost. Read the documents, and send what they lack under a new request_id",
        metadata={"request_id": request_id},
    )
