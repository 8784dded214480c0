import asyncio
import contextlib
import dataclasses
import itertools
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.chassis import connectors, errors
from services.chassis.settings import ServiceSettings
from services.resource.allocator import Allocator
from services.resource.ports import PortPlan
from services.resource.runtimes.local import LocalRuntime
from services.resource.store import Store
from services.resource.workload import Phase
from tests.integration.quota.valkey import Valkey
from tests.integration.resource import rig

NAMES = ("red", "green", "blue", "cyan", "pink")
RANGES = 3


def make(
    connector: connectors.Redis,
    runtime: LocalRuntime,
    base: int,
    unusable_seconds: float = 60,
    rest_seconds: float = 0,
    plan: Callable[[], PortPlan] | None = None,
) -> Allocator:
    fixed = PortPlan(base, 100, RANGES)
    return Allocator(
        store=Store(redis=connector, plan=plan or (lambda: fixed)),
        plan=plan or (lambda: fixed),
        runtime=runtime,
        unusable_seconds=unusable_seconds,
        rest_seconds=rest_seconds,
        every_seconds=60,
    )


def connect(valkey: Valkey) -> connectors.Redis:
    return connectors.Redis(
        ServiceSettings(microservice_name="test", port=0, redis_url=valkey.url, redis_pool_min=0)
    )


@pytest.fixture
async def connector(valkey: Valkey) -> AsyncIterator[connectors.Redis]:
    connected = connect(valkey)
    yield connected
    await connected.close()


@pytest.fixture
def allocator(connector: connectors.Redis, runtime: LocalRuntime, port_base: int) -> Allocator:
    return make(connector, runtime, port_base)


def keys(valkey: Valkey) -> dict[str, dict[str, str]]:
    """Read the whole database."""
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        return {key: client.hgetall(key) for key in client.scan_iter()}


async def test_an_allocation_follows_its_resources(
    allocator: Allocator, connector: connectors.Redis
) -> None:
    """Allocated again with other resources, an instance keeps its range and has those."""
    first = await allocator.allocate("red", "default", rig.RESOURCES)
    bigger = dataclasses.replace(rig.RESOURCES, cpu=750, memory=2**43 + 1)
    again = await allocator.allocate("red", "default", bigger)
    assert again == dataclasses.replace(first, resources=bigger)
    assert await allocator.by_instance() == {"red": again}
    fields = await connector.client.hgetall("port_allocations:red")  # type: ignore[misc]
    assert json.loads(fields["resources"])["cpu"] == 750


async def test_the_specifications_hash(
    allocator: Allocator, valkey: Valkey, port_base: int
) -> None:
    """Key and fields are the specification's, and gone after the release."""
    given_ = await allocator.allocate("blue-fox-1", "default", rig.RESOURCES)
    assert given_.web_port == port_base
    fields = keys(valkey)["port_allocations:blue-fox-1"]
    assert fields["instance_id"] == "blue-fox-1"
    assert fields["web_port"] == str(port_base)
    assert json.loads(fields["callback_port_range"]) == {
        "start": port_base + 50,
        "end": port_base + 99,
    }
    assert fields["allocated_at"].endswith("Z")
    await allocator.deallocate("blue-fox-1")
    await allocator.deallocate("blue-fox-1")
    assert keys(valkey) == {}


async def test_refusals_have_codes(allocator: Allocator, port_base: int) -> None:
    """A range of somebody else's, and the range after the last, are refused clearly."""
    await allocator.allocate("red", "default", rig.RESOURCES, web_port=port_base + 100)
    with pytest.raises(errors.FailedPrecondition) as caught:
        await allocator.allocate("blue", "default", rig.RESOURCES, web_port=port_base + 100)
    assert caught.value.code == "PORT_UNAVAILABLE"
    await allocator.allocate("green", "default", rig.RESOURCES)
    await allocator.allocate("pink", "default", rig.RESOURCES)
    with pytest.raises(errors.ResourceExhausted) as exhausted:
        await allocator.allocate("blue", "default", rig.RESOURCES)
    assert exhausted.value.code == "PORTS_EXHAUSTED"
    assert exhausted.value.metadata["limit"] == str(RANGES)


async def test_racers_never_share(allocator: Allocator) -> None:
    """As many as there are ranges win, each with a range of its own."""
    results = await asyncio.gather(
        *(allocator.allocate(f"i-{number}", "default", rig.RESOURCES) for number in range(20)),
        return_exceptions=True,
    )
    won = [one.web_port for one in results if not isinstance(one, BaseException)]
    lost = [one for one in results if isinstance(one, BaseException)]
    assert len(won) == len(set(won)) == RANGES
    assert all(isinstance(one, errors.ResourceExhausted) for one in lost)


async def test_ranges_in_use_by_others_are_skipped(
    connector: connectors.Redis, runtime: LocalRuntime, port_base: int
) -> None:
    """What something else listens on is left alone for a while, also where it was asked for."""
    allocator = make(connector, runtime, port_base, unusable_seconds=0.2)
    with rig.listening(port_base):
        blue = await allocator.allocate("blue", "default", rig.RESOURCES)
        with pytest.raises(errors.FailedPrecondition) as caught:
            await allocator.allocate("red", "default", rig.RESOURCES, web_port=port_base)
    assert blue.web_port == port_base + 100
    assert caught.value.code == "PORT_UNAVAILABLE"
    await asyncio.sleep(0.25)
    red = await allocator.allocate("red", "default", rig.RESOURCES)
    assert red.web_port == port_base


async def test_an_unusable_range_is_exchanged_once(allocator: Allocator, port_base: int) -> None:
    """The instance gets another, and the same one again when it repeats itself."""
    await allocator.allocate("blue", "default", rig.RESOURCES)
    moved = await allocator.allocate("blue", "default", rig.RESOURCES, unusable=port_base)
    again = await allocator.allocate("blue", "default", rig.RESOURCES, unusable=port_base)
    assert moved.web_port == again.web_port == port_base + 100
    other = await allocator.allocate("red", "default", rig.RESOURCES)
    assert other.web_port == port_base + 200


async def test_no_claim_is_left_where_nothing_can_be_used(
    connector: connectors.Redis, runtime: LocalRuntime, valkey: Valkey, port_base: int
) -> None:
    """When every range is listened on by others, the refused instance holds none of them."""
    allocator = make(connector, runtime, port_base)
    with (
        rig.listening(port_base),
        rig.listening(port_base + 100),
        rig.listening(port_base + 200),
        pytest.raises(errors.ResourceExhausted),
    ):
        await allocator.allocate("blue", "default", rig.RESOURCES)
    assert keys(valkey) == {}


async def test_ranges_of_another_base_block_what_they_reach_into(
    connector: connectors.Redis, runtime: LocalRuntime, port_base: int
) -> None:
    """After the base port was changed, no new range overlaps one of the old."""
    old = make(connector, runtime, port_base + 50)
    held = await old.allocate("red", "default", rig.RESOURCES)
    new = make(connector, runtime, port_base)
    given_ = await new.allocate("blue", "default", rig.RESOURCES)
    assert held.web_port == port_base + 50
    assert given_.web_port == port_base + 200


async def test_a_range_given_back_rests_before_another_has_it(
    connector: connectors.Redis, runtime: LocalRuntime, port_base: int
) -> None:
    """Whoever still has the old instance open is not let into a new one; its own may return."""
    allocator = make(connector, runtime, port_base, rest_seconds=0.5)
    for name in ("red", "green", "blue"):
        await allocator.allocate(name, "default", rig.RESOURCES)
    await allocator.deallocate("red")
    again = await allocator.allocate("red", "default", rig.RESOURCES)
    assert again.web_port == port_base

    await allocator.deallocate("red")
    given_back = asyncio.get_running_loop().time()
    moved = await allocator.allocate("cyan", "default", rig.RESOURCES)
    assert moved.web_port == port_base
    assert asyncio.get_running_loop().time() - given_back >= 0.49

    await allocator.deallocate("cyan")
    await allocator.deallocate("green")
    own = await allocator.allocate("green", "default", rig.RESOURCES, web_port=port_base + 100)
    assert own.web_port == port_base + 100
    wished = await allocator.allocate("pink", "default", rig.RESOURCES, web_port=port_base)
    assert wished.web_port == port_base
    assert asyncio.get_running_loop().time() - given_back >= 0.98


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("allocate"), st.sampled_from(NAMES), st.integers(-1, RANGES - 1)),
        st.tuples(st.just("deallocate"), st.sampled_from(NAMES), st.just(0)),
        st.tuples(st.just("exchange"), st.sampled_from(NAMES), st.just(0)),
        st.tuples(st.just("lose index"), st.just(""), st.just(0)),
        st.tuples(st.just("lose hash"), st.sampled_from(NAMES), st.just(0)),
    ),
    max_size=25,
)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(operations=OPERATIONS)
def test_books_stay_true(
    operations: list[tuple[str, str, int]], server: Valkey, tmp_path: Path
) -> None:
    """Whatever is asked, and whichever book is lost, ranges never overlap or exceed what there is.

    Asking again gives the same, and both books tell the same in the end.
    """
    asyncio.run(follow(operations, server, tmp_path))


async def follow(operations: list[tuple[str, str, int]], valkey: Valkey, root: Path) -> None:
    base = 20_000  # nothing is started there
    held: dict[str, int] = {}
    connector = connect(valkey)
    client = connector.client
    await client.flushall()
    async with rig.running(root / rig.stack_id(), "none", rig.stack_id()) as runtime:
        # Without memory of unusable ranges: the model knows what is free.
        allocator = make(connector, runtime, base, unusable_seconds=0)
        for operation, name, slot in operations:
            if operation == "allocate":
                wanted = 0 if slot < 0 else base + 100 * slot
                try:
                    allocation = await allocator.allocate(
                        name, "default", rig.RESOURCES, web_port=wanted
                    )
                except errors.FailedPrecondition:
                    assert wanted in held.values()
                except errors.ResourceExhausted:
                    assert len(held) == RANGES
                else:
                    assert allocation.web_port == held.get(name, wanted or allocation.web_port)
                    held[name] = allocation.web_port
            elif operation == "exchange" and name in held:
                try:
                    moved = await allocator.allocate(
                        name, "default", rig.RESOURCES, unusable=held[name]
                    )
                except errors.ResourceExhausted:
                    assert len(held) == RANGES
                else:
                    assert moved.web_port != held[name]
                    held[name] = moved.web_port
            elif operation == "deallocate":
                await allocator.deallocate(name)
                held.pop(name, None)
            elif operation == "lose index":
                await client.delete("port_ranges")
                await allocator.reconcile()
            elif operation == "lose hash":
                await client.delete(f"port_allocations:{name}")
                await allocator.reconcile()
            index = await allocator.by_instance()
            assert {one: index[one].web_port for one in index} == held
            assert len(set(held.values())) == len(held) <= RANGES
        hashes = {key async for key in client.scan_iter(match="port_allocations:*")}
        assert hashes == {f"port_allocations:{name}" for name in held}
    await connector.close()


async def test_lost_data_never_doubles_a_port(
    allocator: Allocator, runtime: LocalRuntime, valkey: Valkey, port_base: int
) -> None:
    """With Redis emptied, what runs keeps its range: before any repair, and after it."""
    first = await allocator.allocate("blue", "default", rig.RESOURCES)
    await runtime.apply(rig.spec("blue", first.web_port, TINY="never"))
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    other = await allocator.allocate("red", "default", rig.RESOURCES)
    assert other.web_port != first.web_port
    same = await allocator.allocate("blue", "default", rig.RESOURCES)
    assert same.web_port == first.web_port
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    await allocator.reconcile()
    assert {name: one.web_port for name, one in (await allocator.by_instance()).items()} == {
        "blue": port_base
    }
    assert "port_allocations:blue" in keys(valkey)
    assert runtime.get("blue") is not None
    await runtime.stop("blue")
    workload = runtime.get("blue")
    assert workload is not None
    assert workload.phase is Phase.STOPPED


class Plan:
    """A plan that changes, as the configuration does."""

    def __init__(self, base: int) -> None:
        self.now = PortPlan(base, 100, RANGES)

    def __call__(self) -> PortPlan:
        return self.now


async def test_what_is_allocated_stays_when_the_plan_changes(
    connector: connectors.Redis, runtime: LocalRuntime, port_base: int, valkey: Valkey
) -> None:
    """Until it is released, with the size it had; what is new comes from the new plan."""
    plan = Plan(port_base)
    allocator = make(connector, runtime, port_base, plan=plan)
    red = await allocator.allocate("red", "default", rig.RESOURCES)
    before = keys(valkey)["port_allocations:red"]
    plan.now = PortPlan(port_base + 150, 50, RANGES)
    assert await allocator.allocate("red", "default", rig.RESOURCES) == red
    assert keys(valkey)["port_allocations:red"] == before
    green = await allocator.allocate("green", "default", rig.RESOURCES)
    assert (green.web_port, green.size) == (port_base + 150, 50)
    ports = json.loads(keys(valkey)["port_allocations:green"]["callback_port_range"])
    assert ports == {"start": port_base + 175, "end": port_base + 199}
    await allocator.deallocate("red")
    again = await allocator.allocate("red", "default", rig.RESOURCES)
    assert (again.web_port, again.size) == (port_base + 200, 50)


@pytest.mark.parametrize(("shift", "size"), [(0, 50), (50, 100), (-30, 70), (0, 300), (99, 1)])
async def test_ranges_of_two_plans_never_overlap(
    connector: connectors.Redis, runtime: LocalRuntime, port_base: int, shift: int, size: int
) -> None:
    """Whatever the new one is: an old range blocks all it reaches into."""
    plan = Plan(port_base)
    allocator = make(connector, runtime, port_base, plan=plan)
    old = [await allocator.allocate(name, "default", rig.RESOURCES) for name in ("red", "green")]
    await allocator.deallocate("red")
    plan.now = PortPlan(port_base + shift, size, 6)
    new = []
    with contextlib.suppress(errors.ResourceExhausted):
        while len(new) < 6:
            new.append(await allocator.allocate(f"new{len(new)}", "default", rig.RESOURCES))
    ranges = [(one.web_port, one.web_port + one.size) for one in (old[1], *new)]
    assert len(ranges) > 1
    for one, other in itertools.combinations(ranges, 2):
        assert one[1] <= other[0] or other[1] <= one[0], (one, other)


async def test_books_of_an_older_plan_are_kept_true(
    connector: connectors.Redis, runtime: LocalRuntime, port_base: int, valkey: Valkey
) -> None:
    """What Redis has lost is entered again, off the new plan's grid too."""
    plan = Plan(port_base)
    allocator = make(connector, runtime, port_base, plan=plan)
    red = await allocator.allocate("red", "default", rig.RESOURCES)
    plan.now = PortPlan(port_base + 30, 70, RANGES)
    with redis.Redis.from_url(valkey.url) as client:
        client.delete("port_ranges")
    await allocator.reconcile()
    (restored,) = (await allocator.by_instance()).values()
    assert (restored.web_port, restored.size) == (red.web_port, 100)
    assert await allocator.holds("red", red.web_port)
    green = await allocator.allocate("green", "default", rig.RESOURCES)
    assert green.web_port >= port_base + 100
