"""A lease in Redis: at most one holder at a time, gone by itself when its holder dies.

A lease can be lost while its holder believes in it (a long pause, a Redis that
lost data). It saves work; what must never happen twice needs a fence as well,
such as a conditional write on the record's version.
"""

import asyncio
import contextlib
import uuid
from types import TracebackType
from typing import Any, Self, cast

import redis.asyncio as redis
from redis import exceptions

from services.chassis import cancellation, errors

_RENEW = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('pexpire', KEYS[1], ARGV[2])"
_RELEASE = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1])"


class Lease:
    """A lease on one key.

    As a context manager it is taken at once or not at all, renewed while the
    body runs, and given back at its end.
    """

    def __init__(self, redis_client: redis.Redis, key: str, ttl: float) -> None:
        """Describe the lease.

        Args:
            redis_client: A connector's `client`.
            key: Where it is kept, such as ``lease:instance:<id>``.
            ttl: Seconds until it ends by itself; renewed every third of that.

        """
        self._redis = redis_client
        self._key = key
        self._ttl = ttl
        self._owner = ""
        self._renewer: asyncio.Task[None] | None = None
        self.lost = asyncio.Event()
        """Set when somebody else may hold it now; long work should stop then."""

    @property
    def held(self) -> bool:
        """Whether it was taken and not given back or lost since."""
        return bool(self._owner) and not self.lost.is_set()

    async def try_acquire(self) -> bool:
        """Take the lease if it is free; whether that worked."""
        owner = str(uuid.uuid4())
        if not await self._redis.set(self._key, owner, nx=True, px=self._milliseconds):
            return False
        self._owner = owner
        self.lost.clear()
        return True

    async def renew(self) -> bool:
        """Hold it for another ttl; False where it is lost."""
        if not self._owner:
            return False
        renewed = bool(await self._run(_RENEW, self._owner, str(self._milliseconds)))
        if not renewed:
            self.lost.set()
        return renewed

    async def release(self) -> None:
        """Give it back; does nothing where it is not ours any more."""
        owner, self._owner = self._owner, ""
        if owner:
            await self._run(_RELEASE, owner)

    async def __aenter__(self) -> Self:
        """Take it and keep it.

        Raises:
            errors.Aborted: Somebody else holds it (LEASE_HELD).

        """
        if not await self.try_acquire():
            raise errors.Aborted("LEASE_HELD", f"{self._key} is held by somebody else")
        self._renewer = asyncio.create_task(self._keep(), name=f"renew {self._key}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._renewer is not None:
            await cancellation.cancel([self._renewer], grace=self._ttl)
            self._renewer = None
        # Without Redis it cannot be given back, and ends by itself.
        with contextlib.suppress(exceptions.RedisError):
            await self.release()

    @property
    def _milliseconds(self) -> int:
        return max(1, int(self._ttl * 1000))

    async def _run(self, script: str, *arguments: str) -> Any:
        return await cast("Any", self._redis.eval(script, 1, self._key, *arguments))

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._ttl
        while True:
            await asyncio.sleep(self._ttl / 3)
            asked = loop.time()
            try:
                if not await self.renew():
                    return
            except exceptions.RedisError:
                if loop.time() >= until:
                    self.lost.set()
                    return
            else:
                until = asked + self._ttl
