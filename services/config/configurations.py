"""Reading and changing settings.

A change is computed from the newest revision in the record and committed as the next one, which
fails if somebody else was faster; then it is computed anew. Everything after the commit (memory,
the copy in Redis, the announcement) only makes it known sooner: killed in between, the comparison
with the record does the rest.
"""

import asyncio
import dataclasses
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from prometheus_client import Counter

from services.chassis import connectors, errors
from services.chassis.errors import Violation
from services.chassis.validation import Violations
from services.config import changes, times
from services.config.announcements import Announcements
from services.config.schema import Schema, Values
from services.config.sections import SCHEMAS
from services.config.state import Revision, State, merge, nothing
from services.config.store import Mirror, Revisions, Taken
from services.config.view import View

_log = structlog.get_logger(__name__)

REVISIONS = Counter("codestudio_config_revisions", "Revisions made here.", ("service",))

_ATTEMPTS = 20
_FIRST_PAUSE = 0.005
_LAST_PAUSE = 0.2

Draft = Callable[[Revision, State], tuple[Values, list[Violation]]]
"""Gives everything that is to be set while running, and what is wrong with it."""


class Configurations:
    """The settings of every service, as callers use them."""

    def __init__(
        self,
        *,
        view: View,
        record: Revisions,
        mirror: Mirror,
        announcements: Announcements,
        mongo: connectors.Mongo,
    ) -> None:
        self._view = view
        self._record = record
        self._mirror = mirror
        self._announcements = announcements
        self._mongo = mongo

    async def get(self, service: str) -> State:
        """Read the settings in force; while MongoDB is down, those last known.

        Raises:
            errors.Unavailable: MongoDB is down and nothing is known yet.
            errors.FailedPrecondition: The base does not go with what was set while running
                (BASE_CONFLICT); says where.
        """
        known = await self.known(service)
        if wrong := self._view.conflict(service):
            raise _base_conflict(service, wrong)
        return known

    async def known(self, service: str) -> State:
        """Read the settings, also where they are in conflict: to mend them."""
        if self._mongo.ready:
            try:
                return await self._view.refresh(service)
            except Exception as error:
                if not isinstance(errors.from_exception(error), errors.Unavailable):
                    raise
        known = await self._view.recall(service)
        if known is None:
            raise errors.Unavailable(
                "MONGODB_UNAVAILABLE", "Mongodb cannot be reached right now; try again shortly"
            )
        return known

    def base(self, service: str) -> State:
        """Give the settings where nothing was set while running."""
        return merge(SCHEMAS[service], self._view.base, {})

    async def at(self, service: str, number: int) -> State:
        """Read the settings with what was set at a revision, on the base of now.

        Raises:
            errors.NotFound: There is no such revision (REVISION_NOT_FOUND).
        """
        await self.known(service)
        revision = await self._revision(service, number)
        return merge(SCHEMAS[service], self._view.base, {**self._view.revisions, service: revision})

    async def update(
        self, service: str, asked: Values, *, etag: str = "", reason: str = "", author: str
    ) -> State:
        """Change settings by path, `changes.UNSET` for back to the base: all or none.

        Nothing is recorded where nothing changes.

        Raises:
            errors.InvalidArgument: Something is wrong with them; violations by path of setting.
            errors.Aborted: They changed since the etag (ETAG_MISMATCH), or too many others
                change them too (CONFIG_CONTENTION).
        """
        schema = SCHEMAS[service]

        def draft(newest: Revision, state: State) -> tuple[Values, list[Violation]]:
            taken, wrong = changes.check(schema, state, asked)
            return changes.apply(newest.values, taken), wrong

        return await self._change(schema, draft, etag=etag, reason=reason, author=author)

    async def roll_back(
        self, service: str, number: int, *, etag: str = "", reason: str = "", author: str
    ) -> State:
        """Set exactly what was set at a revision; 0 for nothing, so the base.

        Raises:
            errors.NotFound: There is no such revision (REVISION_NOT_FOUND).
            errors.InvalidArgument: This release does not accept something of it any more.
            errors.Aborted: As `update`.
        """
        schema = SCHEMAS[service]
        old = await self._revision(service, number)

        def draft(_newest: Revision, _state: State) -> tuple[Values, list[Violation]]:
            return old.values, changes.still_wrong(schema, old)

        return await self._change(
            schema, draft, etag=etag, reason=reason, author=author, rollback_of=number
        )

    async def validate(self, service: str, values: Mapping[str, Any]) -> list[Violation]:
        """Find everything wrong with nested values on top of those in force."""
        schema = SCHEMAS[service]
        state = await self.known(service)
        newest = self._view.revisions.get(service, nothing(service))
        asked, wrong = schema.flatten(values)
        taken, more = changes.check(schema, state, asked)
        fresh = Revision(
            service=service, number=0, values=changes.apply(newest.values, {**asked, **taken})
        )
        between = changes.between(self._view.base, schema, fresh)
        return sorted([*wrong, *more, *between], key=lambda one: one.field)

    async def history(self, service: str, before: int, count: int) -> list[Revision]:
        """Read up to `count` revisions below a number (0 for all), newest first."""
        return await self._record.before(service, before, count)

    async def _revision(self, service: str, number: int) -> Revision:
        if number == 0:
            return nothing(service)
        found = await self._record.get(service, number)
        if found is None:
            raise errors.NotFound(
                "REVISION_NOT_FOUND",
                f"{service} has no revision {number}",
                metadata={"service": service, "revision": str(number)},
            )
        return found

    async def _change(
        self,
        schema: Schema,
        draft: Draft,
        *,
        etag: str,
        reason: str,
        author: str,
        rollback_of: int | None = None,
    ) -> State:
        service, pause = schema.service, _FIRST_PAUSE
        for _ in range(_ATTEMPTS):
            state = await self._view.refresh(service)
            newest = self._view.revisions[service]
            if etag and etag != state.etag:
                raise _etag_mismatch(service)
            values, wrong = draft(newest, state)
            made = Revision(
                service=service,
                number=newest.number + 1,
                values=values,
                author=author,
                reason=reason,
                # Later than the one before also where this clock is behind.
                at=max(times.now(), newest.at + 1),
                rollback_of=rollback_of,
            )
            wrong += changes.between(self._view.base, schema, made)
            refuse(wrong, "configuration.values." if rollback_of is None else "")
            if values == newest.values:
                return state
            after = merge(schema, self._view.base, {**self._view.revisions, service: made})
            made = dataclasses.replace(
                made, changes=changes.difference(newest, values, state, after)
            )
            try:
                await self._record.commit(made)
            except Taken:
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause = min(_LAST_PAUSE, pause * 2)
                continue
            await self._make_known(made)
            return after
        raise errors.Aborted(
            "CONFIG_CONTENTION",
            f"Too many others change the settings of {service} right now; try again",
            metadata={"service": service},
        )

    async def _make_known(self, made: Revision) -> None:
        self._view.note(made)
        REVISIONS.labels(made.service).inc()
        _log.info(
            "configuration changed",
            of=made.service,
            revision=made.number,
            author=made.author,
            changed=[one.path for one in made.changes],
        )
        try:
            await self._mirror.write(made)
        except Exception as error:  # noqa: BLE001 - it is committed, whatever becomes of its copy
            _log.warning("copy in Redis waits", of=made.service, why=repr(error))
        await self._announcements.tell(made)


def refuse(wrong: Iterable[Violation], prefix: str) -> None:
    """Raise where something is wrong, telling all of it by its path in the request.

    Raises:
        errors.InvalidArgument: INVALID_ARGUMENT.
    """
    found = Violations()
    for one in sorted(wrong, key=lambda violation: violation.field):
        found.add(prefix + one.field, one.description)
    found.check()


def _base_conflict(service: str, wrong: Sequence[Violation]) -> errors.FailedPrecondition:
    told = "; ".join(f"{one.field}: {one.description}" for one in wrong)
    return errors.FailedPrecondition(
        "BASE_CONFLICT",
        f"What was set of {service} while running is not accepted, or not with these base "
        f"documents: {told}. Change one of the two",
        metadata={"service": service},
        violations=wrong,
    )


def _etag_mismatch(service: str) -> errors.Aborted:
    return errors.Aborted(
        "ETAG_MISMATCH",
        f"The settings of {service} changed since this etag; read them again",
        metadata={"service": service},
    )
