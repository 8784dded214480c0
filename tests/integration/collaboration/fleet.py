"""A replica of the Collaboration service beside a real Instance service, and instances in it."""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from google.protobuf import json_format, struct_pb2

from services.devstack.stack import Stack
from tests.integration.collaboration import rig
from tests.integration.instance import rig as instances
from tests.integration.instance import world as worlds

STOPPED = instance_pb2.DESIRED_STATE_STOPPED


@dataclasses.dataclass(frozen=True)
class Fleet:
    """A running Instance service, whose port stands for the mesh."""

    parts: rig.Parts
    service: instances.Replica

    async def instance(
        self,
        owner: str = "ada",
        namespace: str = "default",
        id: str = "",  # noqa: A002
    ) -> str:
        """Create an instance; returns its id."""
        made = await self.service.create(
            id=id or f"i-{uuid.uuid4().hex[:12]}",
            namespace=namespace,
            desired_state=STOPPED,
            metadata=self.service.as_user(owner),
        )
        return made.id

    async def delete(self, instance_id: str, owner: str) -> None:
        """Delete an instance and wait until it is gone."""
        metadata = self.service.as_user(owner)
        await self.service.stub.DeleteInstance(
            instance_service_pb2.DeleteInstanceRequest(id=instance_id),
            metadata=metadata,
            timeout=10,
        )

        async def gone() -> bool:
            try:
                await self.service.get(instance_id, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.NOT_FOUND
            return False

        await instances.until(gone, f"{instance_id} is gone")

    @contextlib.asynccontextmanager
    async def replica(self, **over: Any) -> AsyncIterator[Member]:
        """Run a replica of the Collaboration service."""
        plan = self.parts.stack.plan
        settings = {
            "redis_url": plan.redis_url,
            "redis_pool_min": 0,
            "mesh_address": f"127.0.0.1:{self.service.port}",
            **over,
        }
        async with rig.replica(self.parts, **settings) as running:
            yield Member(running)


class Member:
    """A replica, as instances use it."""

    def __init__(self, replica: rig.Replica) -> None:
        self.replica = replica
        self.stub = replica.stub
        self.as_user = replica.as_user

    async def send(
        self, source: str, to: str, text: str, *, user: str = "ada", request_id: str = ""
    ) -> pb.MessageReceipt:
        """Send a message to an instance; to "*" for all."""
        message = chat(text)
        metadata = self.as_user(user)
        if to == "*":
            broadcast = pb.BroadcastMessageRequest(
                message=message, request_id=request_id, **{"from": source}
            )
            return await self.stub.BroadcastMessage(broadcast, metadata=metadata, timeout=20)
        request = pb.SendMessageRequest(
            to=to, message=message, request_id=request_id, **{"from": source}
        )
        return await self.stub.SendMessage(request, metadata=metadata, timeout=20)

    async def share(
        self, instance_id: str, *, user: str = "ada", file: str = "", status: str = "editing"
    ) -> pb.ShareStateResponse:
        """Share a state."""
        state = pb.InstanceState(
            current_file=file, cursor_position=pb.Position(line=3, column=7), status=status
        )
        request = pb.ShareStateRequest(instance_id=instance_id, state=state)
        return await self.stub.ShareState(request, metadata=self.as_user(user), timeout=20)

    def subscribe(self, instance_id: str, *, user: str = "ada", **over: Any) -> Any:
        """Subscribe, once."""
        request = pb.SubscribeRequest(instance_id=instance_id, **over)
        return self.stub.Subscribe(request, metadata=self.as_user(user))


def chat(text: str) -> pb.Message:
    """Make a message."""
    payload = struct_pb2.Struct()
    json_format.ParseDict({"text": text}, payload)
    return pb.Message(type="chat", payload=payload)


class Listener:
    """Collects what an instance is told, resuming whenever it breaks, as the SDK does."""

    def __init__(self, *members: Member, instance_id: str, user: str = "ada", **over: Any) -> None:
        self._members = list(members)
        self._request = {"instance_id": instance_id, "user": user, **over}
        self.token: str = over.pop("resume_token", "")
        self.answers: list[pb.SubscribeResponse] = []
        self.errors: list[str] = []
        self.beats = 0
        self.started = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    @property
    def messages(self) -> list[str]:
        """What the messages said, in order."""
        return [
            one.message_event.message.payload["text"]
            for one in self.answers
            if one.WhichOneof("message") == "message_event"
        ]

    @property
    def states(self) -> list[tuple[str, str]]:
        """Instance and status of the states told, in order."""
        return [
            (one.state.instance_id, one.state.state.status)
            for one in self.answers
            if one.WhichOneof("message") == "state"
        ]

    @property
    def code(self) -> list[pb.CodeEvent]:
        """The changes told, in order."""
        return [one.code for one in self.answers if one.WhichOneof("message") == "code"]

    async def heard(self, count: int, timeout: float = 20) -> None:
        """Wait for so many messages."""
        await self.until(lambda: len(self.messages) >= count, f"{count} messages", timeout)

    async def until(self, condition: Any, what: str, timeout: float = 20) -> None:
        """Wait until something is true."""

        async def true() -> bool:
            if self._task.done():
                self._task.result()
            return bool(condition())

        await instances.until(true, f"{what}; heard {self.answers[-3:]}", timeout)

    async def close(self) -> str:
        """End; gives the token to resume with."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.token

    async def _run(self) -> None:
        while True:
            for member in self._members:
                try:
                    over = {**self._request, "resume_token": self.token}
                    async for answer in member.subscribe(**over):
                        self._take(answer)
                except grpc.aio.AioRpcError as error:
                    self.errors.append(error.code().name)
                except grpc.aio.UsageError:
                    # Its replica is gone, and its channel closed: it is the others' turn.
                    self.errors.append("GONE")
                await asyncio.sleep(0.1)

    def _take(self, answer: pb.SubscribeResponse) -> None:
        self.token = answer.resume_token or self.token
        match answer.WhichOneof("message"):
            case "heartbeat":
                self.beats += 1
                self.started.set()
            case "error":
                self.errors.append(answer.error.code)
            case _:
                self.answers.append(answer)


@contextlib.asynccontextmanager
async def listening(*members: Member, **asked: Any) -> AsyncIterator[Listener]:
    """Listen from now on."""
    listener = Listener(*members, **asked)
    try:
        async with asyncio.timeout(20):
            await listener.started.wait()
        yield listener
    finally:
        await listener.close()


@contextlib.asynccontextmanager
async def fleet(infrastructure: Stack, parts: rig.Parts) -> AsyncIterator[Fleet]:
    """Run the Instance service."""
    outside = worlds.World()
    async with worlds.serving(outside) as port:
        own = instances.Parts(infrastructure, f"test-{uuid.uuid4().hex[:12]}", outside, port)
        async with instances.replica(own) as service:
            yield Fleet(parts, service)
