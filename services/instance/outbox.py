"""Tells the world what changed: each record's outbox, in order, to JetStream and to Redis.

Publishing never holds a change up. What could not be told waits in the record; what was told is
taken out of it with the next write, so a message may be told twice after a crash: JetStream
drops the copy by its id within two minutes, and readers by its version ever after.
"""

import asyncio
import base64

import nats.errors
import nats.js.errors
import structlog
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

from services.chassis import connectors, streams
from services.instance import changes, stream
from services.instance.record import Pending, Record
from services.instance.states import States

_log = structlog.get_logger(__name__)

_TIMEOUT = 2.0
"""Seconds to wait for JetStream to have a message."""

_TYPES = {
    changes.ADDED: instance_service_pb2.InstanceEvent.TYPE_ADDED,
    changes.MODIFIED: instance_service_pb2.InstanceEvent.TYPE_MODIFIED,
    changes.REMOVED: instance_service_pb2.InstanceEvent.TYPE_REMOVED,
}


class Outbox:
    """Publishes outboxes. Only the holder of an instance's lease may have its own told."""

    def __init__(self, *, nats: connectors.Nats, states: States, events: streams.Stream) -> None:
        self._nats = nats
        self._states = states
        self._events = events
        self._told: dict[str, tuple[int, int]] = {}
        """Newest change told by id, as `Record.order`, until it is taken out of the record."""

    def untold(self, record: Record) -> list[Pending]:
        """Return what of a record's outbox is still to be told."""
        told = self._told.get(record.id, (0, 0))
        return [one for one in record.outbox if (one.created_at, one.version) > told]

    def remaining(self, record: Record) -> tuple[Pending, ...]:
        """Return the outbox as it should be written: without what was told."""
        return tuple(self.untold(record))

    def forget(self, instance_id: str) -> None:
        """Remember nothing of an instance: its outbox is empty, or it is gone."""
        self._told.pop(instance_id, None)

    async def tell(self, record: Record) -> bool:
        """Publish what of a record is to be told; whether all of it was."""
        waiting = self.untold(record)
        if not waiting:
            return True
        await self._show(waiting[-1])
        if not self._nats.ready:
            return False
        try:
            await self._events.ensure()
            for one in waiting:
                message = instance_pb2.Instance.FromString(base64.b64decode(one.body))
                await self._publish(one, message)
                self._told[record.id] = _order(message)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            if isinstance(error, nats.js.errors.NoStreamResponseError):
                self._events.lost()
            _log.info("events wait", instance_id=record.id, why=str(error) or type(error).__name__)
            return False
        return True

    async def _publish(self, one: Pending, message: instance_pb2.Instance) -> None:
        event = instance_service_pb2.InstanceEvent(type=_TYPES[one.kind], instance=message)
        created, version = _order(message)
        headers = {
            "Nats-Msg-Id": f"{message.id}:{created}:{version}",
            stream.PREVIOUS_STATE: one.previous_state,
            stream.PREVIOUS_DESIRED: one.previous_desired,
            stream.PREVIOUS_LABELS: one.previous_labels,
        }
        async with asyncio.timeout(_TIMEOUT):
            await self._nats.jetstream.publish(
                stream.subject(message.namespace, message.id),
                event.SerializeToString(),
                timeout=_TIMEOUT,
                stream=stream.NAME,
                headers={name: value for name, value in headers.items() if value},
            )

    async def _show(self, newest: Pending) -> None:
        """Put the newest state where others look for it, also while nobody can be told."""
        message = instance_pb2.Instance.FromString(base64.b64decode(newest.body))
        if newest.kind == changes.REMOVED:
            await self._states.hide(message.id)
        else:
            await self._states.show(message)


def _order(message: instance_pb2.Instance) -> tuple[int, int]:
    return (message.create_time.ToMilliseconds(), message.version)
