"""Path info in Redis: ``path_info:<instance id>`` (specification, cachePathInfo).

The only module that knows its keys. Redis may be away at any time: then nothing is known, and
nothing can be put down, which is told and harms nobody.
"""

import asyncio
from collections.abc import Iterable
from typing import cast

from redis import exceptions

from services.chassis import connectors

_SECONDS = 1.0
"""Longest wait for Redis: to look again takes less."""

_FAULTS = (exceptions.RedisError, OSError, TimeoutError)


class Unreachable(Exception):  # noqa: N818 - it says what is so
    """Redis cannot be asked right now."""


class Store:
    """Answers kept for a while."""

    def __init__(self, *, redis: connectors.Redis) -> None:
        self._redis = redis

    async def get(self, instance_id: str) -> str | None:
        """Give what is kept; None where nothing is.

        Raises:
            Unreachable: Redis is away.
        """
        self._check()
        try:
            async with asyncio.timeout(_SECONDS):
                return cast("str | None", await self._redis.client.get(_key(instance_id)))
        except _FAULTS as error:
            raise Unreachable from error

    async def put(self, instance_id: str, text: str, seconds: int) -> None:
        """Keep something for so many seconds.

        Raises:
            Unreachable: Redis is away.
        """
        self._check()
        try:
            async with asyncio.timeout(_SECONDS):
                await self._redis.client.set(_key(instance_id), text, ex=seconds)
        except _FAULTS as error:
            raise Unreachable from error

    async def drop(self, instance_ids: Iterable[str]) -> None:
        """Forget what is kept of instances.

        Raises:
            Unreachable: Redis is away; what it has it may still have when it comes back.
        """
        self._check()
        try:
            async with asyncio.timeout(_SECONDS):
                # One by one: in a cluster each may lie on another node.
                for instance_id in instance_ids:
                    await self._redis.client.unlink(_key(instance_id))
        except _FAULTS as error:
            raise Unreachable from error

    def _check(self) -> None:
        if not self._redis.ready:
            raise Unreachable


def _key(instance_id: str) -> str:
    return f"path_info:{instance_id}"
