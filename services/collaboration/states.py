"""What instances are doing: kept in Redis, and told to the others."""

import asyncio
import datetime
import json
from collections.abc import Mapping
from typing import Any, cast

import nats.js.errors
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb

from services.chassis import clock, connectors, streams
from services.collaboration import activity, activity_measures
from services.collaboration.instances import Instance

_SECONDS = 5.0
"""Longest wait for JetStream to have a state."""


class States:
    """The hashes ``instance:<id>:state``, with the specification's fields."""

    def __init__(
        self,
        *,
        redis: connectors.Redis,
        nats: connectors.Nats,
        stream: streams.Stream,
        keep: float,
    ) -> None:
        """Prepare.

        Args:
            redis: Where they are kept.
            nats: The connection.
            stream: Where they are told.
            keep: Seconds a state is kept that nobody renews.

        """
        self._redis = redis
        self._nats = nats
        self._stream = stream
        self._keep = keep

    async def share(self, instance: Instance, state: pb.InstanceState) -> datetime.datetime:
        """Store what an instance is doing and tell the others; returns when.

        Raises:
            errors.Unavailable: Redis or NATS is away; share it again.
        """
        now = clock.now()
        fields = {
            "current_file": state.current_file,
            "cursor_position": json.dumps(activity.cursor(state), separators=(",", ":")),
            "status": state.status,
            "updated_at": clock.iso(now),
        }
        await self._write(instance.id, fields)
        await self._tell(instance, activity.state_update(instance.id, state, now))
        activity_measures.SHARED.inc()
        return now

    async def changed(self, instance_id: str, change: Mapping[str, Any]) -> None:
        """Keep what an instance changed last, as ``last_change``."""
        await self._write(instance_id, {"last_change": json.dumps(change, separators=(",", ":"))})

    async def _write(self, instance_id: str, fields: Mapping[str, str]) -> None:
        key = f"instance:{instance_id}:state"
        async with self._redis.client.pipeline(transaction=False) as commands:
            commands.hset(key, mapping=cast("Any", fields))
            commands.expire(key, max(1, int(self._keep)))
            await commands.execute()

    async def _tell(self, instance: Instance, update: bytes) -> None:
        # Published like any message of core NATS, so whoever listens to the subject hears it;
        # the stream keeps the newest for those who are away.
        for last in (False, True):
            await self._stream.ensure()
            try:
                async with asyncio.timeout(_SECONDS):
                    await self._nats.jetstream.publish(
                        activity.state_subject(instance.namespace, instance.id),
                        update,
                        timeout=_SECONDS,
                        stream=self._stream.name,
                    )
            except nats.js.errors.NoStreamResponseError:
                self._stream.lost()
                if last:
                    raise
            else:
                return
