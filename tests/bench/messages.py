"""How fast instances hear each other: through the door, beside bare JetStream.

One instance broadcasts, 50 listen. The baseline publishes the same bytes to a stream of the same
NATS, as many in flight, and 50 subscriptions of plain NATS hear them: no token is checked, nobody
is asked whose an instance is, nothing can be resumed.
"""

import asyncio
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import nats
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from codestudio.collaboration.v1 import collaboration_service_pb2_grpc
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from google.protobuf import struct_pb2

from tests.bench.target import Target

_LISTENERS = 50
_IN_FLIGHT = 16
_SECONDS = 5.0
_ONE_BY_ONE = 100
_PATIENCE = 60.0


class _Ears:
    """Counts what all listeners hear, and how long it took from being sent."""

    def __init__(self) -> None:
        self.heard = 0
        self.delays: list[float] = []

    def hear(self, sent_at: float) -> None:
        """Note that one listener heard one message."""
        self.heard += 1
        self.delays.append(time.perf_counter() - sent_at)

    async def until(self, count: int) -> None:
        """Wait until so many were heard."""
        async with asyncio.timeout(_PATIENCE):
            while self.heard < count:
                await asyncio.sleep(0.002)


async def measure(target: Target) -> dict[str, Any]:
    """Compare deliveries a second and the time of a single message, with and without us."""
    bare = await _bare(target)
    ours = await _ours(target)
    return {
        "listeners": _LISTENERS,
        "in_flight": _IN_FLIGHT,
        "bare_jetstream": bare,
        "through_the_door": ours,
        "ratio_of_deliveries": round(
            ours["deliveries_per_second"] / bare["deliveries_per_second"], 2
        ),
    }


async def _figures(send: Callable[[], Awaitable[None]], ears: _Ears) -> dict[str, float]:
    """Send one by one, then as fast as it goes."""
    for number in range(_ONE_BY_ONE):
        await send()
        await ears.until((number + 1) * _LISTENERS)
    alone = statistics.median(ears.delays)
    sent, before = 0, ears.heard
    began = time.perf_counter()

    async def busy() -> None:
        nonlocal sent
        while time.perf_counter() < began + _SECONDS:
            await send()
            sent += 1

    await asyncio.gather(*(busy() for _ in range(_IN_FLIGHT)))
    await ears.until(before + sent * _LISTENERS)
    seconds = time.perf_counter() - began
    return {
        "single_message_ms": round(alone * 1000, 2),
        "messages_per_second": round(sent / seconds),
        "deliveries_per_second": round(sent * _LISTENERS / seconds),
    }


async def _bare(target: Target) -> dict[str, float]:
    ears = _Ears()
    client = await nats.connect(target.stack.plan.nats_url)
    jetstream = client.jetstream()
    await jetstream.add_stream(name="BENCH", subjects=["bench.>"])

    async def heard(message: Any) -> None:
        told = pb.SubscribeResponse.FromString(message.data)
        ears.hear(told.message_event.message.payload["at"])

    for _ in range(_LISTENERS):
        await client.subscribe("bench.>", cb=heard)
    await client.flush()

    async def send() -> None:
        event = pb.MessageEvent(message=_message())
        told = pb.SubscribeResponse(message_event=event)
        await jetstream.publish("bench.all", told.SerializeToString())

    try:
        return await _figures(send, ears)
    finally:
        await jetstream.delete_stream("BENCH")
        await client.close()


async def _ours(target: Target) -> dict[str, float]:
    ears = _Ears()
    async with target.channel("gateway") as channel:
        names = await _instances(channel, target)
        stub = collaboration_service_pb2_grpc.CollaborationServiceStub(channel)
        streams = [
            stub.Subscribe(pb.SubscribeRequest(instance_id=name), metadata=target.metadata)
            for name in names[1:]
        ]
        for stream in streams:
            await stream.read()

        async def listen(stream: Any) -> None:
            while (told := await stream.read()) is not grpc.aio.EOF:
                if told.HasField("message_event"):
                    ears.hear(told.message_event.message.payload["at"])

        listening = [asyncio.create_task(listen(stream)) for stream in streams]

        async def send() -> None:
            request = pb.BroadcastMessageRequest(message=_message(), **{"from": names[0]})
            await stub.BroadcastMessage(request, metadata=target.metadata, timeout=30)

        try:
            return await _figures(send, ears)
        finally:
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*listening, return_exceptions=True)


async def _instances(channel: grpc.aio.Channel, target: Target) -> list[str]:
    stub = instance_service_pb2_grpc.InstanceServiceStub(channel)
    names = [f"bench-{uuid.uuid4().hex[:8]}" for _ in range(_LISTENERS + 1)]
    configs = [
        instance_pb2.InstanceConfig(id=name, desired_state=instance_pb2.DESIRED_STATE_STOPPED)
        for name in names
    ]
    request = instance_service_pb2.BatchCreateInstancesRequest(configs=configs)
    made = await stub.BatchCreateInstances(request, metadata=target.metadata, timeout=60)
    assert made.created == len(names), made.results[0]
    return names


def _message() -> pb.Message:
    payload = struct_pb2.Struct()
    payload["at"] = time.perf_counter()
    payload["text"] = "x" * 100
    return pb.Message(type="chat", payload=payload)
