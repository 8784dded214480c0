"""What is in force, in memory: the newest revision of each service on the base.

Kept true by whoever learns of a revision: the update that makes one, the announcement of another
replica's, and a comparison with the record now and then. Watches wait here.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import structlog
from prometheus_client import Counter, Gauge

from services.chassis.errors import Violation
from services.config import changes
from services.config.base import Base
from services.config.schema import Schema
from services.config.sections import SCHEMAS
from services.config.state import Revision, State, merge, nothing
from services.config.store import Mirror, Revisions

_log = structlog.get_logger(__name__)

NEWEST = Gauge("codestudio_config_newest_revision", "Newest revision known here.", ("service",))
REPAIRS = Counter(
    "codestudio_config_repairs", "Copies in Redis that were written again.", ("service",)
)


class View:
    """The settings of every service."""

    def __init__(self, *, base: Base, record: Revisions, mirror: Mirror) -> None:
        self._base = base
        self._record = record
        self._mirror = mirror
        self._revisions: dict[str, Revision] = {}
        self._states: dict[str, State] = {}
        self._conflicts: dict[str, tuple[Violation, ...]] = {}
        self._changed = asyncio.Event()

    @property
    def base(self) -> Base:
        """The base that is in force."""
        return self._base

    @property
    def revisions(self) -> Mapping[str, Revision]:
        """The newest revisions known, by service."""
        return self._revisions

    def waiter(self) -> asyncio.Event:
        """Give what is set at the next change of anything."""
        return self._changed

    def state(self, service: str) -> State | None:
        """Give the settings of a service; None while the record was never read, or in conflict."""
        return None if self._conflicts.get(service) else self._states.get(service)

    def conflict(self, service: str) -> Sequence[Violation]:
        """Tell what of the base does not go with what was set while running, by path.

        Only the base of the start can be so: it is read before the record is. Nobody is told
        settings that are in conflict; every service would refuse them.
        """
        return self._conflicts.get(service, ())

    def note(self, revision: Revision) -> None:
        """Learn of a revision; an older one than is known changes nothing."""
        known = self._revisions.get(revision.service)
        if known is None or revision.number > known.number:
            self._set(revision)

    def rebase(self, base: Base) -> None:
        """Put the settings on another base."""
        if base.digest != self._base.digest:
            self._base = base
            self._merge(SCHEMAS.values())

    async def refresh(self, service: str) -> State:
        """Read the newest revision of a service, and of those it follows, from the record.

        Gives the settings also where they are in conflict.

        Raises:
            Exception: What the database's library raises when it is down.
        """
        for name in (service, *SCHEMAS[service].followed):
            await self._read(name)
        return self._states[service]

    async def recall(self, service: str) -> State | None:
        """Give what is known without the record: from memory, else from Redis."""
        for name in (service, *SCHEMAS[service].followed):
            if name not in self._revisions:
                copy = await self._mirror.read(name)
                if copy is not None:
                    self.note(copy)
        return self._states.get(service)

    async def resync(self, service: str) -> None:
        """Compare memory and Redis with the record, and make them what it says."""
        newest = await self._read(service)
        if await self._mirror.is_copy_of(newest):
            return
        there = await self._mirror.read(service)
        newest = await self._read(service)
        # A revision is in the record before its copy is written. So a copy that is newer than
        # what the record says afterwards is of a record that was lost.
        lost = there if there is not None and there.number > newest.number else None
        written = await self._mirror.write(newest, instead_of=lost)
        # The first copy of what was never changed mends nothing.
        if written and (newest.number or there is not None):
            REPAIRS.labels(service).inc()
            _log.warning(
                "copy in Redis written again",
                of=service,
                revision=newest.number,
                was=there.number if there else None,
            )

    async def _read(self, service: str) -> Revision:
        before = self._revisions.get(service)
        newest = await self._record.newest(service) or nothing(service)
        known = self._revisions.get(service)
        # An older one counts only if nobody learnt of a newer one while it was read: then the
        # record itself went back.
        if known is None or newest.number > known.number or (known is before and newest != known):
            self._set(newest)
        return newest

    def _set(self, revision: Revision) -> None:
        self._revisions[revision.service] = revision
        NEWEST.labels(revision.service).set(revision.number)
        self._merge(
            schema
            for schema in SCHEMAS.values()
            if revision.service in (schema.service, *schema.followed)
        )

    def _merge(self, schemas: Iterable[Schema]) -> None:
        changed = False
        for schema in schemas:
            if any(one not in self._revisions for one in (schema.service, *schema.followed)):
                continue
            before = self.state(schema.service)
            self._states[schema.service] = merge(schema, self._base, self._revisions)
            self._conflicts[schema.service] = tuple(
                violation
                for name in (schema.service, *sorted(schema.followed))
                for violation in changes.between(self._base, SCHEMAS[name], self._revisions[name])
            )
            changed |= self.state(schema.service) != before
        if changed:
            self._changed.set()
            self._changed = asyncio.Event()
