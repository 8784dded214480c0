"""MongoDB, or what speaks its wire protocol. The only module that knows motor.

Motor has reached its end of life; callers keep to what PyMongo's own asyncio
API has too, so that a change of library stays here.
"""

import os
import threading
from typing import Any

# Read by motor when it is imported: the threads on which calls run, made when they are needed.
# By its own default there are five a core, and calls would wait for a thread, for ever, instead
# of for a connection of the pool.
os.environ.setdefault("MOTOR_MAX_WORKERS", "200")

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import errors as mongo_errors
from pymongo import monitoring

from services.chassis import errors
from services.chassis.connectors import base, pool_metrics
from services.chassis.settings import ServiceSettings

DEFAULT_DATABASE = "codestudio"

errors.unavailable_when(
    mongo_errors.ConnectionFailure,
    mongo_errors.ExecutionTimeout,
    code="MONGODB_UNAVAILABLE",
)
errors.unavailable_when(
    mongo_errors.WaitQueueTimeoutError,
    code="MONGODB_POOL_EXHAUSTED",
    message="Every connection to MongoDB is in use and none came free in time; try again shortly",
)


class Mongo(base.Connector):
    """A database of MongoDB, on a pool of connections."""

    name = "mongodb"

    def __init__(self, settings: ServiceSettings) -> None:
        super().__init__(min(settings.dependency_timeout, base.PROBE_EVERY))
        milliseconds = int(settings.dependency_timeout * 1000)
        self._motor: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
            settings.mongodb_url,
            appname=settings.microservice_name,
            tz_aware=True,
            event_listeners=[_Watcher(settings.mongodb_pool_max)],
            maxPoolSize=settings.mongodb_pool_max,
            minPoolSize=settings.mongodb_pool_min,
            maxIdleTimeMS=int(settings.mongodb_max_idle * 1000),
            waitQueueTimeoutMS=int(settings.mongodb_pool_timeout * 1000),
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
            # How long a call waits for a server to come back: the difference between
            # failing fast and holding every caller while it is down.
            serverSelectionTimeoutMS=min(milliseconds, 2000),
        )
        self._database = self._motor.get_default_database(DEFAULT_DATABASE)

    @property
    def client(self) -> AsyncIOMotorDatabase[dict[str, Any]]:
        """The database named in the settings; times it gives are aware, in UTC."""
        return self._database

    async def probe(self) -> None:
        """Ping."""
        await self._database.command("ping")

    async def close(self) -> None:
        """Close every connection."""
        self._motor.close()


class _Watcher(monitoring.ConnectionPoolListener):
    """Counts what the pool does; called on whatever thread it does it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._watched = pool_metrics.Pool("mongodb", most=most)
        self._lock = threading.Lock()
        self._asking = threading.local()
        """Of each thread: whether a connection was there when it asked for one."""
        self._open = 0
        self._in_use = 0
        self._watched.follow(
            in_use=lambda: self._in_use, idle=lambda: max(0, self._open - self._in_use)
        )

    def _count(self, *, opened: int = 0, taken: int = 0) -> None:
        with self._lock:
            self._open += opened
            self._in_use += taken

    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        self._count(opened=1)
        # Made by the thread that asked for it, where it was not made ahead of use.
        self._asking.at_once = False

    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        self._count(opened=-1)

    def connection_check_out_started(
        self, event: monitoring.ConnectionCheckOutStartedEvent
    ) -> None:
        self._asking.at_once = self._open > self._in_use
        if self._in_use >= self._most:
            self._watched.waits.inc()

    def connection_checked_out(self, event: monitoring.ConnectionCheckedOutEvent) -> None:
        self._count(taken=1)
        self._watched.got(at_once=self._asking.at_once)

    def connection_checked_in(self, event: monitoring.ConnectionCheckedInEvent) -> None:
        self._count(taken=-1)

    def connection_check_out_failed(self, event: monitoring.ConnectionCheckOutFailedEvent) -> None:
        if event.reason == monitoring.ConnectionCheckOutFailedReason.TIMEOUT:
            self._watched.timed_out()
        else:
            self._watched.failed()

    def connection_ready(self, event: monitoring.ConnectionReadyEvent) -> None: ...

    def pool_created(self, event: monitoring.PoolCreatedEvent) -> None: ...

    def pool_ready(self, event: monitoring.PoolReadyEvent) -> None: ...

    def pool_cleared(self, event: monitoring.PoolClearedEvent) -> None: ...

    def pool_closed(self, event: monitoring.PoolClosedEvent) -> None: ...
