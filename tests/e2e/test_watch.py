"""Following instances: everything that is there, then every change, each once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

from tests.e2e import scenes
from tests.e2e.people import People
from tests.e2e.ways import INSTANCES, RefusedError, Way

Event = instance_service_pb2.InstanceEvent

pytestmark = pytest.mark.stack


class Follower:
    """Reads a watch: what came, and where to resume."""

    def __init__(self, way: Way, token: str, **request: str) -> None:
        self._messages: AsyncIterator[Any] = way.stream(
            INSTANCES,
            "WatchInstances",
            instance_service_pb2.WatchInstancesRequest(**request),
            token,
        )
        self.resume_token = request.get("resume_token", "")

    async def next(self) -> Any:
        """Give the next message that is not a heartbeat."""
        async with asyncio.timeout(20):
            async for message in self._messages:
                self.resume_token = message.resume_token or self.resume_token
                if message.WhichOneof("message") != "heartbeat":
                    return message
        raise AssertionError("the watch ended")

    async def synced(self) -> dict[str, int]:
        """Read to SYNCED; give the type of the last event of each instance before it."""
        found: dict[str, int] = {}
        while (message := await self.next()).WhichOneof("message") == "event":
            found[message.event.instance.id] = message.event.type
        assert message.WhichOneof("message") == "synced", message
        assert message.synced.instances == len(found)
        return found

    async def event(self) -> Any:
        """Give the next event."""
        message = await self.next()
        assert message.WhichOneof("message") == "event", message
        return message.event

    async def removed(self) -> list[int]:
        """Read to the first REMOVED; give the versions on the way, that of REMOVED last."""
        versions = []
        while True:
            event = await self.event()
            versions.append(event.instance.version)
            if event.type == Event.TYPE_REMOVED:
                return versions

    async def close(self) -> None:
        """Stop following."""
        await self._messages.aclose()  # type: ignore[attr-defined]


async def test_follows_from_the_beginning(way: Way, people: People, namespace: str) -> None:
    """What is there comes first, then SYNCED, then changes in their order, to the removal."""
    ann = people.user("ann")
    first = await scenes.create(way, ann, namespace=namespace)
    watch = Follower(way, ann, filter=f"namespace = {namespace}")
    assert await watch.synced() == {first.id: Event.TYPE_ADDED}
    second = await scenes.create(way, ann, namespace=namespace)
    event = await watch.event()
    assert (event.type, event.instance.id) == (Event.TYPE_ADDED, second.id)
    request = instance_service_pb2.DeleteInstanceRequest(id=second.id)
    await way.call(INSTANCES, "DeleteInstance", request, ann)
    versions = [event.instance.version, *await watch.removed()]
    assert versions == sorted(set(versions)) or versions[:-1] == sorted(set(versions[:-1]))
    await watch.close()


async def test_resumes_with_nothing_missed_or_repeated(
    way: Way, people: People, namespace: str
) -> None:
    """What happened while nobody followed comes first, and nothing that was seen before."""
    ann, here = people.user("ann"), f"namespace = {namespace}"
    watch = Follower(way, ann, filter=here)
    await watch.synced()
    before = await scenes.create(way, ann, namespace=namespace)
    assert (await watch.event()).instance.id == before.id
    await watch.close()
    missed = [await scenes.create(way, ann, namespace=namespace) for _ in range(3)]
    resumed = Follower(way, ann, filter=here, resume_token=watch.resume_token)
    seen: dict[str, int] = {}
    while set(seen) != {one.id for one in missed}:
        event = await resumed.event()
        name, version = event.instance.id, event.instance.version
        assert version > seen.get(name, before.version if name == before.id else 0), event
        assert (event.type == Event.TYPE_ADDED) == (name not in seen and name != before.id)
        if name != before.id:
            seen[name] = version
    await resumed.close()


async def test_a_filter_that_no_longer_matches_removes(
    way: Way, people: People, namespace: str
) -> None:
    """An instance that leaves the filter is sent once more, as REMOVED, alive as it is."""
    ann = people.user("ann")
    made = await scenes.create(way, ann, namespace=namespace)
    watch = Follower(
        way, ann, filter=f"namespace = {namespace} AND desired_state != DESIRED_STATE_DELETED"
    )
    assert set(await watch.synced()) == {made.id}
    request = instance_service_pb2.DeleteInstanceRequest(id=made.id)
    await way.call(INSTANCES, "DeleteInstance", request, ann)
    event = await watch.event()
    assert event.type == Event.TYPE_REMOVED
    assert event.instance.state == instance_pb2.INSTANCE_STATE_DELETING
    await watch.close()


async def test_others_are_not_seen(way: Way, people: People, namespace: str) -> None:
    """A watch shows one's own instances only; an administrator's shows all."""
    ann, bob, here = people.user("ann"), people.user("bob"), f"namespace = {namespace}"
    made = await scenes.create(way, ann, namespace=namespace)
    watches = [Follower(way, who, filter=here) for who in (bob, people.admin)]
    assert [set(await watch.synced()) for watch in watches] == [set(), {made.id}]
    of_bob = await scenes.create(way, bob, namespace=namespace)
    assert (await watches[0].event()).instance.id == of_bob.id
    for watch in watches:
        await watch.close()


@pytest.mark.parametrize(
    ("request_", "field"),
    [({"filter": "colour = red"}, "filter"), ({"resume_token": "not-one"}, "resume_token")],
)
async def test_nonsense_is_refused(
    way: Way, people: People, request_: dict[str, str], field: str
) -> None:
    """A filter or token that means nothing is refused by status, before the watch begins."""
    watch = Follower(way, people.user("ann"), **request_)
    with pytest.raises(RefusedError) as refused:
        await watch.next()
    assert refused.value.status in (400, grpc.StatusCode.INVALID_ARGUMENT)
    assert refused.value.detail.code.startswith("INVALID_")
    assert field in refused.value.detail.message
    await watch.close()
