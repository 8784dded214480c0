"""Redis or Valkey: one server, or a cluster where the settings name one."""

import asyncio
import contextlib
from typing import Any, cast

import redis.asyncio as redis
from redis import exceptions
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from services.chassis import errors
from services.chassis.connectors import base
from services.chassis.settings import ServiceSettings

errors.unavailable_when(
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
    code="REDIS_UNAVAILABLE",
)


class Redis(base.Connector):
    """A pool of connections to Redis.

    Commands fail at once while it is down: a command is tried a second time
    only, which is what a pooled connection needs that broke unseen.
    """

    name = "redis"

    def __init__(self, settings: ServiceSettings) -> None:
        super().__init__(min(settings.dependency_timeout, base.PROBE_EVERY))
        self._warm = settings.redis_pool_min
        self._pool: redis.ConnectionPool | None = None
        self._client: redis.Redis | RedisCluster
        retry = Retry(ConstantBackoff(0.05), 1)
        if settings.redis_cluster_endpoint:
            self._client = RedisCluster.from_url(
                settings.redis_cluster_endpoint,
                decode_responses=True,
                max_connections=settings.redis_pool_max,
                socket_connect_timeout=settings.dependency_timeout,
                socket_timeout=settings.dependency_timeout,
                retry=retry,
            )
        else:
            # Blocking: a plain pool raises when it is full instead of waiting its turn.
            self._pool = redis.BlockingConnectionPool.from_url(
                settings.redis_url,
                decode_responses=True,
                max_connections=settings.redis_pool_max,
                timeout=settings.redis_pool_timeout,
                socket_connect_timeout=settings.dependency_timeout,
                socket_timeout=settings.dependency_timeout,
                client_name=settings.microservice_name,
                retry=retry,
            )
            self._client = redis.Redis(connection_pool=self._pool)

    @property
    def client(self) -> redis.Redis:
        """The client; replies are text. A cluster's takes the same commands."""
        return cast("redis.Redis", self._client)

    async def probe(self) -> None:
        """Ping, having opened the pool's minimum of connections at the first success."""
        if self._pool is None:
            # A node answers PING while its cluster is down; a key needs the cluster.
            await self.client.exists("probe")
        else:
            await self.client.ping()
        if self._warm and self._pool is not None:
            await self._open(self._pool, self._warm)
            self._warm = 0

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
        if self._pool is not None:
            await self._pool.disconnect()

    @staticmethod
    async def _open(pool: Any, count: int) -> None:
        async with contextlib.AsyncExitStack() as held:
            for connection in await asyncio.gather(*(pool.get_connection() for _ in range(count))):
                held.push_async_callback(pool.release, connection)
