"""How fast the API answers: reads by gRPC and REST beside a bare server, and a page of many."""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import grpc
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from codestudio.quota.v1 import quota_service_pb2, quota_service_pb2_grpc

from tests.bench import editors, figures
from tests.bench.target import Target

_CLIENTS = 16
_SECONDS = 4.0
_ROUNDS = 3
_RECORDS = 10_000
_BATCH = 100
_PAGES = 60
_QUIET_SECONDS = 5

Call = Callable[[], Awaitable[object]]


async def _rate(call: Call) -> float:
    """Give the calls a second that `_CLIENTS` tasks reach together."""
    done = 0
    deadline = time.perf_counter() + _SECONDS

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < deadline:
            await call()
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    return done / (time.perf_counter() - began)


async def reads(target: Target) -> dict[str, Any]:
    """Compare GetInstance with a bare echo by the same client; REST and Envoy beside it."""
    record = instance_pb2.InstanceConfig(desired_state=instance_pb2.DESIRED_STATE_STOPPED)
    stub = instance_service_pb2_grpc.InstanceServiceStub
    request = instance_service_pb2.GetInstanceRequest
    port = editors.free_port()
    echo = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.echo", str(port))
    try:
        async with (
            target.channel("gateway") as gateway,
            target.channel("instance") as direct,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as bare,
            aiohttp.ClientSession(headers={"authorization": f"Bearer {target.token}"}) as http,
        ):
            await bare.channel_ready()
            made = await stub(gateway).CreateInstance(
                instance_service_pb2.CreateInstanceRequest(config=record), metadata=target.metadata
            )
            rest = f"{target.gateway_url}/api/instances/{made.id}"

            async def get_rest() -> None:
                async with http.get(rest) as response:
                    response.raise_for_status()
                    await response.read()

            calls: dict[str, Call] = {
                "echo": lambda: stub_bare(request(id=made.id), metadata=target.metadata),
                "grpc": lambda: stub_direct(request(id=made.id), metadata=target.metadata),
                "grpc_envoy": lambda: stub_gateway(request(id=made.id), metadata=target.metadata),
                "rest_envoy": get_rest,
            }
            stub_bare = stub(bare).GetInstance
            stub_direct = stub(direct).GetInstance
            stub_gateway = stub(gateway).GetInstance
            rounds: dict[str, list[float]] = {name: [] for name in calls}
            for _ in range(_ROUNDS):
                for name, call in calls.items():
                    rounds[name].append(await _rate(call))
            await stub(gateway).DeleteInstance(
                instance_service_pb2.DeleteInstanceRequest(id=made.id), metadata=target.metadata
            )
    finally:
        echo.kill()
        await echo.wait()
    rates = {name: statistics.median(values) for name, values in rounds.items()}
    return {
        "clients": _CLIENTS,
        "calls_per_second": {name: round(rate) for name, rate in rates.items()},
        "ratio_to_echo": {name: round(rate / rates["echo"], 2) for name, rate in rates.items()},
        "target": "grpc >= 0.5 of echo",
    }


async def pages(target: Target) -> dict[str, Any]:
    """Time a page of 100 out of 10,000 records, all through the gateway."""
    metadata = target.metadata
    async with target.channel("gateway") as channel:
        quota = quota_service_pb2_grpc.QuotaServiceStub(channel)
        limits = quota_service_pb2.Amounts(
            instances=2 * _RECORDS, cpu="100000", memory="100Ti", storage="1000Ti"
        )
        await quota.UpdateQuota(
            quota_service_pb2.UpdateQuotaRequest(
                quota=quota_service_pb2.Quota(namespace="many", limits=limits)
            ),
            metadata=metadata,
        )
        instances = instance_service_pb2_grpc.InstanceServiceStub(channel)
        began = time.perf_counter()
        for first in range(0, _RECORDS, _BATCH):
            await _create_batch(instances, first, metadata)
        creation = time.perf_counter() - began
        await _at_rest(target)
        times: list[float] = []
        token = ""
        for _ in range(_PAGES):
            began = time.perf_counter()
            page = await instances.ListInstances(
                instance_service_pb2.ListInstancesRequest(
                    page_size=100, page_token=token, filter='namespace = "many"'
                ),
                metadata=metadata,
            )
            times.append(time.perf_counter() - began)
            if len(page.instances) != 100:
                raise RuntimeError(f"a page held {len(page.instances)} instances, not 100")
            token = page.next_page_token
    return {
        "records": _RECORDS,
        "records_created_per_second": round(_RECORDS / creation),
        "page_of_100": figures.milliseconds(times),
        "target": "median < 50 ms",
    }


async def _at_rest(target: Target) -> None:
    """Wait until the reconciler has had nothing to do for a while: ten thousand were just made."""
    url = f"http://127.0.0.1:{target.stack.plan.ports.admin('instance')}/metrics"
    quiet = 0
    async with aiohttp.ClientSession() as http:
        while quiet < _QUIET_SECONDS:
            await asyncio.sleep(1)
            async with http.get(url) as response:
                waiting = "codestudio_reconcile_waiting 0.0" in await response.text()
            quiet = quiet + 1 if waiting else 0


async def _create_batch(
    stub: Any,
    first: int,
    metadata: Sequence[tuple[str, str]],
) -> None:
    configs = [
        instance_pb2.InstanceConfig(
            id=f"record-{number:05d}",
            namespace="many",
            desired_state=instance_pb2.DESIRED_STATE_STOPPED,
        )
        for number in range(first, first + _BATCH)
    ]
    answer = await stub.BatchCreateInstances(
        instance_service_pb2.BatchCreateInstancesRequest(configs=configs), metadata=metadata
    )
    if answer.failed:
        error = next(item.error for item in answer.results if item.HasField("error"))
        raise RuntimeError(f"{error.code}: {error.message}")
