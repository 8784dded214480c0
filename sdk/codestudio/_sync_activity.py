"""Messages, states and events for ordinary code; see `_sync`."""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Self

from codestudio._activity import AsyncEvents, AsyncMessages, AsyncStates
from codestudio._activity_types import ActivityType, Event, MessageReceipt
from codestudio._portal import Portal
from codestudio._subscription import AsyncSubscription
from codestudio._sync_iterators import next_of, twin_of


@twin_of(AsyncMessages)
class Messages:
    """Messages from instance to instance; `client.messages`.

    All methods raise CodeStudioError; `timeout` is in seconds. A message is repeated under one
    `request_id` while the service is unavailable, and delivered once.
    """

    def __init__(self, portal: Portal, messages: AsyncMessages) -> None:
        self._portal = portal
        self._async = messages

    def send(
        self,
        source: str,
        to: str,
        payload: Mapping[str, Any] | None = None,
        *,
        type: str = "chat",  # noqa: A002
        request_id: str = "",
        timeout: float | None = None,
    ) -> MessageReceipt:
        return self._portal.call(
            self._async.send(source, to, payload, type=type, request_id=request_id, timeout=timeout)
        )

    def broadcast(
        self,
        source: str,
        payload: Mapping[str, Any] | None = None,
        *,
        type: str = "chat",  # noqa: A002
        request_id: str = "",
        timeout: float | None = None,
    ) -> MessageReceipt:
        return self._portal.call(
            self._async.broadcast(
                source, payload, type=type, request_id=request_id, timeout=timeout
            )
        )


@twin_of(AsyncStates)
class States:
    """What instances are doing; `client.states`."""

    def __init__(self, portal: Portal, states: AsyncStates) -> None:
        self._portal = portal
        self._async = states

    def share(
        self,
        instance_id: str,
        *,
        current_file: str = "",
        line: int = 0,
        column: int = 0,
        status: str = "",
        timeout: float | None = None,
    ) -> datetime.datetime:
        return self._portal.call(
            self._async.share(
                instance_id,
                current_file=current_file,
                line=line,
                column=column,
                status=status,
                timeout=timeout,
            )
        )


@twin_of(AsyncSubscription)
class Subscription:
    """Events around an instance: `with client.events.subscribe(...) as events`.

    Entered, it has begun: whatever happens from then on is told, or what happened since the resume
    token it was given. A stream that breaks, falls silent or is ended by a server shutting down is
    resumed where it stood; messages are neither missed nor repeated, and of states and changes of
    code the newest is told. What cannot be resumed is raised: WatchExpired when too much has
    happened since, Unavailable or DeadlineExceeded after 300 s without success, any other refusal
    at once.

    Leave it with `close`, or by using it in a `with` statement.
    """

    def __init__(self, portal: Portal, subscription: AsyncSubscription) -> None:
        self._portal = portal
        self._async = subscription

    @property
    def resume_token(self) -> str:
        return self._async.resume_token

    def start(self) -> None:
        self._portal.call(self._async.start())

    def close(self) -> None:
        """End the subscription."""
        self._portal.call(self._async.aclose())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event: Event | None = self._portal.call(next_of(self._async))
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@twin_of(AsyncEvents)
class Events:
    """What happens around instances; `client.events`."""

    def __init__(self, portal: Portal, events: AsyncEvents) -> None:
        self._portal = portal
        self._async = events

    def subscribe(
        self,
        instance_id: str,
        *,
        types: Iterable[ActivityType] = (),
        project: str = "",
        resume_token: str = "",
    ) -> Subscription:
        subscription = self._async.subscribe(
            instance_id, types=types, project=project, resume_token=resume_token
        )
        return Subscription(self._portal, subscription)
