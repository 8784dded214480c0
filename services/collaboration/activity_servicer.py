"""The part of the contract that is about states, messages and events, in terms of its parts."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
import structlog
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb

from services.chassis import errors
from services.chassis.validation import Violations
from services.collaboration import activity_measures, activity_requests, requests
from services.collaboration.instances import Instances
from services.collaboration.messages import Messages, Receipt
from services.collaboration.states import States
from services.collaboration.subscriptions import Subscriptions

_log = structlog.get_logger(__name__)

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Activity:
    """What these calls stand on."""

    instances: Instances
    """Who may act for which instance."""
    states: States
    """What instances are doing."""
    messages: Messages
    """What they tell each other."""
    subscriptions: Subscriptions
    """What they are told."""


class ActivityMethods:
    """ShareState, SendMessage, BroadcastMessage and Subscribe."""

    _activity: Activity

    async def ShareState(
        self, request: pb.ShareStateRequest, context: _Context
    ) -> pb.ShareStateResponse:
        """Store what an instance is doing and tell the others."""
        wrong = Violations()
        instance_id = requests.instance_id(wrong, "instance_id", request.instance_id)
        state = activity_requests.state(wrong, request)
        wrong.check()
        instance = await self._activity.instances.own(instance_id)
        answer = pb.ShareStateResponse()
        answer.updated_at.FromDatetime(await self._activity.states.share(instance, state))
        return answer

    async def SendMessage(
        self, request: pb.SendMessageRequest, context: _Context
    ) -> pb.MessageReceipt:
        """Send a message to one instance."""
        wrong = Violations()
        sender = requests.instance_id(wrong, "from", getattr(request, "from"))
        to = requests.instance_id(wrong, "to", request.to)
        if sender == to:
            wrong.add("to", "must be another instance than the one it comes from")
        message = activity_requests.message(wrong, request.message)
        request_id = requests.request_id(wrong, request.request_id)
        wrong.check()
        own = await self._activity.instances.own(sender)
        other = await self._activity.instances.reachable(to)
        return _receipt(await self._activity.messages.send(own, other, message, request_id))

    async def BroadcastMessage(
        self, request: pb.BroadcastMessageRequest, context: _Context
    ) -> pb.MessageReceipt:
        """Send a message to all other instances of the namespace."""
        wrong = Violations()
        sender = requests.instance_id(wrong, "from", getattr(request, "from"))
        message = activity_requests.message(wrong, request.message)
        request_id = requests.request_id(wrong, request.request_id)
        wrong.check()
        own = await self._activity.instances.own(sender)
        return _receipt(await self._activity.messages.send(own, None, message, request_id))

    async def Subscribe(
        self, request: pb.SubscribeRequest, context: _Context
    ) -> AsyncIterator[bytes]:
        """Tell an instance what happens around it; in bytes, see `servicer.register`.

        What cannot be begun is refused with a status like any other call. After that the stream
        ends in-band, saying why and where to go on: a JSON stream has no place for a status.
        """
        wrong = Violations()
        asked = activity_requests.asked(wrong, request)
        wrong.check()
        subscription = await self._activity.subscriptions.open(asked)
        try:
            async for answer in subscription.answers():
                yield answer
        except Exception as error:
            if isinstance(error, grpc.aio.AbortError):
                raise
            known = errors.from_exception(error)
            activity_measures.ENDED.labels(known.code).inc()
            if isinstance(known, errors.Internal):
                _log.error("subscription failed", exc_info=error)
            yield pb.SubscribeResponse(
                error=errors.to_detail(known), resume_token=subscription.token
            ).SerializeToString()


def _receipt(receipt: Receipt) -> pb.MessageReceipt:
    answer = pb.MessageReceipt(message_id=receipt.id)
    answer.timestamp.FromDatetime(receipt.time)
    return answer
