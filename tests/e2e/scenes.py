"""What tests do again and again: make an instance, wait for a state, clear up."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

from tests.e2e.ways import INSTANCES, Way

SECONDS = 60.0
"""How long an instance may take to become what was asked for, on a loaded machine."""

ALREADY_EXISTS = grpc.StatusCode.ALREADY_EXISTS

SMALL = resources_pb2.Resources(cpu="500m", memory="1Gi", storage="1Gi")


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = SECONDS) -> Any:
    """Wait until a condition gives something true, and give it."""
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {condition}"
        await asyncio.sleep(0.1)
    return found


async def create(
    way: Way, token: str, *, request_id: str = "", **config: Any
) -> instance_pb2.Instance:
    """Create an instance, by default stopped: no editor is started that nobody needs."""
    config.setdefault("desired_state", instance_pb2.DESIRED_STATE_STOPPED)
    config.setdefault("resources", SMALL)
    request = instance_service_pb2.CreateInstanceRequest(
        config=instance_pb2.InstanceConfig(**config), request_id=request_id
    )
    made: instance_pb2.Instance = await way.call(INSTANCES, "CreateInstance", request, token)
    return made


async def get(way: Way, token: str, name: str) -> instance_pb2.Instance:
    """Read an instance."""
    request = instance_service_pb2.GetInstanceRequest(id=name)
    found: instance_pb2.Instance = await way.call(INSTANCES, "GetInstance", request, token)
    return found


async def reached(way: Way, token: str, name: str, state: int) -> instance_pb2.Instance:
    """Wait until an instance is at rest in a state; fails at once when it failed."""

    async def there() -> instance_pb2.Instance | None:
        found = await get(way, token, name)
        failed = found.state == instance_pb2.INSTANCE_STATE_FAILED != state
        assert not failed, found.failure
        return found if found.state == state and not found.reconciling else None

    return await until(there)


async def listed(
    way: Way, token: str, filter_: str = "", **more: Any
) -> list[instance_pb2.Instance]:
    """List one page of instances."""
    request = instance_service_pb2.ListInstancesRequest(filter=filter_, **more)
    return list((await way.call(INSTANCES, "ListInstances", request, token)).instances)


async def clear(way: Way, namespace: str, token: str) -> None:
    """Delete all instances of a namespace and wait until they are gone."""
    here = f"namespace = {namespace}"
    for instance in await listed(way, token, here, page_size=1000):
        await way.call(
            INSTANCES,
            "DeleteInstance",
            instance_service_pb2.DeleteInstanceRequest(id=instance.id, allow_missing=True),
            token,
        )

    async def gone() -> bool:
        return not await listed(way, token, here)

    await until(gone)
