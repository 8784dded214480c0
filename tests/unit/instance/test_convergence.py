"""Whatever happens in whatever order, every instance ends as wanted and nothing is left over."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis import errors, identity
from services.instance.record import NOTHING_IN_FORCE, Desired, Quota, State, StopReason
from services.instance.workload import Phase
from tests.unit.instance.worlds import ALICE, Killed, World, time_of

NAMES = ("ada", "bob")
OPS = (
    *("create", "create-stopped", "start", "stop", "delete"),
    *("grow", "shrink", "too-much", "rename"),
    *("look", "exit", "ready", "tick"),
    *("abandon", "use", "keep"),
)
SIZES = {"grow": "1500m", "shrink": "100m", "too-much": "3000m"}

operations = st.lists(
    st.tuples(
        st.sampled_from(OPS),
        st.sampled_from(NAMES),
        st.one_of(st.none(), st.integers(0, 15)),
        st.one_of(
            st.none(),
            st.tuples(
                st.integers(0, 5),
                st.sampled_from(("start", "stop", "delete", "look", "grow", "shrink")),
            ),
        ),
    ),
    min_size=1,
    max_size=14,
)


async def _do(world: World, op: str, name: str, acknowledged: dict[str, str]) -> None:
    """Carry one operation out; what was acknowledged is what has to be true in the end."""
    match op:
        case "create" | "create-stopped":
            desired = "RUNNING" if op == "create" else "STOPPED"
            made = await world.create(name, desired)
            acknowledged[name] = made.desired.value
        case "start":
            await world.desires.start(name, "")
            acknowledged[name] = "RUNNING"
        case "stop":
            await world.desires.stop(name, "")
            acknowledged[name] = "STOPPED"
        case "delete":
            await world.desires.delete(name, "")
            acknowledged[name] = "DELETED"
        case "grow" | "shrink" | "too-much":
            changed = await world.updates.update(name, {"cpu": SIZES[op]}, "")
            assert changed.cpu == SIZES[op]
        case "rename":
            environment = {"NAME": str(world.clock)}
            await world.updates.update(name, {"environment": environment}, "")
        case "look":
            world.looking = True
            try:
                await world.look(name)
            finally:
                world.looking = False
        case "exit" | "ready":
            known = world.outside.workloads.get(name)
            if known is not None and known.runs:
                phase = Phase.EXITED if op == "exit" else Phase.READY
                world.outside.workloads[name] = dataclasses.replace(known, phase=phase)
        case "tick":
            world.clock += 20_000
        case "abandon":
            world.outside.abandoned.setdefault(name, world.clock)
            world.ever_abandoned.add(name)
        case "use":
            world.outside.abandoned.pop(name, None)
        case "keep":
            await world.desires.keep_alive(name, 60_000)


def _meddler(
    world: World, op: str, name: str, acknowledged: dict[str, str]
) -> Callable[[], Awaitable[None]]:
    async def meddle() -> None:
        if op == "look" and world.looking:
            return
        with contextlib.suppress(errors.DomainError):
            await _do(world, op, name, acknowledged)

    return meddle


async def _live(steps: list[tuple[str, str, int | None, tuple[int, str] | None]]) -> None:
    world = World()
    identity.enter(ALICE)
    acknowledged: dict[str, str] = {}
    with time_of(world):
        for op, name, kill_at, meddling in steps:
            world.clock += 10
            world.arm()
            world.kill_at = kill_at
            world.meddle_at = (
                None
                if meddling is None
                else (meddling[0], _meddler(world, meddling[1], name, acknowledged))
            )
            before = dict(acknowledged)
            try:
                async with asyncio.timeout(5):
                    await _do(world, op, name, acknowledged)
            except Killed:
                # Not acknowledged: it may or may not have come to pass.
                quiet = {"look", "exit", "ready", "tick", "abandon", "use", "keep"}
                meddled = meddling is not None and meddling[1] not in quiet
                if op not in quiet or (meddled and acknowledged == before):
                    acknowledged[name] = "?"
                world.boot()
            except errors.DomainError:
                pass
        await world.settle()
        _check(world, acknowledged)


def _check(world: World, acknowledged: dict[str, str]) -> None:
    records = world.store.records
    for name, wanted in acknowledged.items():
        record = records.get(name)
        if wanted == "?":
            continue
        if wanted == "DELETED":
            assert record is None
        else:
            assert record is not None, f"{name} was acknowledged and is lost"
            idle = record.stop_reason is StopReason.IDLE
            assert not idle or name in world.ever_abandoned
            assert record.desired.value == wanted or (wanted == "RUNNING" and idle)
    for name in world.outside.abandoned:
        record = records.get(name)
        assert record is None or record.state is not State.RUNNING, "nobody uses it"
    for record in records.values():
        assert record.admitted
        assert record.settled, record
        if record.desired is Desired.STOPPED:
            assert record.state is State.STOPPED
        expected = {State.RUNNING: Quota.RUNNING, State.STOPPED: Quota.STOPPED}.get(record.state)
        assert world.outside.held.get(record.id) is expected, record.state
        assert (record.id in world.outside.ports) == (record.state is State.RUNNING)
        if record.id in world.outside.held:
            amounts = (record.cpu, record.memory, record.storage)
            assert world.outside.amounts[record.id] == amounts, "the ledger holds something else"
        assert record.resize_mark == 0
        workload = world.outside.workloads.get(record.id)
        if record.state is State.RUNNING:
            assert workload is not None
            assert record.applied == record.revision
            assert record.in_force == workload.in_force
            assert workload.in_force.cpu == record.cpu, "the workload has something else"
            started = world.outside.environments[record.id]
            assert bool(record.in_force.at_next_start) == (started != record.environment)
        else:
            assert record.in_force == NOTHING_IN_FORCE
        assert (workload is not None and workload.runs) == (record.state is State.RUNNING)
        assert not record.outbox
    assert set(world.outside.held) <= set(records), "quota leaked"
    assert set(world.outside.ports) <= set(records), "ports leaked"
    running = {name for name, one in world.outside.workloads.items() if one.runs}
    assert running <= set(records), "processes leaked"
    assert world.outside.disks <= set(records), "disks leaked"
    for name in NAMES:
        orders = [(one.created_at, one.version) for told, one in world.told if told == name]
        assert sorted(set(orders)) == list(dict.fromkeys(orders)), "told out of order"


@settings(max_examples=400)
@given(operations)
def test_everything_converges(
    steps: list[tuple[str, str, int | None, tuple[int, str] | None]],
) -> None:
    """Calls, kills before and after each side effect, others in between: all ends as wanted."""
    asyncio.run(_live(steps))


PATHS = {
    "PENDING": ["create"],
    "STARTING": ["create", "look"],
    "RUNNING": ["create", "look", "ready", "look"],
    "exited": ["create", "look", "ready", "look", "exit"],
    "STOPPING": ["create", "look", "ready", "look", "stop"],
    "STOPPED": ["create-stopped", "look"],
    "restarting": ["create", "look", "stop", "start"],
    "DELETING": ["create", "look", "delete"],
}
"""Ways into each state."""


@pytest.mark.parametrize("op", ["start", "stop", "delete", "look", "grow", "rename"])
@pytest.mark.parametrize("path", PATHS)
async def test_killed_at_any_line_it_ends_as_wanted(path: str, op: str) -> None:
    """In every state, a kill before or after every side effect of a call leaves nothing over."""
    way = [(step, "ada", None, None) for step in PATHS[path]]
    for kill_at in range(16):
        await _live([*way, (op, "ada", kill_at, None)])


@pytest.mark.parametrize("op", ["start", "stop", "delete", "look", "grow", "rename"])
@pytest.mark.parametrize("path", PATHS)
async def test_whoever_gets_in_between_it_ends_as_wanted(path: str, op: str) -> None:
    """In every state, another call between any two side effects, and a kill after, do no harm."""
    way = [(step, "ada", None, None) for step in PATHS[path]]
    for other in ("start", "stop", "delete", "look", "shrink"):
        if op == other == "look":
            continue  # the lease keeps two of them apart
        for number in range(5):
            for kill_at in (None, 2 * number, 2 * number + 1, 2 * number + 3):
                await _live([*way, (op, "ada", kill_at, (number, other))])


@pytest.mark.parametrize("kill_at", range(12))
@pytest.mark.parametrize("op", ["create", "create-stopped"])
async def test_a_create_killed_anywhere_is_whole_or_nothing(op: str, kill_at: int) -> None:
    """After a kill at any line of a create there is an instance as asked for, or no trace of it."""
    await _live([(op, "ada", kill_at, None)])


@pytest.mark.parametrize("kill_at", range(8))
async def test_a_retry_of_a_killed_create_makes_one_instance(kill_at: int) -> None:
    """A retry with the same request_id goes on where the killed one was, without a second one."""
    world = World()
    identity.enter(ALICE)
    with time_of(world):
        world.arm()
        world.kill_at = kill_at
        with contextlib.suppress(Killed):
            await world.create("", "RUNNING", key="alice:1")
        world.kill_at = None
        world.boot()
        world.clock += 3_000
        made = await world.create("", "RUNNING", key="alice:1")
        again = await world.create("", "RUNNING", key="alice:1")
        assert made.id == again.id
        await world.settle()
        assert list(world.store.records) == [made.id]
        assert set(world.outside.held) == {made.id}


@pytest.mark.parametrize("away", ["", "apply"])
@pytest.mark.parametrize("looks", range(3))
@pytest.mark.parametrize("begun", ["create", "start"])
@pytest.mark.parametrize("other", ["stop", "delete"])
async def test_what_another_replica_took_down_gets_nothing_more(
    begun: str, other: str, looks: int, away: str
) -> None:
    """A replica that acts on what it wrote, long since overtaken, leaves nothing over."""
    world = World()
    identity.enter(ALICE)
    with time_of(world):
        fresh = await world.create("ada", "RUNNING" if begun == "create" else "STOPPED")
        if begun == "start":
            await world.settle()
            fresh = await world.desires.start("ada", "")
        acknowledged: dict[str, str] = {}
        await _do(world, other, "ada", acknowledged)
        for _ in range(looks):
            await world.look("ada")
        if away:
            world.outside.broken[away] = errors.Unavailable("SERVICE_UNAVAILABLE", "away")
        await world.look("ada", fresh)
        world.outside.broken.clear()
        if other == "delete":
            # What is reserved without a record, the quota service gives back.
            world.outside.held.pop("ada", None)
        await world.settle()
        world.outside.disks &= set(world.store.records)  # kept by intent: the record may be lost
        _check(world, acknowledged)


async def test_a_refused_create_leaves_nothing() -> None:
    """A create over quota is refused at once and leaves no record and no reservation."""
    world = World()
    identity.enter(ALICE)
    world.outside.limit = 0
    with pytest.raises(errors.ResourceExhausted):
        await world.create("ada", "RUNNING")
    assert not world.store.records
    assert not world.outside.held


async def test_a_taken_id_keeps_its_reservation() -> None:
    """A create of an id that exists is refused and does not touch what the instance holds."""
    world = World()
    identity.enter(ALICE)
    await world.create("ada", "RUNNING")
    with pytest.raises(errors.AlreadyExists):
        await world.create("ada", "STOPPED")
    assert world.outside.held == {"ada": Quota.RUNNING}


async def test_services_away_do_not_fail_a_start() -> None:
    """However long another service is away, a start waits for it, and says so."""
    world = World()
    identity.enter(ALICE)
    with time_of(world):
        await world.create("ada", "RUNNING")
        world.outside.away = True
        for _ in range(20):
            world.clock += 10_000
            with contextlib.suppress(errors.Unavailable):
                await world.look("ada")
        waiting = world.store.records["ada"]
        assert waiting.state is State.STARTING
        assert "ServiceUnavailable" in {one.reason for one in waiting.conditions}
        world.outside.away = False
        await world.settle()
        assert world.store.records["ada"].state is State.RUNNING


async def test_ports_that_ran_out_are_waited_for_then_given_up() -> None:
    """Without ports a start waits for its budget, then fails for capacity, holding nothing."""
    world = World()
    identity.enter(ALICE)
    with time_of(world):
        await world.create("ada", "RUNNING")
        world.outside.broken["allocate"] = errors.ResourceExhausted("PORTS_EXHAUSTED", "none")
        for _ in range(2):
            world.clock += 5_000
            with contextlib.suppress(errors.ResourceExhausted):
                await world.look("ada")
            assert world.store.records["ada"].state is State.STARTING
        world.clock += 10_000
        await world.look("ada")
        failed = world.store.records["ada"]
        assert failed.state is State.FAILED
        assert failed.failure is not None
        assert failed.failure.code == "PORTS_EXHAUSTED"
        assert failed.failure.kind == "CAPACITY"
        assert not world.outside.held
