"""When an instance is stopped unasked: the table, and the laws that hold whatever happens."""

import asyncio
import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.chassis import identity
from services.instance import decide, documents, expiry, transitions, translation
from services.instance.lifetimes import Lifetimes
from services.instance.record import (
    Desired,
    Limits,
    NoticeReason,
    Quota,
    Record,
    State,
    Step,
    StopReason,
    fresh_conditions,
)
from services.instance.settings import InstanceSettings
from services.instance.workload import UNSEEN, Activity, Phase, Sight, Workload
from tests.unit.instance.worlds import ALICE, POLICY, World, time_of

NOW = 1_700_000_000_000
MINUTE = 60_000
IDLE = 30 * MINUTE
LEAD = 5 * MINUTE


def lead(limit: int) -> int:
    return min(LEAD, limit // 3)


def running(**fields: object) -> Record:
    """Make a record of an instance that runs since NOW and may be idle for half an hour."""
    record = Record(
        id="ada",
        uid="u",
        owner="alice",
        namespace="team",
        cpu="1",
        memory="1Gi",
        storage="1Gi",
        idle_timeout=IDLE,
        limits=Limits(IDLE),
        desired=Desired.RUNNING,
        state=State.RUNNING,
        conditions=fresh_conditions(NOW),
        created_at=NOW,
        started_at=NOW,
        run_since=NOW,
        version=1,
        quota=Quota.RUNNING,
    )
    return dataclasses.replace(record, **fields)  # type: ignore[arg-type]


def seen(at: int, *, confirmed: bool = True, following: int = 1, **fields: int) -> Sight:
    """See a ready workload that was looked at at a time."""
    activity = Activity(**{"observed_since": NOW, "observed_at": at, **fields})
    workload = Workload(Phase.READY, start_time=1, activity=activity)
    return Sight(True, workload, confirmed, known_since=1, following_since=following)


def judge(record: Record, sight: Sight, now: int) -> expiry.Verdict:
    return expiry.judge(record, sight, now, lead)


def said(record: Record, sight: Sight, now: int) -> Record:
    """Give what follows where something does."""
    verdict = judge(record, sight, now)
    assert isinstance(verdict, expiry.Said)
    return verdict.record


def warned(record: Record | None = None, **fields: int) -> Record:
    """Give an instance that was just warned of for want of use."""
    at = NOW + IDLE - LEAD
    return said(record or running(), seen(at, **fields), at)


def test_it_is_warned_of_and_stopped() -> None:
    """Five minutes before, once; then stopped, with what was seen last."""
    used = NOW + 4 * MINUTE
    quiet = running()
    begin, due = used + IDLE - LEAD, used + IDLE
    assert judge(quiet, seen(begin - 1, last_input=used), begin - 1) == expiry.Wait(begin)
    warning = said(quiet, seen(begin, last_input=used), begin)
    assert warning.state is State.RUNNING
    assert warning.notice is not None
    assert warning.notice.stop_at == due
    assert warning.notice.message == (
        "Not used since 2023-11-14T22:17:20Z (input in the editor);"
        " it will be stopped at 2023-11-14T22:47:20Z"
    )
    assert judge(warning, seen(due - 1, last_input=used), due - 1) == expiry.Wait(due)
    stopped = said(warning, seen(due, last_input=used), due)
    assert (stopped.state, stopped.stop_reason) == (State.STOPPING, StopReason.IDLE)
    assert stopped.desired is Desired.STOPPED
    assert stopped.notice is not None
    assert stopped.notice.message == (
        "Not used for 30 min: the last sign of use was input in the editor, 2023-11-14T22:17:20Z"
    )


@pytest.mark.parametrize(
    ("fields", "signal"),
    [
        ({"last_input": NOW + MINUTE}, expiry.Signal.INPUT),
        ({"last_busy": NOW + MINUTE}, expiry.Signal.BUSY),
        ({"observed_since": NOW + MINUTE}, expiry.Signal.OBSERVED),
        ({"following": NOW + MINUTE}, expiry.Signal.FOLLOWED),
    ],
)
def test_each_sign_counts(fields: dict[str, int], signal: expiry.Signal) -> None:
    """Whatever was last, the limit counts from there."""
    found = expiry.end(running(), seen(NOW, **fields))
    assert found == expiry.End(StopReason.IDLE, IDLE, NOW + MINUTE, signal)


def test_a_lease_counts_to_its_end() -> None:
    """Kept alive for two hours, it may be idle for half an hour after that."""
    record = running(keep_alive_until=NOW + 120 * MINUTE)
    found = expiry.end(record, seen(NOW))
    assert found is not None
    assert found.due == NOW + 150 * MINUTE
    assert found.signal is expiry.Signal.KEEP_ALIVE


@pytest.mark.parametrize("field", ["last_input", "last_busy"])
def test_use_clears_a_warning(field: str) -> None:
    """Used after the warning it is in use again, and warned of again in time."""
    warning = warned()
    at = NOW + IDLE - MINUTE
    cleared = said(warning, seen(at, confirmed=False, **{field: at}), at)
    assert cleared.notice is not None
    assert cleared.notice.reason is NoticeReason.IN_USE
    assert translation.instance(cleared).conditions[-1].status
    assert not translation.instance(cleared).HasField("scheduled_stop_time")
    again = said(cleared, seen(at + IDLE, **{field: at}), at + IDLE - LEAD)
    assert again.notice is not None
    assert again.notice.stop_at == at + IDLE


@pytest.mark.parametrize(
    "sight",
    [
        seen(NOW + IDLE, following=NOW + IDLE - MINUTE),
        seen(NOW + IDLE, observed_since=NOW + IDLE - MINUTE),
    ],
    ids=["this replica", "the runtime"],
)
def test_a_restart_restarts_the_clock(sight: Sight) -> None:
    """What happened while nobody looked is not known: nothing is stopped for it."""
    cleared = said(warned(), sight, NOW + IDLE)
    assert cleared.state is State.RUNNING
    assert cleared.notice is not None
    assert cleared.notice.reason is NoticeReason.CLOCK_RESTARTED
    begin = NOW + IDLE - MINUTE + IDLE - LEAD
    assert judge(cleared, sight, NOW + IDLE) == expiry.Wait(begin)


def test_a_warning_is_every_replicas() -> None:
    """One that follows since just before the warning neither takes it back nor repeats it."""
    warning = warned()
    assert warning.notice is not None
    other = seen(NOW + IDLE, following=warning.notice.at - 1)
    assert judge(warning, other, NOW + IDLE - 1) == expiry.Wait(NOW + IDLE)
    assert said(warning, other, NOW + IDLE).stop_reason is StopReason.IDLE


def test_nothing_is_stopped_on_old_news() -> None:
    """Only on an answer just asked for, that covers the time to the end."""
    late = NOW + 2 * IDLE
    assert judge(running(), seen(late, confirmed=False), late) == expiry.Look()
    warning = warned()
    assert judge(warning, seen(late, confirmed=False), late) == expiry.Look()
    assert judge(warning, seen(NOW + IDLE - 1), late) == expiry.Wait(late + 5_000)


def test_what_cannot_be_observed_is_not_idle() -> None:
    """Of an older runtime, or of one that cannot tell."""
    blind = Sight(True, Workload(Phase.READY, start_time=1), True, 1, 1)
    assert judge(running(), blind, NOW + 10 * IDLE) == expiry.Wait(0)
    cleared = said(warned(), blind, NOW + 10 * IDLE)
    assert cleared.notice is not None
    assert cleared.notice.reason is NoticeReason.CLOCK_RESTARTED


def test_a_lifetime_ends() -> None:
    """Warned of and stopped however much it is used; the watch's word is enough for it."""
    record = running(limits=Limits(0, 60 * MINUTE))
    end = NOW + 60 * MINUTE
    sight = seen(end, confirmed=False, last_input=end)
    assert judge(record, sight, NOW) == expiry.Wait(end - LEAD)
    warning = said(record, sight, end - LEAD)
    assert warning.notice is not None
    assert (warning.notice.reason, warning.notice.stop_at) == (NoticeReason.LIFETIME_WARNING, end)
    assert judge(warning, sight, end - 1) == expiry.Wait(end)
    stopped = said(warning, sight, end)
    assert stopped.stop_reason is StopReason.MAX_LIFETIME


@pytest.mark.parametrize("gone", ["lost", "ended", "silent"])
def test_a_lifetime_goes_on_when_the_editor_comes_back(gone: str) -> None:
    """Whatever became of the editor meanwhile; only a start begins anew."""
    record = running(limits=Limits(0, IDLE), run_since=0)
    record = transitions.running(dataclasses.replace(record, state=State.STARTING), NOW)
    back = NOW + IDLE - LEAD - MINUTE
    if gone == "silent":
        away = transitions.editor_silent(record, back - 1)
    else:
        away = transitions.workload_lost(
            record, back - 1, ended=gone == "ended", exits=(), pause=0, why="Killed"
        )
    again = transitions.running(away, back)
    assert (again.started_at, again.run_since) == (back, NOW)
    assert judge(again, seen(back), back) == expiry.Wait(NOW + IDLE - LEAD)
    assert documents.decode(documents.encode(again)) == again
    over = transitions.stop_wanted(again, StopReason.USER)
    anew = transitions.running(transitions.starting_over(over, back + 1), back + 2)
    assert judge(anew, seen(back + 2), back + 2) == expiry.Wait(back + 2 + IDLE - LEAD)


def test_a_limit_set_short_is_warned_of_first() -> None:
    """An owner who was away for an hour and is given a minute gets the minute's warning."""
    record = running(limits=Limits(MINUTE))
    late = NOW + 60 * MINUTE
    warning = said(record, seen(late), late)
    assert warning.notice is not None
    assert warning.notice.stop_at == late + lead(MINUTE)
    assert judge(warning, seen(late), late) == expiry.Wait(late + lead(MINUTE))


def test_a_longer_limit_takes_a_warning_back() -> None:
    """Given more time after the warning, it is warned of again in time."""
    longer = dataclasses.replace(warned(), limits=Limits(2 * IDLE))
    at = NOW + IDLE - MINUTE
    cleared = said(longer, seen(at), at)
    assert cleared.notice is not None
    assert cleared.notice.reason is NoticeReason.CLOCK_RESTARTED
    nearly = dataclasses.replace(warned(), limits=Limits(IDLE + MINUTE))
    again = said(nearly, seen(at), at)
    assert again.notice is not None
    assert again.notice.stop_at == max(NOW + IDLE + MINUTE, at + LEAD)


def test_never_is_never() -> None:
    """Without limits there is nothing to wait for."""
    assert judge(running(limits=Limits()), seen(NOW), NOW + 1000 * IDLE) == expiry.Wait(0)


def test_limits_in_force() -> None:
    """Its own, zero included, before its namespace's, before everybody's; and they change."""
    current = InstanceSettings(default_idle_timeout=60, idle_timeouts={"team": 120})
    lifetimes = Lifetimes(lambda: current)
    assert lifetimes.limits("other", None, None) == Limits(60_000, 0)
    assert lifetimes.limits("team", None, 5) == Limits(120_000, 5)
    assert lifetimes.limits("team", 0, None) == Limits(0, 0)
    record = running(idle_timeout=None)
    policy = dataclasses.replace(POLICY, lifetimes=lifetimes)
    action = decide.decide(record, UNSEEN, NOW, policy)
    assert isinstance(action, decide.Change)
    assert action.record.limits == Limits(120_000, 0)
    current = InstanceSettings(default_idle_timeout=60)
    action = decide.decide(action.record, UNSEEN, NOW, policy)
    assert isinstance(action, decide.Change)
    assert action.record.limits == Limits(60_000, 0)


def test_settings_that_may_be_stale_change_nothing() -> None:
    """Until what is configured is known, an instance keeps its limits; a new one gets some."""
    settings = InstanceSettings(default_idle_timeout=60, default_max_lifetime=8 * 3600)
    known = False
    lifetimes = Lifetimes(lambda: settings, lambda: known)
    policy = dataclasses.replace(POLICY, lifetimes=lifetimes)
    assert lifetimes.limits("team", None, None) == Limits(60_000, 8 * 60 * MINUTE)
    record = running(idle_timeout=None, limits=Limits())
    for step in Step:
        record = record.noting(step, True, "Done", "", NOW)
    late = NOW + 20 * 60 * MINUTE
    assert decide.decide(record, seen(late), late, policy) == decide.Nothing(0)
    known = True
    action = decide.decide(record, seen(late), late, policy)
    assert isinstance(action, decide.Change)
    assert action.record.limits == Limits(60_000, 8 * 60 * MINUTE)


def test_an_own_limit_holds_before_anything_is_known() -> None:
    """The owner said so, whatever is configured; taken away, the best guess is the start's."""
    settings = InstanceSettings(default_idle_timeout=60, default_max_lifetime=90)
    lifetimes = Lifetimes(lambda: settings, lambda: False)
    record = running(idle_timeout=None, max_lifetime=5, limits=Limits(7, 6))
    assert lifetimes.of(record) == Limits(7, 5)
    cleared = dataclasses.replace(record, max_lifetime=None)
    assert lifetimes.of(cleared, record) == Limits(7, 90_000)
    assert lifetimes.of(cleared) == Limits(7, 6)
    shorter = dataclasses.replace(record, idle_timeout=3)
    assert lifetimes.of(shorter, record) == Limits(3, 5)


def test_a_decision_carries_it_out() -> None:
    """The reconciler asks, warns and stops as judged."""
    record = running()
    for step in Step:
        record = record.noting(step, True, "Done", "", NOW)
    late = NOW + IDLE
    assert decide.decide(record, seen(late, confirmed=False), late, POLICY) == decide.Observe()
    action = decide.decide(record, seen(late), late, POLICY)
    assert isinstance(action, decide.Change)
    assert action.record.notice is not None
    assert action.record.notice.warns


def test_all_of_it_is_remembered() -> None:
    """Limits, the lease and the notice come back from the database as they were."""
    record = dataclasses.replace(warned(), keep_alive_until=5, idle_timeout=None)
    assert documents.decode(documents.encode(record)) == record
    old = documents.encode(running(limits=Limits()))
    for field in ("limits", "notice", "keep_alive_until", "run_since"):
        del old[field]
    assert documents.decode(old) == running(limits=Limits())
    old["state"] = "PENDING"
    assert documents.decode(old).run_since == 0, "its last start was of the run before"


HAPPENINGS = st.lists(
    st.tuples(
        st.integers(1, 20 * MINUTE),
        st.sampled_from(
            ["input", "busy", "lease", "unlease", "runtime", "replica", "sample", "look", "limit"]
        ),
        st.integers(0, 1),
    ),
    max_size=60,
)


# One replica starts anew after a warning; the other, which has followed all the time, looks next.
@example([(5 * MINUTE, "input", 0), (20 * MINUTE, "input", 0), (1, "replica", 0), (1, "input", 1)])
@given(HAPPENINGS)
def test_laws(happenings: list[tuple[int, str, int]]) -> None:
    """Whatever happens, in whatever order, to whichever of two replicas.

    Nothing is stopped within its limit of any sign of use, or of a restart of the runtime, or
    unwarned; and nobody is warned twice of one period without use.
    """
    now = NOW
    record, follows = running(), [NOW, NOW]
    activity = Activity(NOW, NOW)
    real = {"input": 0, "busy": 0}
    warnings: list[tuple[int, int]] = []
    for passed, what, which in [*happenings, *((15 * MINUTE, "sample", 0),) * 6]:
        now += passed
        match what:
            case "input" | "busy":
                real[what] = now
            case "lease":
                record = dataclasses.replace(record, keep_alive_until=now + IDLE)
            case "unlease":
                until = min(now, record.keep_alive_until)
                record = dataclasses.replace(record, keep_alive_until=until)
            case "runtime":
                activity = Activity(now, now)
            case "replica":
                follows[which] = now
            case "limit":
                other = Limits(40 * MINUTE) if record.limits.idle == IDLE else Limits(IDLE)
                record = dataclasses.replace(record, limits=other)
            case "sample":
                activity = Activity(activity.observed_since, now, real["input"], real["busy"])
        workload = Workload(Phase.READY, start_time=1, activity=activity)
        for _ in range(4):
            sight = Sight(True, workload, what != "look", 1, follows[which])
            verdict = judge(record, sight, now)
            if not isinstance(verdict, expiry.Said):
                break
            before, record = record.notice, verdict.record
            assert record.notice is not None
            if record.state is State.STOPPING:
                assert before is not None
                assert now >= before.stop_at >= before.at + lead(record.limits.idle)
                known = [at for at in real.values() if at <= activity.observed_at]
                for sign in (*known, record.started_at, activity.observed_since):
                    assert now - sign >= record.limits.idle
                return
            if record.notice.warns:
                warnings.append((record.notice.since, record.notice.limit))
        else:
            raise AssertionError("it never comes to rest")
        assert len(set(warnings)) == len(warnings) or "limit" in {one[1] for one in happenings}
    assert record.limits.idle


def test_a_change_answers_with_what_is_in_force() -> None:
    """UpdateInstance does not wait for the reconciler to say what counts from now on."""
    world = World()
    identity.enter(ALICE)

    async def change() -> Record:
        await world.create("ada", "STOPPED")
        return await world.updates.update("ada", {"idle_timeout": 120_000}, "")

    with time_of(world):
        assert asyncio.run(change()).limits == Limits(120_000, 0)


def test_a_default_is_no_negative_time() -> None:
    """Which would stop everything at once."""
    for field in ("idle_timeouts", "max_lifetimes"):
        with pytest.raises(ValueError, match=field):
            InstanceSettings(**{field: {"team": -1}})
    with pytest.raises(ValueError, match="default_idle_timeout"):
        InstanceSettings(default_idle_timeout=-1)
