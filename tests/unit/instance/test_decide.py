"""The table of decisions: every state, wish and phase has exactly one answer."""

import dataclasses
from itertools import product

import pytest

from services.instance import changes, decide, documents, transitions, translation
from services.instance.record import (
    EVERYTHING,
    Desired,
    Held,
    Ports,
    Quota,
    Record,
    State,
    Step,
    fresh_conditions,
)
from services.instance.workload import UNSEEN, Health, Phase, Sight, Workload
from tests.unit.instance.worlds import POLICY

NOW = 1_700_000_000_000


def record(state: State, desired: Desired = Desired.RUNNING, **fields: object) -> Record:
    """Make a record as it is in a state."""
    base = Record(
        id="ada",
        uid="u",
        owner="alice",
        namespace="team",
        cpu="1",
        memory="1Gi",
        storage="1Gi",
        desired=desired,
        state=state,
        conditions=fresh_conditions(NOW),
        created_at=NOW,
        progress_at=NOW,
        version=1,
        quota={
            State.PENDING: Quota.RUNNING,
            State.STARTING: Quota.RUNNING,
            State.RUNNING: Quota.RUNNING,
            State.STOPPED: Quota.STOPPED,
            State.FAILED: Quota.NONE,
        }.get(state, Quota.UNKNOWN),
        held=EVERYTHING
        if state in (State.STOPPING, State.DELETING, State.FAILING)
        else frozenset(),
    )
    if state in (State.STARTING, State.RUNNING):
        base = transitions.allocated(base, Ports(8000, 8050, 8099), NOW)
        base = transitions.applied(base, Workload(Phase.STARTING, start_time=1), NOW)
    if state is State.RUNNING:
        base = transitions.running(base, NOW)
    return dataclasses.replace(base, **fields)  # type: ignore[arg-type]


def seen(phase: Phase | None, *, confirmed: bool = False, **fields: object) -> Sight:
    """See a workload in a phase; None for none."""
    workload = Workload(phase, start_time=1, **fields) if phase else None  # type: ignore[arg-type]
    return Sight(known=True, workload=workload, confirmed=confirmed, known_since=1)


def what(one: Record, sight: Sight = UNSEEN, now: int = NOW) -> decide.Action:
    """Decide."""
    return decide.decide(one, sight, now, POLICY)


PHASES = [UNSEEN, *(seen(phase) for phase in (None, *Phase))]
CONFIRMED = [seen(phase, confirmed=True) for phase in (None, *Phase)]


@pytest.mark.parametrize(
    ("state", "sight"), list(product([State.STOPPING, State.FAILING], [*PHASES, *CONFIRMED]))
)
def test_on_the_way_down_everything_is_given_back_in_order(state: State, sight: Sight) -> None:
    """Whatever the workload does, it is stopped; ports go back, then quota; then it rests."""
    desired = Desired.STOPPED if state is State.STOPPING else Desired.RUNNING
    failure = transitions.failing(
        record(State.STARTING),
        NOW,
        step=Step.EDITOR,
        verdict=transitions.CRASHING,
        code="X",
        message="x",
    ).failure
    down = record(state, desired, failure=failure)
    assert what(down, sight) == decide.Stop()
    down = dataclasses.replace(down, held=frozenset({Held.PORTS}))
    assert what(down, sight) == decide.Deallocate()
    down = dataclasses.replace(down, held=frozenset())
    if state is State.STOPPING:
        assert what(down, sight) == decide.ReserveQuota(Quota.STOPPED)
        last = what(dataclasses.replace(down, quota=Quota.STOPPED), sight)
    else:
        assert what(down, sight) == decide.ReleaseQuota()
        last = what(dataclasses.replace(down, quota=Quota.NONE), sight)
    assert isinstance(last, decide.Change)
    assert last.record.state is (State.STOPPED if state is State.STOPPING else State.FAILED)


@pytest.mark.parametrize("sight", [*PHASES, *CONFIRMED])
def test_deleting_ends_gone(sight: Sight) -> None:
    """Deleting removes the workload with its disk, ports and quota, then the record."""
    down = record(State.DELETING, Desired.DELETED)
    assert what(down, sight) == decide.Delete()
    down = dataclasses.replace(down, held=frozenset({Held.PORTS}))
    assert what(down, sight) == decide.Deallocate()
    down = dataclasses.replace(down, held=frozenset())
    assert what(down, sight) == decide.ReleaseQuota()
    last = what(dataclasses.replace(down, quota=Quota.NONE), sight)
    assert isinstance(last, decide.Change)
    assert last.record.gone
    assert what(last.record, sight) == decide.Forget()
    told = changes.note(down, last.record, NOW)
    assert what(told, sight) == decide.Nothing()


@pytest.mark.parametrize("state", [State.STOPPED, State.FAILED])
def test_what_rests_is_left_alone_unless_it_runs(state: State) -> None:
    """At rest nothing is done, but for a workload that runs all the same: it and its ports go."""
    at_rest = record(state, Desired.STOPPED if state is State.STOPPED else Desired.RUNNING)
    for sight in (UNSEEN, seen(None), seen(Phase.STOPPED), seen(Phase.EXITED)):
        assert what(at_rest, sight) == decide.Nothing()
    for phase in (Phase.STARTING, Phase.READY, Phase.STOPPING):
        assert what(at_rest, seen(phase)) == decide.Observe()
        left_over = transitions.left_over(at_rest)
        assert what(at_rest, seen(phase, confirmed=True)) == decide.Change(left_over)
        assert what(left_over, seen(phase, confirmed=True)) == decide.Stop()
        stopped = transitions.workload_stopped(left_over, NOW)
        assert what(stopped, seen(Phase.STOPPED)) == decide.Deallocate()


def test_a_call_to_start_is_waited_for_before_quota_is_made_right() -> None:
    """While a call may still reserve, or until it must have died, the ledger is left alone."""
    marked = record(State.STOPPED, Desired.STOPPED, quota=Quota.UNKNOWN, start_mark=NOW)
    over = NOW + POLICY.claim_abandon
    assert what(marked, seen(None), NOW + 1) == decide.Nothing(over)
    assert what(marked, seen(None), over) == decide.ReserveQuota(Quota.STOPPED)
    failed = record(State.FAILED, quota=Quota.UNKNOWN, start_mark=NOW)
    assert what(failed, seen(None), over) == decide.ReleaseQuota()
    deleting = record(State.DELETING, Desired.DELETED, held=frozenset(), start_mark=NOW)
    assert what(deleting, seen(None), NOW + 1) == decide.Nothing(over)


@pytest.mark.parametrize("sight", PHASES)
def test_a_start_goes_step_by_step(sight: Sight) -> None:
    """Quota, ports, workload, in this order, whatever the workload was before."""
    begun = record(State.PENDING, quota=Quota.UNKNOWN)
    assert what(begun, sight) == decide.ReserveQuota(Quota.RUNNING)
    begun = transitions.quota_reserved(begun, Quota.RUNNING, NOW)
    assert what(begun, sight) == decide.Allocate()
    begun = transitions.allocated(begun, Ports(8000, 8050, 8099), NOW)
    assert begun.state is State.STARTING
    assert what(begun, sight) == decide.Apply()


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING])
@pytest.mark.parametrize("phase", [None, *Phase])
@pytest.mark.parametrize("confirmed", [False, True])
def test_what_runs_follows_its_workload(
    state: State,
    phase: Phase | None,
    confirmed: bool,
) -> None:
    """A ready editor makes it run; one that is gone is asked for, then started again."""
    action = what(record(state), seen(phase, confirmed=confirmed))
    if phase is Phase.READY:
        expected = decide.Nothing() if state is State.RUNNING else None
        assert action == expected or isinstance(action, decide.Change)
        if isinstance(action, decide.Change):
            assert action.record.state is State.RUNNING
    elif phase is Phase.STARTING:
        if state is State.RUNNING:
            assert isinstance(action, decide.Change)
            assert action.record.state is State.STARTING
        else:
            assert action == decide.Nothing(NOW + POLICY.budgets[Step.EDITOR])
    elif not confirmed:
        assert action == decide.Observe()
    elif phase is Phase.STOPPING:
        assert action == decide.Nothing(NOW + 1000)
    else:
        assert isinstance(action, decide.Change)
        assert action.record.state is State.STARTING
        assert action.record.restarts == (1 if phase is Phase.EXITED else 0)
        assert what(action.record, UNSEEN) == decide.ReserveQuota(Quota.RUNNING)


def test_nobody_watching_means_waiting() -> None:
    """While workloads cannot be seen nothing is decided about what runs."""
    for state in (State.STARTING, State.RUNNING):
        assert what(record(state), UNSEEN, NOW + 10**9) == decide.Nothing()


def test_an_editor_may_take_its_budget_from_when_it_could_be_seen() -> None:
    """The budget of the editor does not run while nobody could have seen it ready."""
    starting, late = record(State.STARTING), NOW + 10**6
    sight = dataclasses.replace(seen(Phase.STARTING), known_since=late - 1)
    assert isinstance(what(starting, sight, late), decide.Nothing)
    action = what(starting, seen(Phase.STARTING), late)
    assert isinstance(action, decide.Change)
    assert action.record.failure is not None
    assert action.record.failure.code == "EDITOR_START_TIMEOUT"


def test_a_crash_loop_is_given_up() -> None:
    """An editor that keeps ending is started ever later, and in the end not at all."""
    running, pauses = record(State.RUNNING), []
    for number in range(POLICY.crash_limit):
        now = NOW + number
        exited = seen(Phase.EXITED, confirmed=True, exit_code=-11)
        action = what(dataclasses.replace(running, hold_until=0), exited, now)
        assert isinstance(action, decide.Change)
        running = action.record
        if number < POLICY.crash_limit - 1:
            pauses.append(max(0, running.hold_until - now))
            running = dataclasses.replace(running, conditions=record(State.RUNNING).conditions)
            running = dataclasses.replace(running, quota=Quota.RUNNING)
    assert pauses == [0, 1000, 2000, 4000]
    assert running.state is State.FAILING
    assert running.failure is not None
    assert "signal 11" in running.failure.message


def test_exits_long_ago_are_forgotten() -> None:
    """Only exits within the window count against an editor."""
    old = tuple(NOW - POLICY.crash_window - one for one in range(4))
    action = what(record(State.RUNNING, exits=old), seen(Phase.EXITED, confirmed=True))
    assert isinstance(action, decide.Change)
    assert action.record.exits == (NOW,)


@pytest.mark.parametrize(
    ("code", "failed"), [("EDITOR_NOT_INSTALLED", True), ("PORT_IN_USE", False), ("", False)]
)
def test_how_it_ended_decides_how_it_goes_on(code: str, failed: bool) -> None:
    """What cannot be mended fails at once; a port in use is changed for another."""
    action = what(record(State.STARTING), seen(Phase.EXITED, confirmed=True, error_code=code))
    assert isinstance(action, decide.Change)
    assert (action.record.state is State.FAILING) == failed
    if code == "PORT_IN_USE":
        assert action.record.unusable_port == 8000
        assert what(action.record, UNSEEN) == decide.Allocate()


def test_a_pause_is_kept() -> None:
    """What is held back is not started before its time."""
    held = record(State.STARTING, hold_until=NOW + 5)
    assert what(held, seen(None)) == decide.Nothing(NOW + 5)


def test_what_was_never_admitted_is_withdrawn_in_time() -> None:
    """A creation is left alone until its caller has gone, then undone."""
    hidden = record(State.PENDING, claim="c", claimed_at=NOW)
    over = NOW + POLICY.claim_abandon
    assert what(hidden) == decide.Nothing(over)
    assert what(hidden, now=over) == decide.Withdraw()


def test_start_while_stopping_starts_after() -> None:
    """Wanted again on its way down, it is stopped first and then started."""
    wanted = transitions.start_wanted(record(State.STOPPING, Desired.STOPPED), NOW)
    assert what(wanted, seen(Phase.READY)) == decide.Stop()
    down = dataclasses.replace(wanted, held=frozenset())
    action = what(down, seen(None))
    assert isinstance(action, decide.Change)
    assert action.record.state is State.PENDING


def test_an_editor_that_does_not_answer_is_told_and_left_to_run() -> None:
    """Once each way, as a change that clients see; not known changes nothing; a new run is new."""
    before = record(State.RUNNING)
    mute = seen(Phase.READY, health=Health(False, NOW))
    well = seen(Phase.READY, health=Health(True, NOW + 9000))
    assert what(before, well) == what(before, seen(Phase.READY))

    silent = what(before, mute, NOW + 5000)
    assert isinstance(silent, decide.Change)
    assert silent.record.state is State.RUNNING
    said = translation.instance(silent.record).conditions[-1]
    assert (said.type, said.status, said.reason) == (7, False, "NoAnswer")
    assert "since 2023-11-14T22:13:20Z" in said.message
    assert changes.note(before, silent.record, NOW).version == before.version + 1
    assert documents.decode(documents.encode(silent.record)) == silent.record
    for sight in (mute, seen(Phase.READY), UNSEEN):
        assert isinstance(what(silent.record, sight, NOW + 6000), decide.Nothing)

    again = what(silent.record, well, NOW + 9000)
    assert isinstance(again, decide.Change)
    said = translation.instance(again.record).conditions[-1]
    assert (said.type, said.status, said.reason) == (7, True, "AnswersAgain")
    assert said.last_transition_time.ToMilliseconds() == NOW + 9000

    restarted = transitions.running(silent.record, NOW + 9000)
    assert translation.instance(restarted).conditions[-1].type == 5
    stopped = dataclasses.replace(silent.record, state=State.STOPPED)
    assert translation.instance(stopped).conditions[-1].type == 5
