"""Watching instances: everything, in order, once, whatever breaks."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import grpc
import nats
import pytest
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

from services.chassis import cancellation
from services.instance import stream
from tests import programs
from tests.integration.instance import rig

STOPPED = instance_pb2.DESIRED_STATE_STOPPED
EVENT = instance_service_pb2.InstanceEvent


class Watcher:
    """Collects what a watch says, resuming whenever it breaks, as the SDK does."""

    def __init__(self, service: rig.Replica, text: str = "", metadata: Any = None) -> None:
        self.service = service
        self.text = text
        self.metadata = metadata
        self.token = ""
        self.synced = asyncio.Event()
        self.events: list[tuple[str, str, int]] = []
        """Kind, id and version of each event."""
        self.states: dict[str, str] = {}
        self.errors: list[str] = []
        self._task = asyncio.create_task(self._run())

    async def saw(self, instance_id: str, state: str, timeout: float = 15) -> None:
        """Wait until the last that was told of an instance is a state (GONE for none)."""

        async def told() -> bool:
            return self.states.get(instance_id, "GONE") == state

        await rig.until(told, f"{instance_id} was told to be {state}", timeout)

    async def close(self) -> None:
        """End."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                async for answer in self.service.watch(self.text, self.token, self.metadata):
                    self._take(answer)
            except grpc.aio.AioRpcError as error:
                self.errors.append(error.code().name)
            await asyncio.sleep(0.1)

    def _take(self, answer: instance_service_pb2.WatchInstancesResponse) -> None:
        self.token = answer.resume_token or self.token
        match answer.WhichOneof("message"):
            case "synced":
                self.synced.set()
            case "error":
                self.errors.append(answer.error.code)
            case "event":
                event = answer.event
                kind = EVENT.Type.Name(event.type).removeprefix("TYPE_")
                self.events.append((kind, event.instance.id, event.instance.version))
                if event.type == EVENT.TYPE_REMOVED:
                    self.states.pop(event.instance.id, None)
                else:
                    state = instance_pb2.InstanceState.Name(event.instance.state)
                    self.states[event.instance.id] = state.removeprefix("INSTANCE_STATE_")


@pytest.fixture
async def watch(service: rig.Replica) -> Any:
    """Open watches that are closed in the end."""
    opened: list[Watcher] = []

    async def make(text: str = "", metadata: Any = None) -> Watcher:
        opened.append(Watcher(service, text, metadata))
        async with asyncio.timeout(10):
            await opened[-1].synced.wait()
        return opened[-1]

    yield make
    for one in opened:
        await one.close()


def assert_in_order(watcher: Watcher) -> None:
    """No version of an instance was told twice, or after a later one, or left out."""
    last: dict[str, int] = {}
    for kind, name, version in watcher.events:
        if kind == "ADDED":
            assert name not in last, watcher.events
        else:
            assert version == last[name] + 1, watcher.events
        last[name] = version
        if kind == "REMOVED":
            del last[name]


async def test_a_watch_tells_every_change_once(service: rig.Replica, watch: Any) -> None:
    """A watch begins with what there is and tells each later version exactly once, in order."""
    await service.create(id="before", desired_state=STOPPED)
    watcher = await watch()
    assert watcher.events == [("ADDED", "before", 1)]
    await service.create(id="after")
    await watcher.saw("after", "RUNNING")
    await service.stop("after")
    await watcher.saw("after", "STOPPED")
    await service.delete("after")
    await watcher.saw("after", "GONE")
    assert_in_order(watcher)
    assert watcher.events[-1][0] == "REMOVED"


async def test_a_watch_shows_what_its_caller_may_see(service: rig.Replica, watch: Any) -> None:
    """Others' instances are not told; what stops matching the filter is told once, as removed."""
    mine = await watch()
    bobs = await watch(metadata=service.as_user("bob"))
    everything = await watch(metadata=service.as_user("root", "admin"))
    running = await watch("state = RUNNING AND labels.course = cs101")
    await service.create(id="shown", labels={"course": "cs101"})
    for watcher in (mine, everything, running):
        await watcher.saw("shown", "RUNNING")
    await service.stop("shown")
    await mine.saw("shown", "STOPPED")
    await running.saw("shown", "GONE")
    assert [kind for kind, *_ in running.events] == ["ADDED", "REMOVED"]
    assert not bobs.events


async def test_a_watch_follows_changes_of_labels(service: rig.Replica, watch: Any) -> None:
    """What is labelled out of its filter is told as removed, into it as added; resumed as well."""
    text = "labels.course = cs101"
    everything = await watch()
    watcher = Watcher(service, text)
    async with asyncio.timeout(10):
        await watcher.synced.wait()
    since = watcher.token
    full = {f"{number}{'k' * 60}": "ä" * 63 for number in range(10, 41)}
    await service.create(id="moves", desired_state=STOPPED, labels={"course": "cs101", **full})
    await watcher.saw("moves", "STOPPED")
    await service.update("moves", "labels", labels={"course": "cs102"})
    await watcher.saw("moves", "GONE")
    await service.update("moves", "labels", labels={"course": "cs101"})
    await watcher.saw("moves", "STOPPED")
    await service.update("moves", "display_name", display_name="Moves")
    await service.update("moves", "labels", labels={})
    await watcher.saw("moves", "GONE")
    await watcher.close()
    expected = ["ADDED", "REMOVED", "ADDED", "MODIFIED", "REMOVED"]
    assert [kind for kind, *_ in watcher.events] == expected
    kinds: list[str] = []
    async with asyncio.timeout(15):
        async for answer in service.watch(text, since):
            if answer.WhichOneof("message") == "event":
                kinds.append(EVENT.Type.Name(answer.event.type).removeprefix("TYPE_"))
            if len(kinds) == len(expected):
                break
    assert kinds == expected

    async def told() -> bool:
        return len(everything.events) == len(expected)

    await rig.until(told, "all was told to who watches everything")
    assert [kind for kind, *_ in everything.events] == ["ADDED", *["MODIFIED"] * 4]


async def test_a_resumed_watch_misses_and_repeats_nothing(service: rig.Replica) -> None:
    """Whatever happened between two watches is told by the second, and nothing else."""
    watcher = Watcher(service)
    async with asyncio.timeout(10):
        await watcher.synced.wait()
    await service.create(id="first")
    await watcher.saw("first", "RUNNING")
    await watcher.close()
    await service.stop("first")
    await service.create(id="second")
    await service.until("second", "RUNNING")
    await service.until("first", "STOPPED")
    resumed = Watcher(service)
    resumed.token, resumed.events = watcher.token, watcher.events
    resumed.states = watcher.states
    await resumed.saw("second", "RUNNING")
    await resumed.saw("first", "STOPPED")
    await resumed.close()
    assert_in_order(resumed)


async def test_a_watch_survives_a_killed_nats(service: rig.Replica, watch: Any) -> None:
    """While NATS is killed again and again changes go on, and watches tell each of them once."""
    watcher = await watch()
    stack = service.parts.stack
    for number in range(3):
        name = f"storm-{number}"
        await service.create(id=name)
        programs.kill(stack, "nats")
        await service.until(name, "RUNNING")
        await service.stop(name)
        await service.until(name, "STOPPED")
        await asyncio.to_thread(stack.wait_healthy, ["nats"], 30)
        await watcher.saw(name, "STOPPED", 20)
    assert_in_order(watcher)


async def test_a_killed_store_loses_nothing(service: rig.Replica, watch: Any) -> None:
    """After kill -9 of the database and of Redis, acknowledged instances run, and are told so."""
    watcher = await watch()
    stack = service.parts.stack
    acknowledged: list[str] = []
    refusals: set[grpc.StatusCode] = set()
    for program in ("mongo", "valkey"):
        for number in range(8):
            name = f"{program}-{number}"
            if number == 4:
                programs.kill(stack, program)
            try:
                await service.create(id=name)
                acknowledged.append(name)
            except grpc.aio.AioRpcError as error:
                refusals.add(error.code())
        await asyncio.to_thread(stack.wait_healthy, [program], 30)
    assert acknowledged
    assert refusals <= {grpc.StatusCode.UNAVAILABLE}
    for name in acknowledged:
        await service.until(name, "RUNNING", 30)
        await watcher.saw(name, "RUNNING")
    assert_in_order(watcher)


async def test_a_watch_that_cannot_be_is_refused(service: rig.Replica) -> None:
    """With a status that says why, before it begins."""
    for token, text, code in (
        ("nonsense", "", "INVALID_RESUME_TOKEN"),
        ("", "state = FLYING", "INVALID_FILTER"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            [one async for one in service.watch(text, token)]
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert rig.detail(refused.value).code == code


async def test_a_quiet_watch_shows_that_it_lives(service: rig.Replica) -> None:
    """Where nothing happens a watch sends heartbeats, which can be resumed from."""
    async with asyncio.timeout(10):
        async for answer in service.watch():
            if answer.WhichOneof("message") == "heartbeat":
                assert answer.resume_token
                return


async def test_a_watch_ends_in_band_when_its_replica_goes(parts: rig.Parts) -> None:
    """A replica that is told to stop says so on each watch, in time, and another goes on."""
    async with rig.replica(parts) as one:
        call = one.watch()
        answers: list[instance_service_pb2.WatchInstancesResponse] = []

        async def read() -> None:
            async for answer in call:
                answers.append(answer)  # noqa: PERF401 - looked at while it grows

        reading = asyncio.create_task(read())

        async def synced() -> bool:
            return bool(answers)

        await rig.until(synced, "it is synced")
    await reading
    assert answers[-1].error.code == "SERVER_SHUTTING_DOWN"
    async with rig.replica(parts) as two:
        watcher = Watcher(two)
        watcher.token = answers[0].resume_token
        await two.create(id="later")
        await watcher.saw("later", "RUNNING")
        await watcher.close()
        assert_in_order(watcher)


async def test_an_id_used_again_is_told_as_another(service: rig.Replica, watch: Any) -> None:
    """An id that is deleted and taken at once is told removed, then added."""
    watcher = await watch()
    for _ in range(5):
        await service.create(id="phoenix", desired_state=STOPPED)
        await service.delete("phoenix")
        await service.until("phoenix", "GONE")
    await service.create(id="phoenix", desired_state=STOPPED)
    await watcher.saw("phoenix", "STOPPED")
    assert_in_order(watcher)
    assert sum(kind == "ADDED" for kind, *_ in watcher.events) == 6


@contextlib.asynccontextmanager
async def busy_stream(parts: rig.Parts, max_age: float) -> AsyncIterator[None]:
    """Have others publish all the time on a stream that forgets soon."""
    connection = await nats.connect(parts.stack.plan.nats_url)
    jetstream = connection.jetstream()
    before = (await jetstream.stream_info(stream.NAME)).config
    short = dataclasses.replace(before, max_age=max_age, duplicate_window=max_age)

    async def publish() -> None:
        while True:
            await jetstream.publish("events.others.something", b"")
            await asyncio.sleep(0.1)

    await jetstream.update_stream(short)
    publishing = asyncio.create_task(publish())
    try:
        yield
    finally:
        await cancellation.cancel([publishing], grace=10)
        await jetstream.update_stream(before)
        await connection.close()


async def test_a_quiet_watch_can_be_resumed_however_much_others_do(
    parts: rig.Parts, service: rig.Replica, watch: Any
) -> None:
    """A token stays good though the last event of an instance is long forgotten."""
    watcher = await watch()
    await service.create(id="before", desired_state=STOPPED)
    await watcher.saw("before", "STOPPED")
    told = watcher.token
    async with busy_stream(parts, max_age=6):

        async def forgotten() -> bool:
            async for answer in service.watch("", told):
                return answer.error.code == "WATCH_EXPIRED"
            return False

        await rig.until(forgotten, "the event is forgotten", timeout=60)
        await watcher.close()
        assert watcher.token != told
        later = Watcher(service)
        later.token = watcher.token
        await service.create(id="after", desired_state=STOPPED)
        await later.saw("after", "STOPPED")
        await later.close()
        assert not later.errors
        assert [name for _, name, _ in later.events] == ["after"] * len(later.events)
