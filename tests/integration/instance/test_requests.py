"""What callers may ask, and how they are told that they may not."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable
from typing import Any

import grpc
import pytest
import redis.asyncio as redis
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

from tests.integration.instance import rig

STOPPED = instance_pb2.DESIRED_STATE_STOPPED


async def _refused(call: Any, code: grpc.StatusCode, name: str) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    detail = rig.detail(refused.value)
    assert (refused.value.code(), detail.code) == (code, name), refused.value
    return detail


async def test_every_violation_is_told_at_once(service: rig.Replica) -> None:
    """A bad config is answered with each of its faults, by path, and creates nothing."""
    detail = await _refused(
        service.create(
            id="No_Such-",
            namespace="x" * 300,
            display_name="y" * 300,
            resources=resources_pb2.Resources(cpu="-1", memory="2Gb", storage="0"),
            ports=instance_pb2.PortRequest(web_port=80, callback_port=90),
            environment={"1A": "x", "CODESTUDIO_X": "y"},
            labels={"-": "z"},
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_ARGUMENT",
    )
    assert {one.field for one in detail.violations} == {
        "config.id",
        "config.namespace",
        "config.display_name",
        "config.resources.cpu",
        "config.resources.memory",
        "config.resources.storage",
        "config.ports.web_port",
        "config.ports.callback_port",
        "config.environment[1A]",
        "config.environment[CODESTUDIO_X]",
        "config.labels[-]",
    }
    assert not service.parts.world.reservations


async def test_fifty_racers_with_one_request_make_one_instance(service: rig.Replica) -> None:
    """However often and however closely a request is repeated, it makes one instance."""
    request_id = str(uuid.uuid4())
    made = await asyncio.gather(
        *(service.create(request_id, desired_state=STOPPED) for _ in range(50))
    )
    assert len({one.id for one in made}) == 1
    assert len(service.parts.world.reservations) == 1
    page = await service.stub.ListInstances(
        instance_service_pb2.ListInstancesRequest(), metadata=service.metadata
    )
    assert len(page.instances) == 1
    await _refused(
        service.create(request_id, display_name="another"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "REQUEST_ID_REUSED",
    )


async def test_fifty_racers_for_one_id_make_one_instance(service: rig.Replica) -> None:
    """Of many who want the same id one gets it, and keeps what it reserved."""
    results = await asyncio.gather(
        *(service.create(id="wanted", desired_state=STOPPED) for _ in range(50)),
        return_exceptions=True,
    )
    made = [one for one in results if isinstance(one, instance_pb2.Instance)]
    refused = [one for one in results if isinstance(one, grpc.aio.AioRpcError)]
    assert len(made) == 1
    assert {rig.detail(one).code for one in refused} == {"INSTANCE_ALREADY_EXISTS"}
    assert set(service.parts.world.reservations) == {"wanted"}


async def test_over_quota_nothing_is_left(service: rig.Replica) -> None:
    """A refusal by quota is immediate; the id stays free."""
    service.parts.world.instances_limit = 1
    await service.create(id="one", desired_state=STOPPED)
    await _refused(service.create(id="two"), grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    await _refused(
        service.create(id="two", validate_only=True, namespace="other"),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "QUOTA_EXCEEDED",
    )
    service.parts.world.instances_limit = 2
    would = await service.create(id="two", validate_only=True)
    assert would.id == "two"
    assert would.update_time.ToMilliseconds() >= would.create_time.ToMilliseconds() > 0
    assert "two" not in service.parts.world.reservations
    await service.create(id="two", desired_state=STOPPED)


async def test_a_start_over_quota_is_refused_and_nothing_is_held(service: rig.Replica) -> None:
    """A start that the quota does not allow is refused at once; the instance stays stopped."""
    outside = service.parts.world
    await service.create(id="sleeper", desired_state=STOPPED)
    outside.faults["ReserveQuota"] = (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    await _refused(service.start("sleeper"), grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    del outside.faults["ReserveQuota"]
    assert await service.state("sleeper") == "STOPPED"
    await service.start("sleeper")
    await service.until("sleeper", "RUNNING")


async def test_instances_are_their_owners(service: rig.Replica) -> None:
    """Nobody but its owner and administrators sees or changes an instance."""
    made = await service.create(id="private", desired_state=STOPPED)
    bob, admin = service.as_user("bob"), service.as_user("root", "admin")
    for metadata in (bob, service.as_user("eve", "viewer")):
        await _refused(
            service.get(made.id, metadata),
            grpc.StatusCode.PERMISSION_DENIED,
            "INSTANCE_NOT_YOURS",
        )
    for call in (service.stub.StopInstance, service.stub.StartInstance):
        message = (
            instance_service_pb2.StopInstanceRequest
            if call is service.stub.StopInstance
            else instance_service_pb2.StartInstanceRequest
        )
        await _refused(
            call(message(id=made.id), metadata=bob),
            grpc.StatusCode.PERMISSION_DENIED,
            "INSTANCE_NOT_YOURS",
        )
    assert (await service.get(made.id, admin)).owner == "alice"
    listing = instance_service_pb2.ListInstancesRequest()
    assert not (await service.stub.ListInstances(listing, metadata=bob)).instances
    assert len((await service.stub.ListInstances(listing, metadata=admin)).instances) == 1
    await _refused(
        service.create(namespace="secret", metadata=service.as_user("bob", namespaces=("team",))),
        grpc.StatusCode.PERMISSION_DENIED,
        "NAMESPACE_DENIED",
    )


async def test_an_old_etag_changes_nothing(service: rig.Replica) -> None:
    """A write with an etag that is not the newest is refused; with the newest it is not."""
    made = await service.create(id="versioned")
    await service.until(made.id, "RUNNING")
    for call in (service.stop, service.delete, service.start):
        await _refused(call(made.id, made.etag), grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    newest = await service.get(made.id)
    await service.stop(made.id, newest.etag)


async def test_pages_are_stable_while_others_come(service: rig.Replica) -> None:
    """Paging shows every instance that was there from the start exactly once."""
    there = {f"old-{number:03d}" for number in range(60)}
    await _batch(service, there)
    seen: list[str] = []
    token = ""
    for number in range(100):
        await _batch(service, {f"new-{number:03d}", f"zzz-{number:03d}", f"aaa-{number:03d}"})
        page = await service.stub.ListInstances(
            instance_service_pb2.ListInstancesRequest(page_size=7, page_token=token),
            metadata=service.metadata,
        )
        seen += [one.id for one in page.instances]
        token = page.next_page_token
        if not token or seen[-1] > "old-999":
            break
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen))
    assert there <= set(seen)


async def test_lists_are_filtered(service: rig.Replica) -> None:
    """A filter gives exactly what it says; page tokens belong to it; sizes have a limit."""
    for name, course in (("a1", "cs101"), ("a2", "cs102"), ("a3", 'q"uo te')):
        await service.create(
            id=name, labels={"course": course, "app.io/x": "1"}, desired_state=STOPPED
        )
    await service.create(id="a4", namespace="team")
    await service.until("a4", "RUNNING")

    async def found(text: str) -> list[str]:
        page = await service.stub.ListInstances(
            instance_service_pb2.ListInstancesRequest(filter=text), metadata=service.metadata
        )
        return [one.id for one in page.instances]

    assert await found("") == ["a1", "a2", "a3", "a4"]
    assert await found("state = RUNNING") == ["a4"]
    assert await found('state != "INSTANCE_STATE_RUNNING"') == ["a1", "a2", "a3"]
    assert await found("labels.course=cs101") == ["a1"]
    assert await found('labels.course = "q\\"uo te"') == ["a3"]
    assert await found("labels.course != cs101") == ["a2", "a3", "a4"]
    assert await found("labels.app.io/x = 1 AND labels.course != cs101") == ["a2", "a3"]
    assert await found("labels.course = cs101 AND labels.course = cs102") == []
    assert await found("namespace = team AND desired_state = RUNNING AND owner = alice") == ["a4"]
    assert await found("state = RUNNING AND state = STOPPED") == []
    for bad in ("state", "state =", "nope = 1", "state = FLYING", "a = 1 OR b = 2", 'x = "'):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await found(bad)
        assert rig.detail(refused.value).code == "INVALID_FILTER", bad
    list_call = service.stub.ListInstances
    first = await list_call(
        instance_service_pb2.ListInstancesRequest(page_size=1), metadata=service.metadata
    )
    for wrong, field in (
        ({"page_size": 1001}, "page_size"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "nonsense"}, "page_token"),
        ({"page_token": first.next_page_token, "filter": "state = RUNNING"}, "page_token"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await list_call(
                instance_service_pb2.ListInstancesRequest(**wrong),  # type: ignore[arg-type]
                metadata=service.metadata,
            )
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert [one.field for one in rig.detail(refused.value).violations] == [field]


async def test_a_batch_answers_item_by_item(service: rig.Replica) -> None:
    """In a batch each item stands for itself, and a retry makes nothing twice."""
    request_id = str(uuid.uuid4())
    configs = [
        instance_pb2.InstanceConfig(id="good", desired_state=STOPPED),
        instance_pb2.InstanceConfig(resources=resources_pb2.Resources(cpu="-1")),
        instance_pb2.InstanceConfig(desired_state=STOPPED),
    ]
    request = instance_service_pb2.BatchCreateInstancesRequest(
        configs=configs, request_id=request_id
    )
    first = await service.stub.BatchCreateInstances(request, metadata=service.metadata)
    again = await service.stub.BatchCreateInstances(request, metadata=service.metadata)
    assert (first.created, first.failed) == (2, 1)
    assert first.results[1].error.violations[0].field == "configs[1].resources.cpu"
    assert [one.instance.id for one in first.results] == [one.instance.id for one in again.results]
    assert len(service.parts.world.reservations) == 2
    for count in (0, 101):
        await _refused(
            service.stub.BatchCreateInstances(
                instance_service_pb2.BatchCreateInstancesRequest(configs=[configs[0]] * count),
                metadata=service.metadata,
            ),
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
        )


async def test_a_batch_reserves_its_quota_together(service: rig.Replica) -> None:
    """A hundred creations ask for quota in a few calls; each is granted or refused by itself."""
    world = service.parts.world
    world.instances_limit = 60
    ids = [f"many-{number:03d}" for number in range(100)]
    answer = await service.stub.BatchCreateInstances(_stopped(ids), metadata=service.metadata)
    assert (answer.created, answer.failed) == (60, 40)
    assert world.calls["ReserveQuota"] + world.calls["BatchReserveQuota"] < 40
    made = {one.instance.id for one in answer.results if one.HasField("instance")}
    assert {one.error.code for one in answer.results if one.HasField("error")} == {"QUOTA_EXCEEDED"}
    assert set(world.reservations) == made


async def test_a_batch_whose_reservations_may_be_made_leaves_none(service: rig.Replica) -> None:
    """Where Quota dies after it reserved, what was reserved is given back; a retry makes all."""
    world = service.parts.world
    lost = grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE"
    world.faults["ReserveQuota"] = world.faults["BatchReserveQuota answered"] = lost
    request = _stopped([f"many-{number:02d}" for number in range(20)], str(uuid.uuid4()))
    answer = await service.stub.BatchCreateInstances(request, metadata=service.metadata)
    assert {one.error.code for one in answer.results} == {"SERVICE_UNAVAILABLE"}
    assert world.calls["BatchReserveQuota"]
    assert not world.reservations
    world.faults.clear()
    answer = await service.stub.BatchCreateInstances(request, metadata=service.metadata)
    assert answer.created == len(world.reservations) == 20


async def test_logs_and_status(service: rig.Replica) -> None:
    """Logs come from the runtime, to owners only; status is the instance, shortened."""
    await service.create(id="talker")
    await service.until("talker", "RUNNING")
    logs = await service.stub.GetInstanceLogs(
        instance_service_pb2.GetInstanceLogsRequest(id="talker"), metadata=service.metadata
    )
    assert list(logs.lines) == ["one", "two"]
    await _refused(
        service.stub.GetInstanceLogs(
            instance_service_pb2.GetInstanceLogsRequest(id="talker"),
            metadata=service.as_user("bob"),
        ),
        grpc.StatusCode.PERMISSION_DENIED,
        "INSTANCE_NOT_YOURS",
    )
    status = await service.stub.GetInstanceStatus(
        instance_service_pb2.GetInstanceStatusRequest(id="talker"), metadata=service.metadata
    )
    assert status.state == instance_pb2.INSTANCE_STATE_RUNNING
    assert len(status.conditions) == 5


async def test_writers_read_what_they_wrote(service: rig.Replica) -> None:
    """Whoever was told that a write succeeded sees it in the next read."""
    for number in range(5):
        made = await service.create(id=f"own-{number}")
        assert (await service.get(made.id)).version >= made.version
        await service.until(made.id, "RUNNING")
        stopped = await service.stop(made.id)
        assert (await service.get(made.id)).version >= stopped.version
        await service.delete(made.id)
        assert await service.state(made.id) in ("DELETING", "GONE")


async def test_the_state_is_where_other_services_look_for_it(service: rig.Replica) -> None:
    """Redis has the newest state for a minute, without the environment, and no longer."""
    async with redis.Redis.from_url(
        service.parts.stack.plan.redis_url, decode_responses=True
    ) as client:
        await service.create(id="shown", environment={"SECRET": "x"})
        await service.until("shown", "RUNNING")
        key = "instance_state:shown"

        async def told() -> bool:
            return json.loads(await client.get(key) or "{}").get("state") == (
                "INSTANCE_STATE_RUNNING"
            )

        await rig.until(told, "the state is in Redis")
        assert "SECRET" not in (await client.get(key) or "")
        assert 0 < await client.ttl(key) <= 60
        await service.delete("shown")

        async def gone() -> bool:
            return not await client.exists(key)

        await rig.until(gone, "the state is gone from Redis")


def _stopped(
    ids: Iterable[str], request_id: str = ""
) -> instance_service_pb2.BatchCreateInstancesRequest:
    configs = [instance_pb2.InstanceConfig(id=one, desired_state=STOPPED) for one in ids]
    return instance_service_pb2.BatchCreateInstancesRequest(configs=configs, request_id=request_id)


async def _batch(service: rig.Replica, ids: set[str]) -> None:
    request = _stopped(sorted(ids))
    answer = await service.stub.BatchCreateInstances(request, metadata=service.metadata)
    assert not answer.failed
