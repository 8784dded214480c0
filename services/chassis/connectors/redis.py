"""Redis or Valkey: one server, or a cluster where the settings name one."""

import asyncio
import contextlib
from typing import Any, cast

import redis.asyncio as redis
from redis import exceptions
from redis.asyncio.cluster import ClusterPipeline, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from services.chassis import cancellation, errors
from services.chassis.connectors import base, redis_pool
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
errors.unavailable_when(
    exceptions.OutOfMemoryError,
    code="REDIS_FULL",
    message="Redis has no memory left and takes no writes; try again later",
)
errors.unavailable_when(
    redis_pool.PoolFullError,
    code="REDIS_POOL_EXHAUSTED",
    message="Every connection to Redis is in use and none came free in time; try again shortly",
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
        self._pool: redis_pool.Pool | None = None
        self._reaper: asyncio.Task[None] | None = None
        self._client: redis.Redis | RedisCluster
        retry = Retry(ConstantBackoff(settings.redis_pool_create_retry_interval), 1)
        if settings.redis_cluster_endpoint:
            cluster: _Cluster = cast("Any", _Cluster).from_url(
                settings.redis_cluster_endpoint,
                decode_responses=True,
                max_connections=settings.redis_pool_max,
                socket_connect_timeout=settings.dependency_timeout,
                socket_timeout=settings.dependency_timeout,
                retry=retry,
            )
            cluster.turns = redis_pool.Turns(
                most=settings.redis_pool_max, seconds=settings.redis_pool_timeout
            )
            self._client = cluster
        else:
            # Blocking: a plain pool raises when it is full instead of waiting its turn.
            self._pool = redis_pool.Pool.from_url(
                settings.redis_url,
                times=redis_pool.Times(
                    acquire=settings.redis_pool_timeout,
                    create=settings.redis_pool_create_timeout,
                    destroy=settings.redis_pool_destroy_timeout,
                    idle=settings.redis_pool_idle_timeout,
                    reap=settings.redis_pool_reap_interval,
                ),
                least=settings.redis_pool_min,
                decode_responses=True,
                max_connections=settings.redis_pool_max,
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

    async def start(self) -> None:
        """Begin connecting in the background, and closing what nobody uses."""
        await super().start()
        if self._pool is not None and self._reaper is None:
            self._reaper = asyncio.create_task(self._pool.reap(), name="reap redis connections")

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
        if self._reaper is not None:
            await cancellation.cancel([self._reaper], grace=self._timeout)
            self._reaper = None
        await self._client.aclose()
        if self._pool is not None:
            await self._pool.close()

    @staticmethod
    async def _open(pool: Any, count: int) -> None:
        async with contextlib.AsyncExitStack() as held:
            for connection in await asyncio.gather(*(pool.get_connection() for _ in range(count))):
                held.push_async_callback(pool.release, connection)


class _Cluster(RedisCluster):
    """A cluster whose callers wait for a connection, as those of a pool do."""

    turns: redis_pool.Turns

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        async with self.turns.one():
            return await super().execute_command(*arguments, **options)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        """Give a pipeline that waits for its turn, too."""
        del shard_hint  # there is no such thing in a cluster
        made: ClusterPipeline = cast("Any", _Pipeline)(self, transaction)
        return made


class _Pipeline(ClusterPipeline):
    async def execute(self, *arguments: Any, **options: Any) -> list[Any]:
        client = cast("_Cluster", self.cluster_client)
        async with client.turns.one():
            found: list[Any] = await super().execute(*arguments, **options)
            return found
