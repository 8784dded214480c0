"""Following what happens around an instance, whatever happens to the connection."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Self

from codestudio import _activity_types, _errors
from codestudio._activity_types import ActivityType, Event
from codestudio._retry import PASSING, RetryPolicy
from codestudio.collaboration.v1 import collaboration_service_pb2 as service_pb2

Request = service_pb2.SubscribeRequest
Response = service_pb2.SubscribeResponse

PATIENCE = 300.0
"""Seconds a subscription that has worked tries to come back before it gives up."""


class AsyncSubscription:
    """Events around an instance: `async with client.events.subscribe(...) as events`.

    Entered, it has begun: whatever happens from then on is told, or what happened since the resume
    token it was given. A stream that breaks, falls silent or is ended by a server shutting down is
    resumed where it stood; messages are neither missed nor repeated, and of states and changes of
    code the newest is told. What cannot be resumed is raised: WatchExpired when too much has
    happened since, Unavailable or DeadlineExceeded after 300 s without success, any other refusal
    at once.

    A subscription is read once, by one reader; `aclose` ends it.
    """

    def __init__(
        self,
        open_stream: Callable[[Request], AsyncGenerator[Response]],
        *,
        instance_id: str,
        types: Iterable[ActivityType],
        project: str,
        resume_token: str,
        retry: RetryPolicy,
        namespace: str = "",
    ) -> None:
        self._open_stream = open_stream
        self._request = Request(
            instance_id=instance_id,
            types=[f"EVENT_TYPE_{ActivityType(one)}" for one in types],
            project=project,
            namespace=namespace,
        )
        self._retry = retry
        self._place = resume_token
        self._resume_token = resume_token
        self._events = self._run()
        self._step: asyncio.Future[Event | None] | None = None
        self._started = False

    @property
    def resume_token(self) -> str:
        """Where to go on after the last event given; empty until it has begun."""
        return self._resume_token

    async def start(self) -> None:
        """Begin, and wait until it has begun; does nothing when it has."""
        if not self._started:
            await self._next()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            event = await self._next()
            if event is not None:
                return event

    async def aclose(self) -> None:
        """End the subscription."""
        step, self._step = self._step, None
        if step is not None:
            step.cancel()
            await asyncio.wait([step])
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _next(self) -> Event | None:
        """Wait for the next event or, once, for the beginning: then give None."""
        # A reader that gives up (asyncio.wait_for) must not end the subscription, so the step
        # goes on without it and the next call takes it up.
        if self._step is None:
            self._step = asyncio.ensure_future(anext(self._events))
        step = self._step
        try:
            event = await asyncio.shield(step)
        finally:
            if step.done():
                self._step = None
        self._started = True
        self._resume_token = self._place if event is None else event.resume_token
        return event

    async def _run(self) -> AsyncGenerator[Event | None]:
        clock = asyncio.get_running_loop().time
        failures = 0
        failure: _errors.CodeStudioError
        heard = clock()
        worked = False
        while True:
            request = Request()
            request.CopyFrom(self._request)
            request.resume_token = self._place
            stream = self._open_stream(request)
            try:
                async with contextlib.aclosing(stream):
                    async for message in stream:
                        self._place = message.resume_token or self._place
                        if message.HasField("error"):
                            raise _errors.from_detail(message.error)
                        failures, heard, first, worked = 0, clock(), not worked, True
                        if first:
                            yield None
                        if (event := _activity_types.event(message)) is not None:
                            yield event
                failure = _errors.Unavailable("the gateway ended the subscription")
            except PASSING as error:
                failure = error
            failures += 1
            given_up = clock() - heard > PATIENCE if worked else failures >= self._retry.attempts
            if given_up:
                raise failure
            await asyncio.sleep(self._retry.pause(failures))
