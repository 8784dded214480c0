"""The newest state of each instance in Redis, as the specification has it.

``instance_state:<id>`` holds an instance in JSON for a minute from its last change. It is for
whoever has Redis at hand and no database, and it is what `GetInstanceStatus` answers from while
MongoDB is away: clients that wait for an instance to start ask exactly when it has changed.
"""

import json
from typing import Any, cast

import structlog
from codestudio.instance.v1 import instance_pb2
from google.protobuf import json_format
from redis import exceptions as redis_errors

from services.chassis import connectors, metrics

_log = structlog.get_logger(__name__)

SECONDS = 60
"""How long a state stays (specification, cacheInstanceState)."""

_CACHE = "instance_state"


class States:
    """Shows states and reads them."""

    def __init__(self, *, redis: connectors.Redis) -> None:
        self._redis = redis

    async def show(self, message: instance_pb2.Instance) -> None:
        """Put the newest state where others look for it, if Redis can be reached."""
        shown = json_format.MessageToDict(message, preserving_proto_field_name=True)
        # It may hold secrets, and whoever wants the state does not need it.
        shown.pop("environment", None)
        try:
            await self._redis.client.set(_key(message.id), json.dumps(shown), ex=SECONDS)
        except redis_errors.RedisError:
            _log.debug("state is not shown", instance_id=message.id)

    async def hide(self, instance_id: str) -> None:
        """Take away the state of an instance that is gone, if Redis can be reached."""
        try:
            await self._redis.client.delete(_key(instance_id))
        except redis_errors.RedisError:
            _log.debug("state is not hidden", instance_id=instance_id)

    async def read(self, instance_id: str) -> instance_pb2.Instance | None:
        """Give the state an instance was last in, without its environment; None if unknown."""
        try:
            text = await cast("Any", self._redis.client.get(_key(instance_id)))
            found = (
                json_format.Parse(text, instance_pb2.Instance(), ignore_unknown_fields=True)
                if text
                else None
            )
        except (redis_errors.RedisError, json_format.ParseError) as error:
            metrics.CACHE_REQUESTS.labels(_CACHE, "error").inc()
            _log.info("state unreadable", instance_id=instance_id, why=str(error))
            return None
        metrics.CACHE_REQUESTS.labels(_CACHE, "hit" if found is not None else "miss").inc()
        return found


def _key(instance_id: str) -> str:
    return f"instance_state:{instance_id}"
