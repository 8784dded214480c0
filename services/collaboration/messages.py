"""Messages from instance to instance: stored once, delivered to whoever is there or comes later."""

import asyncio
import dataclasses
import datetime
import uuid

import nats.js.errors
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb

from services.chassis import clock, connectors, errors, identity, streams
from services.collaboration import activity, activity_measures
from services.collaboration.instances import Instance

_SECONDS = 5.0
"""Longest wait for JetStream to have a message."""
_IDS = uuid.UUID("6a1f8f0e-3a53-4b39-9c5c-3d5b8f2f6a52")
"""Namespace of the ids of messages whose request has one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Receipt:
    """A message that is stored."""

    id: str
    """Its id."""
    time: datetime.datetime
    """When it was stored."""


class Messages:
    """Stores messages."""

    def __init__(self, *, nats: connectors.Nats, stream: streams.Stream) -> None:
        self._nats = nats
        self._stream = stream

    async def send(
        self, sender: Instance, to: Instance | None, message: pb.Message, request_id: str
    ) -> Receipt:
        """Store a message to an instance, or to all others of the sender's namespace.

        Args:
            sender: Where it comes from.
            to: Where it goes; None for a broadcast.
            message: What it says.
            request_id: The same id again is the same message, not a second one; empty for none.

        Raises:
            errors.InvalidArgument: The id was used for another message (REQUEST_ID_REUSED).
            errors.Unavailable: NATS is away; the message may be stored all the same.
        """
        caller = identity.current()
        message_id = (
            str(uuid.uuid5(_IDS, f"{caller.kind}/{caller.subject}/{sender.id}/{request_id}"))
            if request_id
            else str(uuid.uuid4())
        )
        told = pb.SubscribeResponse(
            message_event=pb.MessageEvent(
                message_id=message_id,
                to="" if to is None else to.id,
                message=message,
                **{"from": sender.id},  # a word of Python's
            )
        )
        told.timestamp.FromDatetime(clock.now())
        subject = (
            activity.broadcast_subject(sender.namespace)
            if to is None
            else activity.direct_subject(to.namespace, to.id)
        )
        stored = await self._store(subject, told)
        if stored is not None:
            if stored.message_event != told.message_event:
                raise _reused()
            activity_measures.REPEATED.inc()
        else:
            activity_measures.SENT.labels("all" if to is None else "one").inc()
        time = (stored or told).timestamp.ToDatetime(tzinfo=datetime.UTC)
        return Receipt(message_id, time)

    async def _store(self, subject: str, told: pb.SubscribeResponse) -> pb.SubscribeResponse | None:
        """Store a message; returns the one that was stored under its id before."""
        for last in (False, True):
            await self._stream.ensure()
            try:
                async with asyncio.timeout(_SECONDS):
                    done = await self._nats.jetstream.publish(
                        subject,
                        told.SerializeToString(deterministic=True),
                        timeout=_SECONDS,
                        stream=self._stream.name,
                        headers={activity.MESSAGE_ID: told.message_event.message_id},
                    )
            except nats.js.errors.NoStreamResponseError:
                # NATS lost its disk: the stream is made anew, once.
                self._stream.lost()
                if last:
                    raise
            else:
                break
        if not done.duplicate:
            return None
        async with asyncio.timeout(_SECONDS):
            before = await self._nats.jetstream.get_msg(self._stream.name, done.seq)
        return pb.SubscribeResponse.FromString(before.data or b"")


def _reused() -> errors.InvalidArgument:
    problem = "was used for another message; use a new one"
    return errors.InvalidArgument(
        "REQUEST_ID_REUSED",
        f"request_id: {problem}",
        violations=[errors.Violation("request_id", problem)],
    )
