"""Repairs: both ways, only what two passes saw, never on half a list."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from codestudio.quota.v1 import quota_service_pb2

from services.chassis import connectors, errors, mesh
from services.devstack import binaries, credentials, ports
from services.quota import repairs
from services.quota.amounts import Amounts
from services.quota.instances import Instances
from services.quota.ledger import Ledger
from services.quota.reconcile import Reconciler
from services.quota.repairs import REPAIRS, Journal
from services.quota.settings import QuotaSettings
from services.quota.store import Store
from tests.integration.quota import rig
from tests.integration.quota.conftest import LIMITS
from tests.integration.quota.valkey import Valkey

FULL = Amounts(1, 1000, 2**30, 10 * 2**30)
DISK = Amounts(1, 0, 0, 10 * 2**30)


@contextlib.asynccontextmanager
async def reconciling(
    redis: connectors.Redis,
    listed: rig.ListedInstances,
    directory: Path,
    nats: connectors.Nats | None = None,
) -> AsyncIterator[Callable[..., Reconciler]]:
    """Give a maker of reconcilers that see the records listed."""
    keys = credentials.Credentials(directory / "secrets")
    keys.mint()
    async with rig.instance_server(listed, keys) as port:
        settings = QuotaSettings(
            mesh_address=f"127.0.0.1:{port}", service_key_file=keys.services_key
        )
        channel = mesh.Mesh(settings)
        store = Store(redis=redis)
        journal = Journal(store=store, nats=nats or connectors.Nats(settings))

        def make(*, grace: float = 0.0, confirm: float = 5.0) -> Reconciler:
            return Reconciler(
                store=store,
                instances=Instances(mesh=channel),
                redis=redis,
                journal=journal,
                every_seconds=30.0,
                confirm_seconds=confirm,
                grace_seconds=grace,
            )

        try:
            yield make
        finally:
            await channel.close()


@pytest.fixture
def listed() -> rig.ListedInstances:
    return rig.ListedInstances()


@pytest.fixture
async def make(
    connector: connectors.Redis, listed: rig.ListedInstances, tmp_path: Path
) -> AsyncIterator[Callable[..., Reconciler]]:
    async with reconciling(connector, listed, tmp_path) as maker:
        yield maker


async def test_repairs_both_ways_at_the_second_look(
    make: Callable[..., Reconciler],
    listed: rig.ListedInstances,
    ledger: Ledger,
    store: Store,
) -> None:
    """Orphans go, missing ones come, wrong amounts are set right: at the second pass."""
    listed.add("missing")
    listed.add("elsewhere", namespace="other")
    listed.add("stopped", state="STOPPED", desired="STOPPED")
    listed.add("failed", state="FAILED")
    listed.add("right")
    for name in ("orphan", "stopped", "failed", "right"):
        await ledger.reserve("team", name, FULL)
    right = (await store.reservations("team"))["right"]
    counted = {kind: _repairs(kind) for kind in ("release", "reserve", "resize")}
    reconciler = make()
    assert await reconciler.once() == 0
    assert (await ledger.standing("team")).reservations == 4
    assert await reconciler.once() == 5
    held = await store.reservations("team")
    assert {name: one.amounts for name, one in held.items()} == {
        "missing": FULL,
        "stopped": DISK,
        "right": FULL,
    }
    assert held["right"] == right
    assert (await ledger.standing("team")).usage == Amounts(3, 2000, 2 * 2**30, 30 * 2**30)
    assert (await ledger.standing("other")).usage == FULL
    assert _repairs("release") - counted["release"] == 2
    assert _repairs("reserve") - counted["reserve"] == 2
    assert _repairs("resize") - counted["resize"] == 1
    assert await reconciler.once() == 0


async def test_a_create_in_flight_keeps_its_reservation(
    make: Callable[..., Reconciler], ledger: Ledger
) -> None:
    """A reservation without a record is left alone until it is older than the grace."""
    await ledger.reserve("team", "coming", FULL)
    patient = make(grace=60.0)
    assert [await patient.once() for _ in range(3)] == [0, 0, 0]
    assert (await ledger.standing("team")).usage == FULL
    hasty = make(grace=0.0)
    assert [await hasty.once() for _ in range(2)] == [0, 1]
    assert (await ledger.standing("team")).usage == Amounts()


async def test_a_reservation_made_again_is_a_new_one(
    make: Callable[..., Reconciler], ledger: Ledger
) -> None:
    """A difference that was touched between two passes is looked at afresh."""
    await ledger.reserve("team", "fox", FULL)
    reconciler = make()
    assert await reconciler.once() == 0
    await asyncio.sleep(0.002)  # its time is kept in milliseconds
    await ledger.reserve("team", "fox", FULL)
    assert await reconciler.once() == 0
    assert (await ledger.standing("team")).usage == FULL


@pytest.mark.parametrize("pages", [0, 1, 2])
async def test_half_a_list_repairs_nothing(
    make: Callable[..., Reconciler], listed: rig.ListedInstances, ledger: Ledger, pages: int
) -> None:
    """A listing that fails at any page leaves everything as it is."""
    for number in range(5):
        listed.add(f"i{number}")
    await ledger.reserve("team", "orphan", FULL)
    reconciler = make()
    assert await reconciler.once() == 0
    listed.pages_until_fault = pages
    with pytest.raises(errors.Unavailable):
        await reconciler.once()
    assert (await ledger.standing("team")).reservations == 1
    listed.pages_until_fault = None
    assert await reconciler.once() == 6


async def test_an_unreadable_record_repairs_nothing(
    make: Callable[..., Reconciler], listed: rig.ListedInstances, ledger: Ledger
) -> None:
    """A record whose amounts cannot be read is a fault, not an instance that holds nothing."""
    listed.add("odd", cpu="many")
    await ledger.reserve("team", "odd", FULL)
    reconciler = make()
    for _ in range(2):
        with pytest.raises(ValueError, match="many"):
            await reconciler.once()
    assert (await ledger.standing("team")).usage == FULL


async def test_existing_instances_may_pass_the_limit(
    make: Callable[..., Reconciler], listed: rig.ListedInstances, ledger: Ledger
) -> None:
    """What runs is counted even where the limit has no room for it; new ones are refused."""
    await ledger.update("team", {"instances": 1})
    for number in range(3):
        listed.add(f"i{number}")
    reconciler = make()
    assert [await reconciler.once() for _ in range(2)] == [0, 3]
    assert (await ledger.standing("team")).usage.instances == 3
    with pytest.raises(errors.ResourceExhausted):
        await ledger.reserve("team", "new", FULL)


async def test_wrong_usage_is_recounted(
    make: Callable[..., Reconciler],
    listed: rig.ListedInstances,
    ledger: Ledger,
    connector: connectors.Redis,
) -> None:
    """Usage that is not the sum of the reservations is made it, at once."""
    listed.add("fox")
    await ledger.reserve("team", "fox", FULL)
    await connector.client.hset("quota:{team}:usage", "cpu", "77")
    assert await make().once() == 1
    assert (await ledger.standing("team")).usage == FULL


async def test_replicas_take_turns(
    make: Callable[..., Reconciler], connector: connectors.Redis
) -> None:
    """While another replica compares, this one does not."""
    await connector.client.set("lease:quota-reconcile", "another", px=60_000)
    with pytest.raises(errors.Aborted) as held:
        await make().once()
    assert held.value.code == "LEASE_HELD"


async def test_idle_namespaces_leave_the_list(
    make: Callable[..., Reconciler], ledger: Ledger, store: Store
) -> None:
    """What holds nothing and has no limits of its own is not looked at for ever."""
    await ledger.reserve("idle", "fox", FULL)
    await ledger.release("idle", "fox")
    await ledger.update("limited", {"cpu": 1})
    await make().once()
    assert await store.names(after="", count=10) == ["limited"]


async def test_kill_mid_flight_then_repair(own_valkey: Valkey, tmp_path: Path) -> None:
    """Whatever Valkey was doing when it died, the ledger is right again.

    What was acknowledged is there, usage is the sum, and reconciling leaves exactly what the
    records say; also when all data are lost.
    """
    settings = QuotaSettings(redis_url=own_valkey.url, redis_pool_min=0)
    redis = connectors.Redis(settings)
    store = Store(redis=redis)
    ledger = Ledger(store=store, default_limits=lambda: LIMITS)
    listed = rig.ListedInstances()
    acknowledged: dict[str, bool] = {}
    in_flight: set[str] = set()
    many = asyncio.Event()

    async def churn(worker: int) -> None:
        """Create and delete instances as the Instance service does, until Valkey is gone."""
        for number in range(10_000):
            name = f"i{worker}-{number % 3}"
            in_flight.add(name)
            if acknowledged.get(name):
                listed.records.pop(name, None)
                await ledger.release("team", name)
                acknowledged[name] = False
            else:
                await ledger.reserve("team", name, FULL)
                acknowledged[name] = True
                listed.add(name)
            in_flight.discard(name)
            if number == 20:
                many.set()

    workers = [asyncio.create_task(churn(worker)) for worker in range(10)]
    await many.wait()
    own_valkey.kill()
    faults = await asyncio.gather(*workers, return_exceptions=True)
    assert {errors.from_exception(fault).code for fault in faults if fault} == {"REDIS_UNAVAILABLE"}

    own_valkey.start()
    held = await store.reservations("team")
    for name, reserved in acknowledged.items():
        if name not in in_flight:
            assert (name in held) == reserved, name
    assert await store.recount("team") is None

    async with reconciling(redis, listed, tmp_path / "k") as make:
        reconciler = make()
        await reconciler.once()
        await reconciler.once()
        assert set(await store.reservations("team")) == set(listed.records)

        own_valkey.kill()
        own_valkey.lose_data()
        own_valkey.start()
        assert await store.reservations("team") == {}
        repaired = [await reconciler.once() for _ in range(2)]
        assert repaired == [0, len(listed.records)]
        assert set(await store.reservations("team")) == set(listed.records)
        assert await store.recount("team") is None
    await redis.close()


async def test_runs_by_itself_in_the_service(valkey: Valkey, tmp_path: Path) -> None:
    """The running service repairs without being asked."""
    listed = rig.ListedInstances()
    listed.add("fox")
    async with (
        rig.quota_server(
            valkey.url,
            tmp_path,
            instances=listed,
            quota_reconcile_seconds=0.1,
            quota_confirm_seconds=0.05,
        ) as running,
        running.as_user() as stub,
    ):
        async with asyncio.timeout(10):
            while (
                await stub.GetQuota(quota_service_pb2.GetQuotaRequest(namespace="team"))
            ).usage.instances != 1:
                await asyncio.sleep(0.02)


def _repairs(kind: str) -> float:
    return REPAIRS.labels(kind)._value.get()


@pytest.fixture
def nats_server() -> Iterator[tuple[str, Callable[[], None]]]:
    """Run a NATS server; gives its address and what kills it."""
    port = ports.any_free_port()
    server = subprocess.Popen(
        (binaries.nats_server(), "-a", "127.0.0.1", "-p", str(port)), stderr=subprocess.DEVNULL
    )
    yield f"nats://127.0.0.1:{port}", server.kill
    server.kill()
    server.wait()


async def test_repairs_are_published(
    connector: connectors.Redis,
    ledger: Ledger,
    listed: rig.ListedInstances,
    nats_server: tuple[str, Callable[[], None]],
    tmp_path: Path,
) -> None:
    """Whoever listens to NATS hears of each repair; without NATS it is repaired all the same."""
    url, kill = nats_server
    nats = connectors.Nats(QuotaSettings(nats_url=url))
    await nats.start()
    try:
        await asyncio.wait_for(nats.wait_ready(), 15)
        heard = await nats.client.subscribe(repairs.SUBJECT)
        async with reconciling(connector, listed, tmp_path, nats) as make:
            await ledger.reserve("team", "orphan", FULL)
            reconciler = make()
            assert [await reconciler.once() for _ in range(2)] == [0, 1]
            message = await heard.next_msg(timeout=5)
            told = quota_service_pb2.QuotaRepair.FromString(message.data)
            assert (told.namespace, told.instance_id, told.applied) == ("team", "orphan", True)
            kill()
            await ledger.reserve("team", "orphan", FULL)
            assert [await reconciler.once() for _ in range(2)] == [0, 1]
    finally:
        await nats.stop()
