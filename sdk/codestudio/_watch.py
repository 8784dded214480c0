"""Following instances for as long as one likes, whatever happens to the connection."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Generic, Self, TypeVar

from codestudio import _errors
from codestudio._instance_types import InstanceEvent
from codestudio._replica import Replica
from codestudio._retry import PASSING, RetryPolicy
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

Handle = TypeVar("Handle")
Request = instance_service_pb2.WatchInstancesRequest
Response = instance_service_pb2.WatchInstancesResponse

PATIENCE = 300.0
"""Seconds a watch that has worked tries to come back before it gives up."""


class AsyncWatch(Generic[Handle]):
    """Events of instances: `async for event in watch`.

    Begins with every instance there is, as ADDED, unless it was given a resume token. A stream that
    breaks, falls silent or is ended by a server shutting down is resumed where it stood, with
    nothing missed or repeated; if the server no longer knows the place, the watch lists again and
    tells only what changed. What cannot be resumed is raised: WatchExpired when the token given is
    too old, Unavailable or DeadlineExceeded after 300 s without success, any other refusal at once.

    A watch is read once, by one reader; `aclose` ends it.
    """

    def __init__(
        self,
        open_stream: Callable[[Request], AsyncGenerator[Response]],
        view: Callable[[instance_pb2.Instance], Handle],
        *,
        filter: str,  # noqa: A002 - the contract's word
        resume_token: str,
        retry: RetryPolicy,
    ) -> None:
        self._open_stream = open_stream
        self._view = view
        self._filter = filter
        self._retry = retry
        self._replica = Replica(resume_token)
        self._resume_token = resume_token
        self._events = self._run()
        self._step: asyncio.Future[InstanceEvent[Handle] | None] | None = None

    @property
    def synced(self) -> bool:
        """Whether all instances that were there at the beginning have been given."""
        return self._replica.complete

    @property
    def resume_token(self) -> str:
        """Where to go on after the last event given; empty until `synced`."""
        return self._resume_token

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> InstanceEvent[Handle]:
        while True:
            event = await self.next_or_synced()
            if event is not None:
                return event

    async def next_or_synced(self) -> InstanceEvent[Handle] | None:
        """Wait for the next event or, once, for the end of the beginning: then give None."""
        # A reader that gives up (asyncio.wait_for) must not end the watch, so the step goes on
        # without it and the next call takes it up.
        if self._step is None:
            self._step = asyncio.ensure_future(anext(self._events))
        step = self._step
        try:
            event = await asyncio.shield(step)
        finally:
            if step.done():
                self._step = None
        if event is not None:
            self._resume_token = event.resume_token
        return event

    async def aclose(self) -> None:
        """End the watch."""
        step, self._step = self._step, None
        if step is not None:
            step.cancel()
            await asyncio.wait([step])
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(self) -> AsyncGenerator[InstanceEvent[Handle] | None]:
        clock = asyncio.get_running_loop().time
        failures = 0
        failure: _errors.CodeStudioError
        heard = clock()
        worked = False
        while True:
            stream = self._open_stream(
                Request(filter=self._filter, resume_token=self._replica.token)
            )
            try:
                async with contextlib.aclosing(stream):
                    async for message in stream:
                        failures, heard, worked = 0, clock(), True
                        if message.WhichOneof("message") == "error":
                            raise _errors.from_detail(message.error)
                        for event in self._take_in(message):
                            yield event
                failure = _errors.Unavailable("the gateway ended the watch")
            except _errors.WatchExpired:
                # Without having seen everything once, what went away meanwhile is unknown.
                if not (self._replica.complete and self._replica.token):
                    raise
                self._replica.begin_again()
                continue
            except PASSING as error:
                failure = error
            if not self._replica.token:
                self._replica.begin_again()
            failures += 1
            given_up = clock() - heard > PATIENCE if worked else failures >= self._retry.attempts
            if given_up:
                raise failure
            await asyncio.sleep(self._retry.pause(failures))

    def _take_in(self, message: Response) -> Iterator[InstanceEvent[Handle] | None]:
        synced_before = self._replica.complete
        for type_, instance in self._replica.apply(message):
            yield InstanceEvent(type_, self._view(instance), self._replica.token)
        if self._replica.complete and not synced_before:
            yield None
