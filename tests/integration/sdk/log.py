"""What happened to the instances of the small control plane, and the watches told of it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

from tests.integration.sdk.faulty import Fault, Faulty, abort

Event = instance_service_pb2.InstanceEvent
Watched = instance_service_pb2.WatchInstancesResponse


class Log(Faulty):
    """Events in order; a watch resumes where its token says."""

    instances: dict[str, instance_pb2.Instance]
    """Those that are there."""

    def __init__(self) -> None:
        super().__init__()
        self._log: list[Event] = []
        self._epoch = 1
        self._changed = asyncio.Event()
        self._watches: set[asyncio.Future[Fault]] = set()

    def cut_watches(self, fault: Fault) -> None:
        """End every watch under way."""

        async def cut() -> None:
            for watch in self._watches:
                if not watch.done():
                    watch.set_result(fault)

        self._run(cut())

    def forget_log(self) -> None:
        """Make every resume token too old."""
        self._epoch += 1

    def silently(self, action: Callable[[], None]) -> None:
        """Do something no watch is told of: as if it happened in a log that is lost."""

        async def act() -> None:
            length = len(self._log)
            action()
            del self._log[length:]

        self._run(act())

    def _record(self, type_: Any, instance: instance_pb2.Instance) -> None:
        self._log.append(Event(type=type_, instance=instance))
        self._changed.set()
        self._changed = asyncio.Event()

    async def _watch(
        self, request: Any, context: Any, ended: "asyncio.Future[Fault]"
    ) -> AsyncIterator[Watched]:
        own_epoch = self._epoch
        if request.resume_token:
            epoch, position = map(int, request.resume_token.split(":"))
            if epoch != self._epoch:
                detail = error_pb2.ErrorDetail(code="WATCH_EXPIRED", message="too old")
                yield Watched(error=detail)
                return
            sent = {
                event.instance.id
                for event in self._log[:position]
                if matches(event.instance, request.filter)
            }
        else:
            position = len(self._log)
            sent = set()
            for instance in [*self.instances.values()]:
                if matches(instance, request.filter):
                    sent.add(instance.id)
                    yield Watched(event=Event(type=Event.TYPE_ADDED, instance=instance))
                    if ended.done():
                        await abort(context, ended.result())
            token = f"{own_epoch}:{position}"
            synced = instance_service_pb2.Synced(instances=len(sent))
            yield Watched(synced=synced, resume_token=token)
        while True:
            changed = self._changed
            while position < len(self._log):
                event = self._log[position]
                position += 1
                token = f"{own_epoch}:{position}"
                id_ = event.instance.id
                if event.type != Event.TYPE_REMOVED and matches(event.instance, request.filter):
                    type_ = Event.TYPE_MODIFIED if id_ in sent else Event.TYPE_ADDED
                    sent.add(id_)
                    told = Event(type=type_, instance=event.instance)
                    yield Watched(event=told, resume_token=token)
                elif id_ in sent:
                    sent.discard(id_)
                    told = Event(type=Event.TYPE_REMOVED, instance=event.instance)
                    yield Watched(event=told, resume_token=token)
            waiting: asyncio.Future[Any] = asyncio.ensure_future(changed.wait())
            either: tuple[asyncio.Future[Any], ...] = (waiting, ended)
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            if ended.done():
                fault = ended.result()
                if fault.status is grpc.StatusCode.OK:
                    if fault.detail is not None:
                        yield Watched(error=fault.detail)
                    return
                await abort(context, fault)


def matches(instance: instance_pb2.Instance, text: str) -> bool:
    """Whether a filter lets an instance through."""
    values = {
        "namespace": instance.namespace,
        "state": instance_pb2.InstanceState.Name(instance.state).removeprefix("INSTANCE_STATE_"),
        "desired_state": instance_pb2.DesiredState.Name(instance.desired_state).removeprefix(
            "DESIRED_STATE_"
        ),
    }
    for term in text.split(" AND ") if text else []:
        name, operator, value = re.fullmatch(r'(\w+) (!?=) "?([\w-]+)"?', term).groups()  # type: ignore[union-attr]
        if (values[name] == value) != (operator == "="):
            return False
    return True
