"""One part is stopped: callers are told which, in the usual form, and all is well once it is back.

Sudden deaths are in tests/chaos; here parts are stopped by their supervisor and stay away.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
import pytest
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from codestudio.quota.v1 import quota_service_pb2
from codestudio.resource.v1 import resource_service_pb2
from google.protobuf.message import Message

from services.devstack.stack import Stack
from tests.e2e import scenes
from tests.e2e.people import People
from tests.e2e.ways import INSTANCES, QUOTA, RESOURCES, Http, RefusedError, Way

Call: TypeAlias = tuple[str, str, Message]
"""Service, method, request."""

UNAVAILABLE = (503, grpc.StatusCode.UNAVAILABLE)
LATE = (504, grpc.StatusCode.DEADLINE_EXCEEDED)
SECONDS = 30.0

CREATE = instance_service_pb2.CreateInstanceRequest(
    config=instance_pb2.InstanceConfig(desired_state=instance_pb2.DESIRED_STATE_STOPPED),
    validate_only=True,
)
GET_QUOTA = quota_service_pb2.GetQuotaRequest(namespace="default")
LIST = instance_service_pb2.ListInstancesRequest()
USAGE = resource_service_pb2.GetResourceUsageRequest()

pytestmark = pytest.mark.stack


@contextlib.asynccontextmanager
async def away(stack: Stack, program: str) -> AsyncIterator[None]:
    """Stop a program for a while; it is healthy again afterwards, whatever happened."""
    await asyncio.to_thread(stack.stop, program)
    try:
        yield
    finally:
        await asyncio.to_thread(stack.start, program)


async def refusal(way: Way, call: Call, token: str) -> RefusedError | None:
    """Call; give the error, or None if it worked."""
    try:
        await way.call(*call, token)
    except RefusedError as refused:
        return refused
    return None


async def all_answer(ways: list[Way], calls: list[Call], token: str) -> None:
    """Wait until every call works by every way; until then a part may be away, nothing else."""

    async def back() -> bool:
        found = [await refusal(way, call, token) for way in ways for call in calls]
        errors = [error for error in found if error is not None]
        assert all(error.status in (*UNAVAILABLE, *LATE) for error in errors), errors
        return not errors

    await scenes.until(back, SECONDS)


@pytest.mark.parametrize(
    ("program", "calls"),
    [
        ("quota", [(QUOTA, "GetQuota", GET_QUOTA), (INSTANCES, "CreateInstance", CREATE)]),
        ("resource", [(RESOURCES, "GetResourceUsage", USAGE)]),
        ("instance", [(INSTANCES, "ListInstances", LIST)]),
    ],
    ids=["quota", "resource", "instance"],
)
async def test_a_service_is_away(
    ways: list[Way], stack: Stack, people: People, program: str, calls: list[Call]
) -> None:
    """UNAVAILABLE, 503, naming the service that is away, also behind another; then all is well."""
    async with away(stack, program):
        # At once: each call is retried by the door for a while before it gives up.
        found = await asyncio.gather(
            *(refusal(way, call, people.admin) for way in ways for call in calls)
        )
        for error in found:
            assert error is not None
            assert error.status in UNAVAILABLE, error
            assert error.detail.code == "SERVICE_UNAVAILABLE"
            assert f"{program}-service" in f"{error.detail.service} {error.detail.message}"
    await all_answer(ways, calls, people.admin)


async def test_edge_is_away(http: Http, stack: Stack, people: People) -> None:
    """Without edge nobody gets to an editor or a page, and is told why; the API goes on."""
    async with away(stack, "edge"):
        for path in ("/", "/i/a/"):
            answer = await http.ask("GET", path, token=people.admin)
            assert answer.status == 503, (path, answer)
            detail = answer.error()
            assert (detail.code, detail.service) == ("SERVICE_UNAVAILABLE", "edge-service")
            assert answer.headers["retry-after"]
        listed = await http.ask("GET", "/api/instances", token=people.admin)
        assert listed.status == 200

    async def back() -> bool:
        return (await http.ask("GET", "/", token=people.admin)).status == 200

    await scenes.until(back, SECONDS)


async def _ready(http: Http, stack: Stack, service: str) -> tuple[int, dict[str, Any]]:
    port = stack.plan.ports.admin(service)
    async with http.session.get(f"http://127.0.0.1:{port}/ready") as response:
        return response.status, (await response.json())["connectors"]


@pytest.mark.parametrize(
    ("program", "connector", "codes"),
    [
        ("valkey", "redis", {"REDIS_UNAVAILABLE"}),
        ("mongo", "mongodb", {"MONGODB_UNAVAILABLE"}),
        ("nats", "nats", set()),
    ],
)
async def test_a_store_is_away(
    ways: list[Way],
    http: Http,
    stack: Stack,
    people: People,
    program: str,
    connector: str,
    codes: set[str],
) -> None:
    """Readiness says which store is away, wherever it is needed; calls say so or still work."""
    services = [name for name in stack.plan.services if name != "edge"]
    needing = [
        name
        for name in services
        if (await _ready(http, stack, name))[1].get(connector, {}).get("required")
    ]
    assert needing

    async def all_are(status: int) -> bool:
        return all([(await _ready(http, stack, name))[0] == status for name in needing])

    calls: list[Call] = [
        (INSTANCES, "CreateInstance", CREATE),
        (INSTANCES, "ListInstances", LIST),
        (QUOTA, "GetQuota", GET_QUOTA),
        (RESOURCES, "GetResourceUsage", USAGE),
    ]
    async with away(stack, program):
        await scenes.until(lambda: all_are(503), SECONDS)
        for name in needing:
            _, connectors = await _ready(http, stack, name)
            assert not connectors[connector]["ready"]
            assert connectors[connector]["reason"]
        found = await asyncio.gather(
            *(refusal(way, call, people.admin) for way in ways for call in calls)
        )
    errors = [error for error in found if error is not None]
    assert all(error.status in UNAVAILABLE for error in errors), errors
    assert {error.detail.code for error in errors} == codes
    await scenes.until(lambda: all_are(200), SECONDS)
    await all_answer(ways, calls, people.admin)
