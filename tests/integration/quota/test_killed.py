"""200 racers through the real service while it and Valkey are killed, again and again.

What holds, and is looked at all the time: usage is the sum of the reservations, is never
negative, and never passes a limit. What was acknowledged is never lost to `kill -9`: Valkey hands
each change to the system before it answers. A machine that loses power may lose the last half
minute. Usage is the sum of the reservations then, too, and reconciliation makes the ledger what the
records say: what is missing at once, what is too much when it is older than the grace. In between
usage may pass a limit, by instances there really are; nothing new is let in meanwhile.
"""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
import redis.asyncio as redis
from codestudio.quota.v1 import quota_service_pb2 as pb
from codestudio.quota.v1 import quota_service_pb2_grpc
from redis import exceptions

from services.chassis import cancellation, tokens
from services.devstack import credentials, ports
from services.quota.amounts import RESOURCES
from tests.integration.quota import rig
from tests.integration.quota.valkey import Valkey

RACERS = 200
LIMITS = pb.Amounts(instances=90, cpu="80", memory="500Gi", storage="1Ti")
NUMBERS = {"instances": 90, "cpu": 80_000, "memory": 500 * 2**30, "storage": 2**40}
FULL = pb.Amounts(instances=1, cpu="1", memory="1Gi", storage="10Gi")
KILLS = 8

pytestmark = pytest.mark.timeout(180)

_UNSURE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
)


class Service:
    """The quota service as the process it is."""

    def __init__(self, keys: credentials.Credentials, redis_url: str, mesh_port: int) -> None:
        self.port = ports.any_free_port()
        self._environment = {
            **os.environ,
            "PORT": str(self.port),
            "HTTP_PORT": str(ports.any_free_port()),
            "REDIS_URL": redis_url,
            "NATS_URL": "nats://127.0.0.1:1",
            "MESH_ADDRESS": f"127.0.0.1:{mesh_port}",
            "JWKS_FILE": str(keys.jwks),
            "SERVICE_KEY_FILE": str(keys.services_key),
            "QUOTA_RECONCILE_SECONDS": "0.5",
            "QUOTA_CONFIRM_SECONDS": "0.2",
            "QUOTA_GRACE_SECONDS": "10",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-m", "services.quota"),
            env=self._environment,
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Have it do nothing for a while."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)


@pytest.fixture
def keys(tmp_path: Path) -> credentials.Credentials:
    made = credentials.Credentials(tmp_path / "secrets")
    made.mint()
    return made


@pytest.fixture
def listed() -> rig.ListedInstances:
    found = rig.ListedInstances()
    found.page_size = 1000
    return found


@pytest.fixture
async def mesh_port(
    listed: rig.ListedInstances, keys: credentials.Credentials
) -> AsyncIterator[int]:
    async with rig.instance_server(listed, keys) as port:
        yield port


@pytest.fixture
def process(keys: credentials.Credentials, own_valkey: Valkey, mesh_port: int) -> Iterator[Service]:
    running = Service(keys, own_valkey.url, mesh_port)
    running.start()
    yield running
    running.kill()


class Racers:
    """Instances that come and go, each asking until it is sure of the answer."""

    def __init__(self, stub: quota_service_pb2_grpc.QuotaServiceAsyncStub, token: str) -> None:
        self._stub = stub
        self._metadata = (("authorization", f"Bearer {token}"),)
        self.stop = asyncio.Event()
        self.done = 0
        self.refused = 0
        self.unsure = 0

    async def race(self, number: int, listed: rig.ListedInstances) -> bool:
        """Create and delete an instance until told to stop; whether it is there at the end."""
        name, chance = f"i{number}", random.Random(number)
        there = False
        while not self.stop.is_set():
            if there:
                # As the Instance service does it: reserve, record; unrecord, release.
                listed.records.pop(name)
                await self._insist(self._release, name)
                there = False
            else:
                there = await self._insist(self._reserve, name)
                if there:
                    listed.add(name)
            self.done += 1
            await asyncio.sleep(chance.uniform(0, 0.05))
        return there

    async def _insist(self, ask, name: str) -> bool:
        for attempt in range(10_000):
            try:
                return bool(await ask(name, batch=attempt % 2 == 0))
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    self.refused += 1
                    return False
                if error.code() not in _UNSURE:
                    raise
                self.unsure += 1
                await asyncio.sleep(random.uniform(0.01, 0.2))
        raise AssertionError("nobody answers")

    async def _reserve(self, name: str, *, batch: bool) -> bool:
        request = pb.ReserveQuotaRequest(namespace="team", instance_id=name, amounts=FULL)
        if not batch:
            await self._stub.ReserveQuota(request, metadata=self._metadata, timeout=5)
            return True
        answer = await self._stub.BatchReserveQuota(
            pb.BatchReserveQuotaRequest(requests=[request]), metadata=self._metadata, timeout=5
        )
        (result,) = answer.results
        if result.HasField("error"):
            assert result.error.code == "QUOTA_EXCEEDED"
            self.refused += 1
        return result.HasField("reservation")

    async def _release(self, name: str, *, batch: bool) -> bool:
        request = pb.ReleaseQuotaRequest(namespace="team", instance_id=name)
        if not batch:
            await self._stub.ReleaseQuota(request, metadata=self._metadata, timeout=5)
            return True
        await self._stub.BatchReleaseQuota(
            pb.BatchReleaseQuotaRequest(requests=[request]), metadata=self._metadata, timeout=5
        )
        return True


class Witness:
    """Looks at the ledger itself, in one moment at a time."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, decode_responses=True)
        self.looks = 0

    async def look(self, *, lost: bool = False) -> dict[str, list[int]]:
        """Check what always holds, or holds also where data were lost; gives who holds what."""
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hgetall("quota:{team}:usage")
            pipeline.hgetall("quota:{team}:reservations")
            usage, reservations = await pipeline.execute()
        held = {
            name: [int(word) for word in text.split()[:4]] for name, text in reservations.items()
        }
        for place, resource in enumerate(RESOURCES):
            total = sum(amounts[place] for amounts in held.values())
            used = int(usage.get(resource, 0))
            assert used == total, (resource, used, total)
            assert used >= 0, (resource, used)
            assert lost or used <= NUMBERS[resource], (resource, used)
        self.looks += 1
        return held

    async def watch(self) -> None:
        """Look again and again, for ever."""
        while True:
            with contextlib.suppress(exceptions.ConnectionError, exceptions.TimeoutError):
                await self.look()
            await asyncio.sleep(0.01)

    async def aclose(self) -> None:
        await self._client.aclose()


async def test_racers_while_everything_is_killed(
    process: Service,
    own_valkey: Valkey,
    listed: rig.ListedInstances,
    keys: credentials.Credentials,
) -> None:
    """At every moment the ledger adds up and is within its limits; what was said stays true."""
    token = tokens.sign_service_token(keys.services_key.read_bytes(), "instance-service")
    options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 50)]
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{process.port}", options=options) as channel,
        contextlib.aclosing(Witness(own_valkey.url)) as witness,
    ):
        stub = quota_service_pb2_grpc.QuotaServiceStub(channel)
        metadata = (("authorization", f"Bearer {token}"),)
        await stub.UpdateQuota(
            pb.UpdateQuotaRequest(quota=pb.Quota(namespace="team", limits=LIMITS)),
            metadata=metadata,
            timeout=30,
            wait_for_ready=True,
        )
        racers = Racers(stub, token)
        watching = asyncio.create_task(witness.watch())
        racing = [asyncio.create_task(racers.race(one, listed)) for one in range(RACERS)]
        try:
            await _kill_again_and_again(process, own_valkey, racers, watching)
            racers.stop.set()
            there = await asyncio.wait_for(asyncio.gather(*racing), 60)
        finally:
            await cancellation.cancel([watching, *racing], grace=10)
        assert watching.cancelled(), watching.exception()
        # Each kind of thing has happened, or this would prove nothing.
        assert min(racers.refused, racers.unsure, witness.looks) > 20
        acknowledged = {f"i{number}" for number, is_there in enumerate(there) if is_there}
        assert set(await witness.look()) == acknowledged == set(listed.records)
        kept = await stub.ListQuotaRepairs(
            pb.ListQuotaRepairsRequest(), metadata=metadata, timeout=20
        )
        # Nothing was lost, so nothing had to be made anew. (Whoever was kept from releasing for
        # longer than the grace may have been helped.)
        assert {one.kind for one in kept.repairs} <= {pb.QuotaRepair.KIND_RELEASE}

        held = await _lose_the_last_changes(process, own_valkey, witness)
        missing, extra = set(listed.records) - held, held - set(listed.records)
        assert missing, "the cut lost nothing"
        request = pb.ReconcileQuotaRequest(namespace="team")
        async with asyncio.timeout(60):
            # The service's own passes are at it as well: whoever comes first repairs.
            while set(await witness.look(lost=True)) != set(listed.records):
                await stub.ReconcileQuota(
                    request, metadata=metadata, timeout=20, wait_for_ready=True
                )
        kept = await stub.ListQuotaRepairs(
            pb.ListQuotaRepairsRequest(page_size=1000), metadata=metadata, timeout=20
        )
        made = {one.instance_id for one in kept.repairs if one.kind == pb.QuotaRepair.KIND_RESERVE}
        assert made == missing
        assert extra <= {
            one.instance_id for one in kept.repairs if one.kind == pb.QuotaRepair.KIND_RELEASE
        }
        await witness.look()


async def _kill_again_and_again(
    process: Service, valkey: Valkey, racers: Racers, watching: asyncio.Task[None]
) -> None:
    chance = random.Random(11)
    for number in range(KILLS):
        done = racers.done
        async with asyncio.timeout(60):
            while racers.done < done + 300:
                assert not watching.done(), watching.exception()
                await asyncio.sleep(0.02)
        await asyncio.sleep(chance.uniform(0, 0.3))
        victim = (process, valkey)[number % 2]
        await asyncio.to_thread(victim.kill)
        if number % 4 == 3:
            await asyncio.to_thread(process.kill)  # both at once
            process.start()
        await asyncio.to_thread(victim.start) if victim is valkey else process.start()


async def _lose_the_last_changes(process: Service, valkey: Valkey, witness: Witness) -> set[str]:
    """Have Valkey come back with its file cut off near the end; gives who holds something then.

    The cut falls into the middle of a change, and takes a good many with it. The service is held
    meanwhile: it would begin to repair before anybody has looked.
    """
    with process.held():
        await asyncio.to_thread(valkey.kill)
        await asyncio.to_thread(valkey.cut, 20_000)
        await asyncio.to_thread(valkey.start)
        deadline = time.monotonic() + 10
        while True:
            try:
                return set(await witness.look(lost=True))
            except (exceptions.ConnectionError, exceptions.TimeoutError):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
