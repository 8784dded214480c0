"""How fast quota is reserved and given back: through the service, beside bare calls of its scripts.

The baseline is redis-py's asyncio client calling the very scripts of the ledger on the very
Valkey, one command a call, as many in flight as calls through the service. Beside it stands what
Valkey takes when redis-py sends dozens of such calls as one pipeline, which only a client can do
that has them all at hand. Through the service go single calls, and those of the client package,
which sends together what is asked for at about the same time.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import codestudio
import grpc
import redis.asyncio
from codestudio.quota.v1 import quota_service_pb2, quota_service_pb2_grpc

from services.quota import store
from tests.bench.target import Target

IN_FLIGHT = 64
_PIPELINED = 32
_SECONDS = 4.0
_ROUNDS = 5
_NAMESPACES = 8
_LIMITS = (2**30, 2**40, 2**50, 2**50)
_AMOUNTS = (1, 500, 2**30, 10 * 2**30)

Pair = Callable[[str, str], Awaitable[object]]
"""Reserves and gives back, for a namespace and an instance."""


async def measure(target: Target) -> dict[str, Any]:
    """Compare pairs of reserve and release, a second, through the service and without it."""
    gateway = target.gateway_url
    straight = f"http://127.0.0.1:{target.stack.plan.ports['quota']}"
    async with (
        _bare(target.stack.plan.redis_url) as (pair, pairs),
        target.channel("quota") as quota,
        _merged(straight, target.token) as merged,
        _merged(gateway, target.token) as merged_envoy,
    ):
        ways: dict[str, tuple[Pair, int, int]] = {
            "bare": (pair, IN_FLIGHT, 1),
            "bare_pipelined": (pairs, 2, _PIPELINED),
            "single_calls": (_through(quota, target.metadata), IN_FLIGHT, 1),
            "client": (merged, IN_FLIGHT, 1),
            "client_envoy": (merged_envoy, IN_FLIGHT, 1),
        }
        rounds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(_ROUNDS):
            for name, (way, tasks, each) in ways.items():
                rounds[name].append(await _rate(way, "bench", tasks, each))
    rates = {name: statistics.median(values) for name, values in rounds.items()}
    return {
        "in_flight": IN_FLIGHT,
        "pairs_per_second": {name: round(rate) for name, rate in rates.items()},
        "ratio_to_bare": {name: round(rate / rates["bare"], 2) for name, rate in rates.items()},
        "target": "client >= 0.5 of bare",
    }


async def _rate(pair: Pair, name: str, tasks: int = IN_FLIGHT, each: int = 1) -> float:
    """Give the pairs a second of `tasks` at once, each call of which does `each` of them."""
    done = 0
    deadline = time.perf_counter() + _SECONDS

    async def client(number: int) -> None:
        nonlocal done
        namespace, instance = f"{name}-{number % _NAMESPACES}", f"i{number}"
        while time.perf_counter() < deadline:
            await pair(namespace, instance)
            done += each

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(tasks)))
    return done / (time.perf_counter() - began)


@contextlib.asynccontextmanager
async def _bare(url: str) -> AsyncIterator[tuple[Pair, Pair]]:
    """Give a pair of script calls, and many pairs in one pipeline."""
    reserve, release = store.script("reserve"), store.script("release")
    client: Any = redis.asyncio.Redis.from_url(url, decode_responses=True)
    for script in (reserve, release):
        await client.script_load(script.text)

    async def pair(namespace: str, instance: str) -> None:
        keys = store.keys(namespace)
        await client.evalsha(reserve.sha, 3, *keys, *_LIMITS, instance, *_AMOUNTS)
        await client.evalsha(release.sha, 3, *keys, instance)

    async def pairs(namespace: str, instance: str) -> None:
        keys = store.keys(namespace)
        pipeline = client.pipeline(transaction=False)
        for number in range(_PIPELINED):
            name = f"{instance}-{number}"
            pipeline.evalsha(reserve.sha, 3, *keys, *_LIMITS, name, *_AMOUNTS)
            pipeline.evalsha(release.sha, 3, *keys, name)
        await pipeline.execute()

    try:
        yield pair, pairs
    finally:
        await client.aclose()


def _through(channel: grpc.aio.Channel, metadata: Any) -> Pair:
    """Give a pair of calls through the service."""
    stub = quota_service_pb2_grpc.QuotaServiceStub(channel)
    amounts = quota_service_pb2.Amounts(instances=1, cpu="500m", memory="1Gi", storage="10Gi")

    async def pair(namespace: str, instance: str) -> None:
        await stub.ReserveQuota(
            quota_service_pb2.ReserveQuotaRequest(
                namespace=namespace, instance_id=instance, amounts=amounts
            ),
            metadata=metadata,
        )
        await stub.ReleaseQuota(
            quota_service_pb2.ReleaseQuotaRequest(namespace=namespace, instance_id=instance),
            metadata=metadata,
        )

    return pair


@contextlib.asynccontextmanager
async def _merged(address: str, token: str) -> AsyncIterator[Pair]:
    """Give a pair of calls of the client package, which sends together what is asked together."""
    async with codestudio.AsyncClient(address, token=token) as client:

        async def pair(namespace: str, instance: str) -> None:
            await client.quotas.reserve(
                namespace, instance, cpu="500m", memory="1Gi", storage="10Gi"
            )
            await client.quotas.release(namespace, instance)

        yield pair
