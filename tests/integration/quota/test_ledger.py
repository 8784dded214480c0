"""The ledger on a real Valkey: refusals, replacement, limits, listing, racers."""

import asyncio
import collections
import random

import pytest
import redis.asyncio as redis

from services.chassis import connectors, errors
from services.quota.amounts import MAX_AMOUNT, Amounts
from services.quota.ledger import Ledger
from services.quota.store import Reservation, Store
from tests.integration.quota.conftest import LIMITS

ONE = Amounts(instances=1, cpu=1000, memory=2**30, storage=10 * 2**30)


async def test_reserving_again_replaces(ledger: Ledger) -> None:
    """The second reservation of an instance takes the place of the first, and keeps its time."""
    first = await ledger.reserve("team", "fox", ONE)
    again = await ledger.reserve("team", "fox", Amounts(1, 3000, 2**31, 0))
    standing = await ledger.standing("team")
    assert standing.usage == again.amounts == Amounts(1, 3000, 2**31, 0)
    assert standing.reservations == 1
    assert again.create_time == first.create_time


async def test_refusal_names_every_limit_in_the_way(ledger: Ledger) -> None:
    """A refused reservation changes nothing and tells limit, use, request and excess."""
    await ledger.reserve("team", "fox", Amounts(1, 99_500, 2**30, 0))
    with pytest.raises(errors.ResourceExhausted) as refused:
        await ledger.reserve("team", "owl", Amounts(1, 1000, 2**38, 0))
    error = refused.value
    assert error.code == "QUOTA_EXCEEDED"
    assert error.message == (
        "Quota of namespace team exceeded: cpu: 99500m of 100 in use, 1 asked for, 500m over the "
        "limit; memory: 1Gi of 256Gi in use, 256Gi asked for, 1Gi over the limit"
    )
    assert error.instance_id == "owl"
    assert error.metadata == {
        "namespace": "team",
        "resources": "cpu,memory",
        "cpu.limit": "100",
        "cpu.used": "99500m",
        "cpu.requested": "1",
        "cpu.exceeded_by": "500m",
        "memory.limit": "256Gi",
        "memory.used": "1Gi",
        "memory.requested": "256Gi",
        "memory.exceeded_by": "1Gi",
    }
    assert (await ledger.standing("team")).usage == Amounts(1, 99_500, 2**30, 0)


async def test_own_holding_is_not_counted_twice(ledger: Ledger) -> None:
    """Growing an instance up to the limit succeeds; one more is refused by one."""
    await ledger.reserve("team", "fox", Amounts(1, 60_000, 0, 0))
    assert not await ledger.check("team", "fox", Amounts(1, 100_000, 0, 0))
    (shortage,) = await ledger.check("team", "fox", Amounts(1, 100_001, 0, 0))
    assert (shortage.used, shortage.held, shortage.exceeded_by) == (60_000, 60_000, 1)
    await ledger.reserve("team", "fox", Amounts(1, 100_000, 0, 0))


async def test_checking_reserves_nothing(ledger: Ledger) -> None:
    """A check leaves no trace."""
    assert not await ledger.check("team", "", ONE)
    assert (await ledger.standing("team")).usage == Amounts()
    assert await ledger.standings(after="", count=10, visible=lambda _: True) == ([], False)


async def test_releasing_twice_changes_nothing_more(ledger: Ledger) -> None:
    """The second release of an instance, and one of an unknown instance, do nothing."""
    await ledger.reserve("team", "fox", ONE)
    await ledger.reserve("team", "owl", ONE)
    for _ in range(2):
        await ledger.release("team", "fox")
    await ledger.release("team", "nobody")
    assert (await ledger.standing("team")).usage == ONE


async def test_lowered_limits_refuse_growth_only(ledger: Ledger) -> None:
    """Below its use a namespace may shrink, and swap equals, but not grow."""
    await ledger.reserve("team", "fox", Amounts(1, 8000, 8, 0))
    await ledger.update("team", {"cpu": 2000})
    await ledger.reserve("team", "fox", Amounts(1, 8000, 8, 0))
    await ledger.reserve("team", "fox", Amounts(1, 7000, 9, 0))
    with pytest.raises(errors.ResourceExhausted):
        await ledger.reserve("team", "fox", Amounts(1, 7001, 0, 0))
    assert (await ledger.standing("team")).usage == Amounts(1, 7000, 9, 0)


async def test_largest_amounts_are_exact(ledger: Ledger) -> None:
    """At 2^53 one byte more is still seen: no rounding of doubles."""
    await ledger.update("team", {"memory": MAX_AMOUNT})
    await ledger.reserve("team", "fox", Amounts(1, 0, 1, 0))
    (shortage,) = await ledger.check("team", "owl", Amounts(1, 0, MAX_AMOUNT, 0))
    assert shortage.exceeded_by == 1
    await ledger.reserve("team", "owl", Amounts(1, 0, MAX_AMOUNT - 1, 0))
    assert (await ledger.standing("team")).usage.memory == MAX_AMOUNT


async def test_limits_left_alone_follow_the_default(store: Store, ledger: Ledger) -> None:
    """Only limits that were written are a namespace's own; None gives them back."""
    standing = await ledger.update("team", {"cpu": 1})
    assert standing.limits == Amounts(LIMITS.instances, 1, LIMITS.memory, LIMITS.storage)
    assert not standing.is_default
    assert standing.update_time is not None
    other = Ledger(store=store, default_limits=lambda: Amounts(1, 2, 3, 4))
    assert (await other.standing("team")).limits == Amounts(1, 1, 3, 4)
    standing = await ledger.update("team", {"cpu": None})
    assert standing.is_default
    assert standing.limits == LIMITS
    assert standing.update_time is None


async def test_etag_guards_against_lost_updates(ledger: Ledger) -> None:
    """Of writers that read the same limits, exactly one succeeds; usage does not matter."""
    etag = (await ledger.standing("team")).etag
    await ledger.reserve("team", "fox", ONE)
    results = await asyncio.gather(
        *(ledger.update("team", {"cpu": cpu}, etag=etag) for cpu in range(10)),
        return_exceptions=True,
    )
    lost = [one for one in results if isinstance(one, errors.Aborted)]
    assert {one.code for one in lost} == {"ETAG_MISMATCH"}
    assert len(lost) == 9


async def test_limits_changed_since_they_were_read_stay(store: Store, ledger: Ledger) -> None:
    """A write that expects other limits than there are does nothing, also in the last moment."""
    assert await store.update("team", {"cpu": 1}, expected={})
    assert not await store.update("team", {"cpu": 2}, expected={})
    assert not await store.update("team", {"cpu": 2}, expected={"cpu": 1, "memory": 1})
    assert await store.update("team", {"cpu": 2}, expected={"cpu": 1})
    assert (await ledger.standing("team")).limits.cpu == 2


async def test_repair_of_what_changed_meanwhile_does_nothing(store: Store, ledger: Ledger) -> None:
    """A repair is bound to the reservation that was looked at, or to there being none."""

    async def repair(looked_at: str, amounts: Amounts | None) -> bool:
        return await store.repair(
            "team", "fox", looked_at=looked_at, grace_seconds=0, amounts=amounts
        )

    first = await ledger.reserve("team", "fox", ONE)
    assert not await repair("", Amounts(1, 1, 1, 1))
    await asyncio.sleep(0.002)  # its time is kept in milliseconds
    again = await ledger.reserve("team", "fox", ONE)
    assert not await repair(first.text, None)
    assert (await ledger.standing("team")).usage == ONE
    assert await repair(again.text, None)
    assert not await repair(again.text, None)


async def test_list_is_in_order_and_complete(ledger: Ledger) -> None:
    """Pages together are every namespace that has limits or holds something, once each."""
    names = [f"n{number:02}" for number in range(25)]
    for name in random.Random(7).sample(names, len(names)):
        await ledger.reserve(name, "fox", ONE)
    await ledger.release("n03", "fox")
    await ledger.update("n04", {"cpu": 5000})
    await ledger.release("n04", "fox")
    seen: list[str] = []
    more = True
    while more:
        page, more = await ledger.standings(
            after=seen[-1] if seen else "", count=4, visible=lambda name: name != "n05"
        )
        seen += [standing.namespace for standing in page]
    assert seen == [name for name in names if name not in ("n03", "n05")]


async def test_racers_never_pass_the_limit(ledger: Ledger) -> None:
    """Of 200 concurrent reservations for 200 instances, exactly as many fit as the limit."""
    results = await asyncio.gather(
        *(ledger.reserve("team", f"i{number}", ONE) for number in range(200)),
        return_exceptions=True,
    )
    kinds = collections.Counter(type(one) for one in results)
    assert kinds == {Reservation: LIMITS.instances, errors.ResourceExhausted: 150}
    assert (await ledger.standing("team")).usage.instances == LIMITS.instances


async def test_racers_on_few_instances_leave_the_sum_right(store: Store, ledger: Ledger) -> None:
    """200 racers that reserve, resize and release the same instances leave no trace."""
    chance = random.Random(3)

    async def race() -> None:
        for _ in range(5):
            name = f"i{chance.randrange(10)}"
            if chance.random() < 0.5:
                await ledger.reserve("team", name, Amounts(1, chance.randrange(5000), 7, 9))
            else:
                await ledger.release("team", name)

    await asyncio.gather(*(race() for _ in range(200)))
    assert await store.recount("team") is None
    for number in range(10):
        await ledger.release("team", f"i{number}")
    standing = await ledger.standing("team")
    assert (standing.usage, standing.reservations) == (Amounts(), 0)


async def test_forgetting_spares_what_came_back(store: Store, ledger: Ledger) -> None:
    """A namespace taken off the list while a reservation comes in is listed afterwards."""
    await ledger.reserve("busy", "fox", ONE)
    await store.forget("busy")
    assert await store.names(after="", count=100) == ["busy"]
    await ledger.release("busy", "fox")
    await store.forget("busy")
    for round_ in range(20):
        name = f"n{round_}"
        await ledger.reserve(name, "fox", ONE)
        await ledger.release(name, "fox")
        await asyncio.gather(store.forget(name), ledger.reserve(name, "owl", ONE))
        assert await store.names(after="", count=100) == [name]
        await ledger.release(name, "owl")
        await store.forget(name)
        assert await store.names(after="", count=100) == []


async def test_index_is_found_again(
    store: Store, ledger: Ledger, connector: connectors.Redis
) -> None:
    """A walk over the keys lists every namespace again after the index was lost."""
    await ledger.reserve("held", "fox", ONE)
    await ledger.update("limited", {"cpu": 1})
    client: redis.Redis = connector.client
    await client.delete("quota:namespaces")
    await store.rebuild_index()
    assert await store.names(after="", count=10) == ["held", "limited"]


async def test_everything_is_idle_when_released(
    ledger: Ledger, connector: connectors.Redis
) -> None:
    """A namespace that holds nothing and has no limits of its own leaves no key behind."""
    await ledger.reserve("team", "fox", ONE)
    await ledger.release("team", "fox")
    await ledger.update("team", {"cpu": 1})
    await ledger.update("team", {"cpu": None})
    assert await connector.client.keys("quota:{*") == []
