"""MongoDB, or what speaks its wire protocol. The only module that knows motor.

Motor has reached its end of life; callers keep to what PyMongo's own asyncio
API has too, so that a change of library stays here.
"""

from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import errors as mongo_errors

from services.chassis import errors
from services.chassis.connectors import base
from services.chassis.settings import ServiceSettings

DEFAULT_DATABASE = "codestudio"

errors.unavailable_when(
    mongo_errors.ConnectionFailure,
    mongo_errors.WaitQueueTimeoutError,
    mongo_errors.ExecutionTimeout,
    code="MONGODB_UNAVAILABLE",
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
