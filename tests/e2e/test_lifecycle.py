"""The life of an instance, by REST and by gRPC alike, through the public door."""

import asyncio
import uuid
from typing import Any

import pytest
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from google.protobuf import json_format

from services.devstack.stack import Stack
from tests.e2e import scenes
from tests.e2e.people import People
from tests.e2e.ways import INSTANCES, Http, RefusedError, Way

RUNNING = instance_pb2.INSTANCE_STATE_RUNNING
STOPPED = instance_pb2.INSTANCE_STATE_STOPPED

pytestmark = [pytest.mark.stack, pytest.mark.editor]


async def _desire(way: Way, method: str, name: str, token: str, **more: Any) -> Any:
    request = getattr(instance_service_pb2, f"{method}Request")(id=name, **more)
    return await way.call(INSTANCES, method, request, token)


async def test_a_whole_life(way: Way, people: People, namespace: str) -> None:
    """Created with defaults it runs; stopped it keeps its place; started it runs; deleted, gone."""
    me, name = people.user("ann"), f"life-{way.name}-{uuid.uuid4().hex[:6]}"
    made = await scenes.create(
        way, me, id=name, namespace=namespace, resources=None, desired_state=0
    )
    assert (made.id, made.namespace, made.owner) == (name, namespace, "ann")
    assert made.display_name == name
    assert made.desired_state == instance_pb2.DESIRED_STATE_RUNNING
    assert (made.resources.cpu, made.resources.memory) == ("500m", "1Gi")
    assert made.resources.storage == "10Gi"
    assert made.url == f"/i/{name}/"
    assert made.version >= 1
    assert made.etag

    ran = await scenes.reached(way, me, name, RUNNING)
    assert [one.type for one in ran.conditions] == [1, 2, 3, 4, 5]
    assert all(one.status and one.reason for one in ran.conditions)
    assert ran.ports.callback_port == ran.ports.web_port + 50
    assert ran.ports.callback_port_range.end == ran.ports.web_port + 99
    assert ran.start_time.ToMilliseconds() >= ran.create_time.ToMilliseconds() > 0
    assert ran.etag != made.etag

    status = await way.call(
        INSTANCES,
        "GetInstanceStatus",
        instance_service_pb2.GetInstanceStatusRequest(id=name),
        me,
    )
    assert (status.id, status.state, status.version) == (name, RUNNING, ran.version)

    async def said() -> list[str]:
        request = instance_service_pb2.GetInstanceLogsRequest(id=name, tail_lines=5)
        return list((await way.call(INSTANCES, "GetInstanceLogs", request, me)).lines)

    assert len(await scenes.until(said)) <= 5

    stopping = await _desire(way, "StopInstance", name, me)
    assert stopping.desired_state == instance_pb2.DESIRED_STATE_STOPPED
    rests = await scenes.reached(way, me, name, STOPPED)
    assert rests.stop_reason == instance_pb2.STOP_REASON_USER
    assert rests.ports.web_port == 0
    await _desire(way, "StopInstance", name, me)

    await _desire(way, "StartInstance", name, me)
    await scenes.reached(way, me, name, RUNNING)
    again = await _desire(way, "StartInstance", name, me)
    assert again.desired_state == instance_pb2.DESIRED_STATE_RUNNING

    await _desire(way, "DeleteInstance", name, me)

    async def gone() -> bool:
        try:
            await scenes.get(way, me, name)
        except RefusedError as refused:
            return refused.detail.code == "INSTANCE_NOT_FOUND"
        return False

    await scenes.until(gone)
    await _desire(way, "DeleteInstance", name, me, allow_missing=True)
    with pytest.raises(RefusedError) as missing:
        await _desire(way, "DeleteInstance", name, me)
    assert missing.value.detail.code == "INSTANCE_NOT_FOUND"
    assert missing.value.detail.instance_id == name


async def test_the_specifications_body(
    http: Http, stack: Stack, people: People, namespace: str
) -> None:
    """POST /api/instances takes the specification's InstanceConfig to the letter."""
    web = stack.plan.ports.instance_base + 1700
    config = {
        "id": f"spec-{uuid.uuid4().hex[:6]}",
        "namespace": namespace,
        "resources": {"cpu": "500m", "memory": "2Gi", "storage": "10Gi"},
        "ports": {"web_port": web, "callback_port": web + 50},
        "environment": {"GREETING": "grüße", "EMPTY": ""},
    }
    made = await http.ask("POST", "/api/instances", token=people.admin, body=config)
    assert made.status == 200, made.body
    assert {key: made.json()[key] for key in ("id", "namespace", "resources", "environment")} == {
        key: config[key] for key in ("id", "namespace", "resources", "environment")
    }

    async def ports() -> dict[str, Any] | None:
        answer = await http.ask("GET", f"/api/instances/{config['id']}", token=people.admin)
        found: dict[str, Any] = answer.json()
        return found["ports"] if found["ports"]["web_port"] else None

    assert await scenes.until(ports) == {
        "web_port": web,
        "callback_port": web + 50,
        "callback_port_range": {"start": web + 50, "end": web + 99},
    }


async def test_everything_may_be_left_out(http: Http, people: People) -> None:
    """An empty body, or none, makes an instance with a friendly name in "default"."""
    for body in ({}, None):
        made = await http.ask(
            "POST", "/api/instances?validate_only=true", token=people.user("ann"), body=body
        )
        assert made.status == 200, made.body
        assert made.json()["namespace"] == "default"


async def test_list_filters_and_pages(way: Way, people: People, namespace: str) -> None:
    """Pages hold each instance once, in order; filters select; others' are not seen."""
    ann, bob = people.user("ann"), people.user("bob")
    names = [f"{namespace}-{number}" for number in range(5)]
    for number, name in enumerate(names):
        await scenes.create(
            way, ann, id=name, namespace=namespace, labels={"parity": str(number % 2)}
        )
    await scenes.create(way, bob, id=f"{namespace}-9", namespace=namespace)

    seen: list[str] = []
    token, pages = "", 0
    while token or not pages:
        request = instance_service_pb2.ListInstancesRequest(
            page_size=2, page_token=token, filter=f"namespace = {namespace}"
        )
        page = await way.call(INSTANCES, "ListInstances", request, ann)
        seen += [one.id for one in page.instances]
        token, pages = page.next_page_token, pages + 1
    assert (seen, pages) == (names, 3)

    async def ids(filter_: str, who: str) -> list[str]:
        return [one.id for one in await scenes.listed(way, who, filter_)]

    here = f"namespace = {namespace}"
    assert await ids(f'{here} AND labels.parity = "0"', ann) == names[0::2]
    assert await ids(f"{here} AND labels.parity != 0", ann) == names[1::2]
    assert await ids(f"{here} AND state = STOPPED", ann) == names
    assert await ids(f"{here} AND state = RUNNING", ann) == []
    assert await ids(f"{here} AND owner = bob", people.admin) == [f"{namespace}-9"]
    assert await ids(f"{here} AND owner = bob", ann) == []
    assert await ids(here, people.user("vic", role="viewer")) == []


async def test_a_batch_succeeds_and_fails_by_item(way: Way, people: People, namespace: str) -> None:
    """Each item has its own result, in order; one bad item stops none of the others."""
    stopped = instance_pb2.DESIRED_STATE_STOPPED
    good = [
        instance_pb2.InstanceConfig(
            id=f"{namespace}-{letter}", namespace=namespace, desired_state=stopped
        )
        for letter in "ab"
    ]
    bad = instance_pb2.InstanceConfig(
        id=f"{namespace}-c", namespace=namespace, resources=resources_pb2.Resources(cpu="-1")
    )
    request = instance_service_pb2.BatchCreateInstancesRequest(
        configs=[good[0], bad, good[1]], request_id=str(uuid.uuid4())
    )
    answer = await way.call(INSTANCES, "BatchCreateInstances", request, people.user("ann"))
    assert (answer.created, answer.failed) == (2, 1)
    assert [one.WhichOneof("result") for one in answer.results] == ["instance", "error", "instance"]
    assert answer.results[0].instance.id == f"{namespace}-a"
    error = answer.results[1].error
    assert error.code == "INVALID_ARGUMENT"
    assert [one.field for one in error.violations] == ["configs[1].resources.cpu"]
    repeated = await way.call(INSTANCES, "BatchCreateInstances", request, people.user("ann"))
    assert [one.instance.id for one in repeated.results] == [
        one.instance.id for one in answer.results
    ]


async def test_a_retry_is_the_same_instance(way: Way, people: People, namespace: str) -> None:
    """One request_id makes one instance, whoever races; with another body it is refused."""
    ann, request_id = people.user("ann"), str(uuid.uuid4())
    made = await asyncio.gather(
        *(scenes.create(way, ann, namespace=namespace, request_id=request_id) for _ in range(5))
    )
    assert len({one.id for one in made}) == 1
    assert len(await scenes.listed(way, ann, f"namespace = {namespace}")) == 1
    with pytest.raises(RefusedError) as other:
        await scenes.create(
            way, ann, namespace=namespace, request_id=request_id, display_name="another"
        )
    assert "request_id" in other.value.detail.message + other.value.detail.details


async def test_validate_only_makes_nothing(way: Way, people: People, namespace: str) -> None:
    """Everything is checked, quota and name included; nothing is there afterwards."""
    ann = people.user("ann")
    request = instance_service_pb2.CreateInstanceRequest(
        config=instance_pb2.InstanceConfig(id=f"{namespace}-v", namespace=namespace),
        validate_only=True,
    )
    checked = await way.call(INSTANCES, "CreateInstance", request, ann)
    assert checked.id == f"{namespace}-v"
    assert await scenes.listed(way, ann, f"namespace = {namespace}") == []
    request.config.resources.memory = "2Gb"
    with pytest.raises(RefusedError) as refused:
        await way.call(INSTANCES, "CreateInstance", request, ann)
    assert refused.value.detail.violations[0].field == "config.resources.memory"


async def test_only_what_was_seen_is_changed(way: Way, people: People, namespace: str) -> None:
    """A start, stop or delete with an etag of the past is refused, and changes nothing."""
    ann = people.user("ann")
    made = await scenes.create(way, ann, namespace=namespace)
    made = await scenes.reached(way, ann, made.id, STOPPED)
    for method in ("StartInstance", "StopInstance", "DeleteInstance"):
        with pytest.raises(RefusedError) as refused:
            await _desire(way, method, made.id, ann, etag="of-the-past")
        assert refused.value.detail.code == "ETAG_MISMATCH"
    assert (await scenes.get(way, ann, made.id)).etag == made.etag
    await _desire(way, "DeleteInstance", made.id, ann, etag=made.etag)


async def test_names_are_taken_once(way: Way, people: People, namespace: str) -> None:
    """A name in use is refused, to its owner and to others alike."""
    made = await scenes.create(way, people.user("ann"), namespace=namespace)
    for who in ("ann", "bob"):
        with pytest.raises(RefusedError) as refused:
            await scenes.create(way, people.user(who), id=made.id, namespace=namespace)
        assert refused.value.status in (409, scenes.ALREADY_EXISTS)
        assert refused.value.detail.code == "INSTANCE_ALREADY_EXISTS"


async def test_json_is_the_contracts(http: Http, people: People, namespace: str) -> None:
    """Fields have their proto names, numbers are numbers, states are names, times end in Z."""
    made = await http.ask(
        "POST",
        "/api/instances",
        token=people.user("ann"),
        body={"namespace": namespace, "desired_state": "DESIRED_STATE_STOPPED"},
    )
    body = made.json()
    assert body["state"] == "INSTANCE_STATE_STOPPED"
    assert isinstance(body["version"], int)
    assert body["reconciling"] in (True, False)
    assert body["create_time"].endswith("Z")
    json_format.ParseDict(body, instance_pb2.Instance())
