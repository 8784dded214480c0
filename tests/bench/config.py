"""From a change of the configuration to its effect in the running service.

A hundred changes of the default quota, asked for through the gateway, while others keep asking the
Quota service; the effect is seen when the Quota service itself answers with the new limit. Beside
it what the same two calls take where nothing has to travel in between: the floor of what can be
seen from outside.
"""

import asyncio
import contextlib
import time
import uuid
from typing import Any

import grpc
from codestudio.config.v1 import config_service_pb2 as pb
from codestudio.config.v1 import config_service_pb2_grpc
from codestudio.quota.v1 import quota_service_pb2, quota_service_pb2_grpc
from google.protobuf import json_format

from tests.bench.figures import milliseconds
from tests.bench.target import Target

CHANGES = 100
PROMISE_SECONDS = 2.0
"""How long a change may take to be in force."""

_CLIENTS = 2


async def measure(target: Target) -> dict[str, Any]:
    """Make the changes one after the other, under traffic."""
    async with target.channel("gateway") as gateway, target.channel("quota") as quota:
        config: Any = config_service_pb2_grpc.ConfigServiceStub(gateway)
        direct: Any = quota_service_pb2_grpc.QuotaServiceStub(quota)
        through: Any = quota_service_pb2_grpc.QuotaServiceStub(gateway)
        namespace = f"bench-{uuid.uuid4().hex[:8]}"
        request = quota_service_pb2.GetQuotaRequest(namespace=namespace)
        traffic = _Traffic(through, request, target.metadata)
        async with traffic:
            effects, answers, floor = [], [], []
            for number in range(CHANGES):
                floor.append(await _floor(config, direct, request, target.metadata))
                wanted = 1000 + number
                began = time.perf_counter()
                await config.UpdateConfiguration(_change(wanted), metadata=target.metadata)
                answers.append(time.perf_counter() - began)
                while True:
                    seen = await direct.GetQuota(request, metadata=target.metadata)
                    if seen.limits.instances == wanted:
                        break
                effects.append(time.perf_counter() - began)
    found = milliseconds(effects)
    base = milliseconds(floor)
    return {
        "changes": CHANGES,
        "to_answer": milliseconds(answers),
        "to_effect": found,
        "two_calls": base,
        "ratio": round(found["median_ms"] / base["median_ms"], 2),
        "worst_of_promise": round(found["max_ms"] / (PROMISE_SECONDS * 1000), 3),
        "requests_meanwhile": traffic.answered,
        "requests_failed": traffic.failed,
    }


async def _floor(config: Any, direct: Any, request: Any, metadata: Any) -> float:
    began = time.perf_counter()
    await config.GetConfiguration(
        pb.GetConfigurationRequest(service="quota-service"), metadata=metadata
    )
    await direct.GetQuota(request, metadata=metadata)
    return time.perf_counter() - began


def _change(instances: int) -> pb.UpdateConfigurationRequest:
    request = pb.UpdateConfigurationRequest()
    request.configuration.service = "quota-service"
    json_format.ParseDict({"default_quota": {"instances": instances}}, request.configuration.values)
    return request


class _Traffic:
    """Clients that ask without a pause."""

    def __init__(self, stub: Any, request: Any, metadata: Any) -> None:
        self._stub = stub
        self._request = request
        self._metadata = metadata
        self.answered = 0
        self.failed = 0

    async def __aenter__(self) -> "_Traffic":
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(_CLIENTS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks)

    async def _ask(self) -> None:
        while True:
            try:
                await self._stub.GetQuota(self._request, metadata=self._metadata, timeout=10)
                self.answered += 1
            except grpc.aio.AioRpcError:
                self.failed += 1
