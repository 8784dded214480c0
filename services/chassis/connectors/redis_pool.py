"""The pool of connections to Redis, as the specification names its sizes and times.

The library's own pool waits for a free connection; what it lacks is here: an error that says
that the pool was full, an end to making and closing a connection, and the closing of what was
long not used.
"""

import asyncio
import contextlib
import dataclasses
import time
import weakref
from collections.abc import AsyncIterator
from typing import Any

import redis.asyncio as redis
import structlog
from redis import exceptions

from services.chassis.connectors import pool_metrics

_log = structlog.get_logger(__name__)

NAME = "redis"
"""The pool's name in metrics."""


class PoolFullError(exceptions.ConnectionError):
    """No connection came free in time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Times:
    """How long things of a pool may take, in seconds (specification, connection pools)."""

    acquire: float
    """Wait for a free connection (acquireTimeoutMillis)."""
    create: float
    """Make a connection, its second attempt included (createTimeoutMillis)."""
    destroy: float
    """Close a connection (destroyTimeoutMillis)."""
    idle: float
    """Keep a connection that nobody uses (idleTimeoutMillis)."""
    reap: float
    """Between two looks for such connections (reapIntervalMillis)."""


class Pool(redis.BlockingConnectionPool):
    """Connections to one server; made with `from_url`."""

    def __init__(self, *, times: Times, least: int, **options: Any) -> None:
        """Prepare.

        Args:
            times: How long things may take.
            least: Connections that are kept however long they are not used.
            options: The library's own.
        """
        super().__init__(timeout=times.acquire, **options)
        self._times = times
        self._least = least
        self._unused_since: dict[Any, float] = {}
        self._made: weakref.WeakSet[Any] = weakref.WeakSet()
        """Connections that were made just now, for who gets them."""
        self.watched = pool_metrics.Pool(NAME, most=self.max_connections)
        self.watched.follow(
            in_use=lambda: len(self._in_use_connections), idle=lambda: self._open_and_free
        )

    @property
    def _open_and_free(self) -> int:
        return sum(one.is_connected for one in self._available_connections)

    async def get_connection(self, *_: Any, **__: Any) -> Any:
        """Give a connection, waiting for one to come free.

        Raises:
            PoolFullError: None did in time.
            redis.RedisError: It could not be made.
        """
        waits = not self.can_get_connection()
        if waits:
            self.watched.waits.inc()
        try:
            connection = await super().get_connection()  # type: ignore[no-untyped-call]
        except exceptions.ConnectionError as error:
            # The library has no class of its own for this, but nothing else it raises here
            # comes of running out of time.
            if not isinstance(error.__cause__, asyncio.TimeoutError):
                self.watched.failed()
                raise
            self.watched.timed_out()
            raise _full(self.max_connections, self._times.acquire) from error
        except exceptions.RedisError:
            self.watched.failed()
            raise
        self.watched.got(at_once=not waits and connection not in self._made)
        self._made.discard(connection)
        return connection

    async def ensure_connection(self, connection: Any) -> None:
        """Connect where need be, in the time there is for it."""
        is_new = not connection.is_connected
        try:
            async with asyncio.timeout(self._times.create):
                await super().ensure_connection(connection)
        except TimeoutError as error:
            raise exceptions.TimeoutError(
                f"no connection to Redis could be made in {self._times.create:g} s"
            ) from error
        if is_new:
            self._made.add(connection)

    async def release(self, connection: Any) -> None:
        """Take a connection back."""
        self._unused_since[connection] = time.monotonic()
        await super().release(connection)

    async def reap(self) -> None:
        """Close for ever what was long not used, down to the fewest there have to be."""
        while True:
            await asyncio.sleep(self._times.reap)
            for connection in self._too_old():
                await self._destroy(connection)

    async def close(self) -> None:
        """Close every connection."""
        for connection in (*self._available_connections, *self._in_use_connections):
            await self._destroy(connection)
        self._unused_since.clear()

    def _too_old(self) -> list[Any]:
        """Take out of the pool what is to be closed; the one used last is given out first."""
        limit = time.monotonic() - self._times.idle
        found: list[Any] = []
        while (
            self._available_connections
            and len(self._available_connections) + len(self._in_use_connections) > self._least
            and self._unused_since.get(self._available_connections[0], limit) <= limit
        ):
            connection = self._available_connections.pop(0)
            self._unused_since.pop(connection, None)
            found.append(connection)
        return found

    async def _destroy(self, connection: Any) -> None:
        try:
            async with asyncio.timeout(self._times.destroy):
                await connection.disconnect()
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            _log.info("connection not closed", why=str(error) or type(error).__name__)


class Turns:
    """Takes turns for the connections of a cluster, whose pools raise when they are full."""

    def __init__(self, *, most: int, seconds: float) -> None:
        """Let `most` have a turn at once, and wait for one `seconds` at most."""
        self._free = asyncio.Semaphore(most)
        self._most = most
        self._seconds = seconds
        self._in_use = 0
        self.watched = pool_metrics.Pool(NAME, most=most)
        self.watched.follow(in_use=lambda: self._in_use, idle=lambda: 0)

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Have a turn.

        Raises:
            PoolFullError: None came in time.
        """
        waits = self._free.locked()
        if waits:
            self.watched.waits.inc()
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            self.watched.timed_out()
            raise _full(self._most, self._seconds) from None
        # The library makes the connections of a cluster where nobody sees it.
        self.watched.got(at_once=not waits)
        self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1
            self._free.release()


def _full(most: int, seconds: float) -> PoolFullError:
    return PoolFullError(
        f"all {most} connections to Redis are in use, and none came free in {seconds:g} s"
    )
