"""Keeps what is in force true: to the record, to the copy in Redis, and to the base's sources."""

import asyncio
import os
import random
from collections.abc import Collection, Mapping
from pathlib import Path

import structlog
from prometheus_client import Counter

from services.chassis import connectors, errors
from services.config import base, changes, documents
from services.config.announcements import Announcements
from services.config.sections import SCHEMAS
from services.config.state import nothing
from services.config.view import View

_log = structlog.get_logger(__name__)

BASES = Counter(
    "codestudio_config_base_reads", "New base documents: applied or rejected.", ("outcome",)
)


class Sources:
    """The files and variables the base is made of."""

    def __init__(
        self,
        *,
        directory: Path,
        secrets: Path,
        ports: Mapping[str, int],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Name them.

        Args:
            directory: Holds the documents.
            secrets: Holds the secrets; their names are read, never what is in them.
            ports: Ports of services that are not where the documents say.
            environment: The variables.
        """
        self._directory = directory
        self._secrets = secrets
        self._ports = ports
        self._environment = dict(environment)

    def read(self) -> base.Base:
        """Read them all.

        Raises:
            base.BaseError: There are no documents, or something in them is wrong.
        """
        texts = {}
        try:
            present = {file.name for file in self._directory.iterdir()}
            for name in documents.NAMES:
                if name in present:
                    texts[name] = (self._directory / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            wrong = errors.Violation(str(self._directory), f"cannot be read: {error}")
            raise base.BaseError([wrong]) from error
        return base.build(texts, self._environment, ports=self._ports, secrets=self._names())

    def _names(self) -> Collection[str]:
        try:
            return frozenset(file.name for file in self._secrets.iterdir())
        except OSError:
            return frozenset()


class Keeper:
    """The background work."""

    def __init__(
        self,
        *,
        view: View,
        sources: Sources,
        announcements: Announcements,
        mongo: connectors.Mongo,
        reread_seconds: float,
        resync_seconds: float,
    ) -> None:
        self._view = view
        self._sources = sources
        self._announcements = announcements
        self._mongo = mongo
        self._reread = reread_seconds
        self._resync = resync_seconds
        self._wanted: set[str] = set()
        self._wake = asyncio.Event()
        self._failing: dict[str, str] = {}
        """Why a service could not be compared the last time."""

    async def listen(self) -> None:
        """Look at once at what another replica has changed, for ever."""
        await self._announcements.listen(self._want)

    async def resync(self) -> None:
        """Compare everything now and then, and at once what is wanted, for ever."""
        await self._mongo.wait_ready()
        while True:
            # Everything the first time, and whenever nobody wanted anything for a while.
            for service in sorted(self._take() or SCHEMAS):
                await self._try(service)
            if not self._wanted:
                await self._pause()

    async def reread(self) -> None:
        """Look at the base's sources now and then, for ever."""
        refused = ""
        while True:
            await asyncio.sleep(self._reread * random.uniform(0.9, 1))  # noqa: S311 - jitter
            try:
                fresh = await asyncio.to_thread(self._sources.read)
                if not self._knows_all:
                    # Whether it goes with what was set while running cannot be told yet.
                    continue
                self._check(fresh)
            except base.BaseError as error:
                # Told once, and again when it is another mistake.
                if str(error) != refused:
                    refused = str(error)
                    BASES.labels("rejected").inc()
                    _log.error("base documents rejected", why=refused)
                continue
            refused = ""
            if fresh.digest != self._view.base.digest:
                BASES.labels("applied").inc()
                _log.info("base documents changed")
                self._view.rebase(fresh)

    @property
    def _knows_all(self) -> bool:
        return SCHEMAS.keys() <= self._view.revisions.keys()

    def _check(self, fresh: base.Base) -> None:
        """Refuse a base that what was set while running does not go with.

        Raises:
            base.BaseError: Says all that is wrong between them.
        """
        newest = self._view.revisions
        wrong = [
            errors.Violation(f"{service}: {one.field}", one.description)
            for service, schema in SCHEMAS.items()
            for one in changes.between(fresh, schema, newest.get(service) or nothing(service))
        ]
        if wrong:
            raise base.BaseError(wrong)

    def _want(self, service: str) -> None:
        self._wanted.add(service)
        self._wake.set()

    def _take(self) -> set[str]:
        wanted, self._wanted = self._wanted, set()
        self._wake.clear()
        return wanted

    async def _pause(self) -> None:
        seconds = self._resync * random.uniform(0.9, 1)  # noqa: S311 - jitter
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _try(self, service: str) -> None:
        """Compare one; what cannot be compared or written now is tried again next time."""
        try:
            await self._view.resync(service)
        except Exception as error:  # noqa: BLE001 - the others are compared all the same
            # Told once, and again when it is something else.
            why = repr(error)
            if self._failing.get(service) != why:
                self._failing[service] = why
                _log.warning("not compared with the record", of=service, why=why)
        else:
            self._failing.pop(service, None)
