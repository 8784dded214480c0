"""Changing instances: what was refused changes nothing, what was accepted comes to be."""

import contextlib

import pytest
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from google.protobuf import duration_pb2, field_mask_pb2

from services.chassis import errors, identity, validation
from services.instance import decide, documents, revisions, transitions
from services.instance.record import NOTHING_IN_FORCE, Desired, InForce, Record, State
from services.instance.settings import InstanceSettings
from services.instance.specification import Reader
from services.instance.workload import Phase
from tests.unit.instance.test_decide import record, seen, what
from tests.unit.instance.worlds import ALICE, Killed, World, time_of

READER = Reader(InstanceSettings)


async def _running(world: World) -> Record:
    identity.enter(ALICE)
    await world.create("ada", "RUNNING")
    await world.settle()
    return world.store.records["ada"]


async def test_a_running_instance_is_resized_without_a_restart() -> None:
    """New resources are in force once it is reconciled; its process stays the same."""
    world = World()
    with time_of(world):
        before = await _running(world)
        answer = await world.updates.update("ada", {"cpu": "750m"}, before.etag)
        assert (answer.cpu, answer.in_force.cpu, answer.settled) == ("750m", "500m", False)
        await world.settle()
        after = world.store.records["ada"]
    assert after.settled
    assert after.in_force == InForce("750m", "1Gi", "10Gi")
    assert world.outside.amounts["ada"] == ("750m", "1Gi", "10Gi")
    assert (world.starts, after.restarts) == (1, 0)


async def test_an_environment_counts_from_the_next_start_and_says_so() -> None:
    """A changed environment is pending while it runs, and no longer after a stop and a start."""
    world = World()
    with time_of(world):
        await _running(world)
        await world.updates.update("ada", {"environment": {"A": "1"}}, "")
        await world.settle()
        assert world.store.records["ada"].in_force.at_next_start == ("environment",)
        await world.desires.stop("ada", "")
        await world.settle()
        assert world.store.records["ada"].in_force == NOTHING_IN_FORCE
        await world.desires.start("ada", "")
        await world.settle()
        assert world.store.records["ada"].in_force.at_next_start == ()
        assert world.outside.environments["ada"] == {"A": "1"}


@pytest.mark.parametrize("desired", ["RUNNING", "STOPPED"])
async def test_what_the_quota_refuses_changes_nothing(desired: str) -> None:
    """A refused change leaves record, etag, ledger and workload as they were."""
    world = World()
    identity.enter(ALICE)
    with time_of(world):
        await world.create("ada", desired)
        await world.settle()
        before = world.store.records["ada"]
        world.outside.broken["reserve_quota"] = errors.ResourceExhausted("QUOTA_EXCEEDED", "no")
        with pytest.raises(errors.ResourceExhausted):
            await world.updates.update("ada", {"cpu": "900m", "display_name": "New"}, "")
        world.outside.broken.clear()
        await world.settle()
        after = world.store.records["ada"]
    assert (after.cpu, after.display_name, after.etag) == ("500m", "", before.etag)
    assert world.outside.amounts["ada"][0] == "500m"
    assert after.settled
    assert world.outside.workloads == {} or world.outside.workloads["ada"].in_force.cpu == "500m"


async def test_a_failed_instance_needs_no_quota_to_be_changed() -> None:
    """FAILED holds nothing, so nothing is reserved; the next start asks for the new size."""
    world = World()
    identity.enter(ALICE)
    with time_of(world):
        await world.create("ada", "RUNNING")
        world.outside.broken["apply"] = errors.FailedPrecondition("EDITOR_NOT_INSTALLED", "none")
        await world.settle()
        assert world.store.records["ada"].state is State.FAILED
        world.outside.broken.clear()
        await world.updates.update("ada", {"cpu": "900m"}, "")
        assert world.outside.held == {}
        await world.desires.start("ada", "")
        await world.settle()
        assert world.outside.amounts["ada"][0] == "900m"
        assert world.store.records["ada"].in_force.cpu == "900m"


async def test_the_same_change_again_changes_nothing() -> None:
    """A repetition writes nothing: same version, same etag."""
    world = World()
    with time_of(world):
        await _running(world)
        values = {"cpu": "750m", "labels": {"a": "b"}, "idle_timeout": 60_000}
        await world.updates.update("ada", values, "")
        await world.settle()
        before = world.store.records["ada"]
        again = await world.updates.update("ada", values, before.etag)
        assert again == before == world.store.records["ada"]


async def test_two_changes_at_once_leave_the_ledger_right() -> None:
    """One that comes while another is under way waits, then is refused: the first may come last."""
    world = World()
    with time_of(world):
        await _running(world)
        refused = []

        async def meddle() -> None:
            try:
                await world.updates.update("ada", {"cpu": "100m"}, "")
            except errors.Aborted as error:
                refused.append(error.code)
            await world.look("ada")

        world.arm()
        world.meddle_at, world.kill_at = (1, meddle), 3
        with contextlib.suppress(Killed):
            await world.updates.update("ada", {"cpu": "1500m"}, "")
        world.boot()
        await world.settle()
        assert refused == ["INSTANCE_BUSY"]
        assert world.outside.amounts["ada"][0] == world.store.records["ada"].cpu == "500m"


@pytest.mark.parametrize(
    ("state", "phase", "expected"),
    [
        (State.RUNNING, Phase.READY, decide.Resize),
        (State.RUNNING, Phase.STARTING, decide.Change),
        (State.STARTING, Phase.STARTING, decide.Nothing),
        (State.STARTING, Phase.READY, decide.Change),
        (State.STOPPED, Phase.STOPPED, decide.Nothing),
        (State.FAILED, None, decide.Nothing),
    ],
)
def test_a_resize_waits_until_the_editor_answers(
    state: State, phase: Phase | None, expected: type
) -> None:
    """What is starting is not disturbed; what is down takes it with its next start."""
    desired = Desired.STOPPED if state is State.STOPPED else Desired.RUNNING
    one = record(state, desired, revision=3, applied=2)
    assert isinstance(what(one, seen(phase)), expected)


@pytest.mark.parametrize("broken", ["allocate", "apply"])
async def test_a_failed_resize_keeps_the_instance_running(broken: str) -> None:
    """A resize that does not succeed is tried again; it never fails what runs."""
    world = World()
    with time_of(world):
        await _running(world)
        world.outside.broken[broken] = errors.ResourceExhausted("PORTS_EXHAUSTED", "none")
        await world.updates.update("ada", {"cpu": "750m"}, "")
        for _ in range(3):
            world.clock += 60_000
            with pytest.raises(errors.ResourceExhausted):
                await world.look("ada")
            waiting = world.store.records["ada"]
            assert (waiting.state, waiting.in_force.cpu) == (State.RUNNING, "500m")
            assert not waiting.settled
        world.outside.broken.clear()
        await world.settle()
        assert world.store.records["ada"].in_force.cpu == "750m"
        assert world.starts == 1


def test_records_of_before_are_read() -> None:
    """Documents written before there was UpdateInstance are read as unchanged since."""
    document = documents.encode(record(State.RUNNING))
    for name in ("revision", "applied", "in_force", "resize_mark"):
        del document[name]
    read = documents.decode(document)
    assert (read.revision, read.applied, read.in_force) == (0, 0, NOTHING_IN_FORCE)
    assert read.settled
    full = record(State.RUNNING, revision=2, applied=1, in_force=InForce("1", "2", "3", ("x",)))
    assert documents.decode(documents.encode(full)) == full


def _read(*paths: str, **instance: object) -> tuple[dict[str, object], dict[str, str]]:
    wrong = validation.Violations()
    request = instance_service_pb2.UpdateInstanceRequest(
        instance=instance_pb2.Instance(id="ada", **instance)  # type: ignore[arg-type]
    )
    if paths:
        request.update_mask.CopyFrom(field_mask_pb2.FieldMask(paths=[p for p in paths if p]))
    values = revisions.read(request, wrong, READER)
    try:
        wrong.check()
    except errors.InvalidArgument as error:
        return {}, {one.field: one.description for one in error.violations}
    return dict(values), {}


def test_without_a_mask_what_is_set_is_changed() -> None:
    """Fields that are set are changed, resources one by one; what cannot be is not looked at."""
    values, wrong = _read(
        resources=resources_pb2.Resources(cpu="2"),
        labels={"a": "b"},
        max_lifetime=duration_pb2.Duration(),
        state=instance_pb2.INSTANCE_STATE_STOPPED,
        owner="eve",
    )
    assert not wrong
    assert values == {"cpu": "2", "labels": {"a": "b"}, "max_lifetime": 0}


def test_a_mask_names_what_is_changed() -> None:
    """A named field that is not set gets what it would have had at creation."""
    values, wrong = _read("resources.memory", "environment", "display_name", labels={"a": "b"})
    assert not wrong
    settings = InstanceSettings()
    assert values == {
        "memory": settings.default_memory_request,
        "environment": {},
        "display_name": "",
    }
    everything, _ = _read("*")
    assert set(everything) == set(transitions.MUTABLE)
    assert set(_read("resources")[0]) == {"cpu", "memory", "storage"}


def test_every_violation_of_a_change_is_told() -> None:
    """The rules are those of creation, and each fault is named by its path."""
    _, wrong = _read(
        *("resources.cpu", "labels", "environment", "idle_timeout", "state", "nope", "labels.a"),
        resources=resources_pb2.Resources(cpu="99"),
        labels={"-": "z"},
        environment={"CODESTUDIO_X": "y"},
        idle_timeout=duration_pb2.Duration(seconds=1),
    )
    assert set(wrong) == {
        "update_mask",
        "instance.resources.cpu",
        "instance.labels[-]",
        "instance.environment[CODESTUDIO_X]",
        "instance.idle_timeout",
    }
    assert set(_read("")[1]) == {"update_mask"}
    assert set(_read()[1]) == {"instance"}
