"""What instances tell each other: messages, states, and events around them."""

import datetime
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

from codestudio._activity_types import ActivityType, MessageReceipt
from codestudio._collaboration import CollaborationService
from codestudio._retry import RetryPolicy
from codestudio._subscription import AsyncSubscription
from codestudio.collaboration.v1 import collaboration_service_pb2 as service_pb2


class AsyncMessages:
    """Messages from instance to instance; `client.messages`.

    All methods raise CodeStudioError; `timeout` is in seconds. A message is repeated under one
    `request_id` while the service is unavailable, and delivered once.
    """

    def __init__(self, service: CollaborationService) -> None:
        self._service = service

    async def send(
        self,
        source: str,
        to: str,
        payload: Mapping[str, Any] | None = None,
        *,
        type: str = "chat",  # noqa: A002 - the contract's word
        request_id: str = "",
        timeout: float | None = None,
    ) -> MessageReceipt:
        """Send a message from one instance to another, which gets it once, also if it is away.

        `payload` is what JSON can hold, at most 256 KiB of it. The same `request_id` is the same
        message, for a day; without one, a new one is made.
        """
        request = service_pb2.SendMessageRequest(
            to=to,
            message=_message(type, payload),
            request_id=request_id or str(uuid.uuid4()),
            **{"from": source},
        )
        return MessageReceipt(await self._service.send_message(request, timeout=timeout))

    async def broadcast(
        self,
        source: str,
        payload: Mapping[str, Any] | None = None,
        *,
        type: str = "chat",  # noqa: A002 - the contract's word
        request_id: str = "",
        timeout: float | None = None,
    ) -> MessageReceipt:
        """Send a message from one instance to all others in its namespace; see `send`."""
        request = service_pb2.BroadcastMessageRequest(
            message=_message(type, payload),
            request_id=request_id or str(uuid.uuid4()),
            **{"from": source},
        )
        return MessageReceipt(await self._service.broadcast_message(request, timeout=timeout))


class AsyncStates:
    """What instances are doing; `client.states`."""

    def __init__(self, service: CollaborationService) -> None:
        self._service = service

    async def share(
        self,
        instance_id: str,
        *,
        current_file: str = "",
        line: int = 0,
        column: int = 0,
        status: str = "",
        timeout: float | None = None,
    ) -> datetime.datetime:
        """Store what an instance is doing and tell the others; returns when it was stored.

        `current_file` is a path within the project, `line` counts from 0, and `status` is a word
        such as "editing".
        """
        request = service_pb2.ShareStateRequest(
            instance_id=instance_id,
            state=service_pb2.InstanceState(
                current_file=current_file,
                cursor_position=service_pb2.Position(line=line, column=column),
                status=status,
            ),
        )
        answer = await self._service.share_state(request, timeout=timeout)
        return answer.updated_at.ToDatetime(tzinfo=datetime.UTC)


class AsyncEvents:
    """What happens around instances; `client.events`."""

    def __init__(self, service: CollaborationService, retry: RetryPolicy) -> None:
        self._service = service
        self._retry = retry

    def subscribe(
        self,
        instance_id: str,
        *,
        types: Iterable[ActivityType] = (),
        project: str = "",
        resume_token: str = "",
    ) -> AsyncSubscription:
        """Follow what happens around an instance, from now or from a resume token on.

        `types` are the kinds of events, by default all; `project` limits changes of code to one
        project.
        """
        return AsyncSubscription(
            self._service.subscribe,
            instance_id=instance_id,
            types=types,
            project=project,
            resume_token=resume_token,
            retry=self._retry,
        )


def _message(type_: str, payload: Mapping[str, Any] | None) -> service_pb2.Message:
    content = struct_pb2.Struct()
    json_format.ParseDict(dict(payload or {}), content)
    return service_pb2.Message(type=type_, payload=content)
