"""What to do next about one instance: a pure function of its record and its workload.

Called again and again until it says `Nothing`; each answer moves the record towards what is
wanted. Nothing here remembers anything, so it does not matter where the last process died.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.instance import expiry, failures, transitions
from services.instance.lifetimes import Lifetimes
from services.instance.record import Desired, Held, Quota, Record, State, Step
from services.instance.workload import Phase, Sight, Workload


@dataclass(frozen=True, slots=True)
class Nothing:
    """It is as wanted, or something has to happen elsewhere first."""

    wake_at: int = 0
    """When to look again at the latest, in milliseconds since 1970; 0 for at the next event."""


@dataclass(frozen=True, slots=True)
class Change:
    """Only the record changes."""

    record: Record


@dataclass(frozen=True, slots=True)
class ReserveQuota:
    """Make the ledger hold what is right for a level, `Quota.RUNNING` or `Quota.STOPPED`."""

    level: Quota


@dataclass(frozen=True, slots=True)
class ReleaseQuota:
    """Make the ledger hold nothing."""


@dataclass(frozen=True, slots=True)
class Allocate:
    """Have ports allocated."""


@dataclass(frozen=True, slots=True)
class Deallocate:
    """Give the ports back."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Have the workload started."""


@dataclass(frozen=True, slots=True)
class Resize:
    """Have the workload, which runs, and the allocation follow changed resources."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Have the workload stopped, its disk kept."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Have the workload and its disk removed."""


@dataclass(frozen=True, slots=True)
class Observe:
    """Ask for the workload itself: too much follows from it to trust the watch."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Undo a creation that was never admitted and that nobody is at any more."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the record of an instance that is gone and told to be."""


Action = (
    Nothing
    | Change
    | ReserveQuota
    | ReleaseQuota
    | Allocate
    | Deallocate
    | Apply
    | Resize
    | Stop
    | Delete
    | Observe
    | Withdraw
    | Forget
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The limits a decision keeps to. Milliseconds."""

    budgets: Mapping[Step, int]
    """How long a start may make no progress in each step."""
    crash_limit: int
    crash_window: int
    crash_backoff: int
    ports_tried: int
    """Port ranges tried that something else on the machine listens in."""
    claim_abandon: int
    lifetimes: Lifetimes
    """What is in force, read at each decision."""


def decide(record: Record, sight: Sight, now: int, policy: Policy) -> Action:
    """Say what to do next.

    Args:
        record: The instance.
        sight: What is known of its workload.
        now: The time, in milliseconds since 1970.
        policy: Limits.
    """
    if not record.admitted:
        expires = record.claimed_at + policy.claim_abandon
        return Withdraw() if now >= expires else Nothing(expires)
    if record.gone:
        return Nothing() if record.outbox else Forget()
    limits = policy.lifetimes.of(record)
    if record.limits != limits and record.state is not State.DELETING:
        return Change(replace(record, limits=limits))
    match record.state:
        case State.DELETING:
            return _delete(record, now, policy)
        case State.STOPPING | State.FAILING:
            return _wind_down(record, now, policy)
        case State.STOPPED | State.FAILED:
            return _rest(record, sight, now, policy)
    return _run(record, sight, now, policy)


def _delete(record: Record, now: int, policy: Policy) -> Action:
    if Held.WORKLOAD in record.held:
        return Delete()
    if Held.PORTS in record.held:
        return Deallocate()
    if record.quota is not Quota.NONE:
        return _after_start(record, now, policy) or ReleaseQuota()
    return Change(replace(record, gone=True, request_key="", request_hash=""))


def _wind_down(record: Record, now: int, policy: Policy) -> Action:
    if Held.WORKLOAD in record.held:
        return Stop()
    if Held.PORTS in record.held:
        return Deallocate()
    if record.desired is Desired.RUNNING and record.failure is None:
        # Somebody wants it started again while it was on its way down.
        return Change(transitions.starting_over(record, now))
    if record.state is State.FAILING:
        if record.quota is not Quota.NONE:
            return _after_start(record, now, policy) or ReleaseQuota()
        return Change(replace(record, state=State.FAILED))
    if record.quota is not Quota.STOPPED:
        return _after_start(record, now, policy) or ReserveQuota(Quota.STOPPED)
    return Change(replace(record, state=State.STOPPED))


def _rest(record: Record, sight: Sight, now: int, policy: Policy) -> Action:
    if Held.WORKLOAD in record.held:
        return Stop()
    if Held.PORTS in record.held:
        return Deallocate()
    if sight.known and sight.workload is not None and sight.workload.runs:
        # A start that was under way when the stop came, and was told late: it has ports too.
        return Change(transitions.left_over(record)) if sight.confirmed else Observe()
    failed = record.state is State.FAILED
    if record.quota is (Quota.NONE if failed else Quota.STOPPED):
        return Nothing()
    mend = ReleaseQuota() if failed else ReserveQuota(Quota.STOPPED)
    return _after_start(record, now, policy) or mend


def _after_start(record: Record, now: int, policy: Policy) -> Nothing | None:
    """Wait while a call to start it may still reserve; None if there is none."""
    over = marked_until(record, policy)
    return Nothing(over) if now < over else None


def marked_until(record: Record, policy: Policy) -> int:
    """Return until when a call that changes the ledger may be under way; 0 if none is."""
    mark = max(record.start_mark, record.resize_mark)
    return mark + policy.claim_abandon if mark else 0


def _after_resize(record: Record, now: int, policy: Policy) -> Nothing | None:
    """Wait while a call to change its resources may still reserve; None if there is none."""
    over = record.resize_mark + policy.claim_abandon if record.resize_mark else 0
    return Nothing(over) if now < over else None


def _run(record: Record, sight: Sight, now: int, policy: Policy) -> Action:
    if record.hold_until > now:
        return Nothing(record.hold_until)
    if record.quota is not Quota.RUNNING:
        return _after_resize(record, now, policy) or ReserveQuota(Quota.RUNNING)
    if not record.reached(Step.RESOURCES):
        return Allocate()
    if not record.reached(Step.WORKLOAD):
        return Apply()
    if not sight.known:
        return Nothing()
    workload = sight.workload
    if workload is not None and workload.phase is Phase.READY:
        return _keep(record, sight, now, policy)
    if workload is not None and workload.phase is Phase.STARTING:
        return _await_editor(record, sight, now, policy)
    if not sight.confirmed:
        return Observe()
    if workload is None or workload.phase is Phase.STOPPED:
        # The machine was restarted, or what stopped it did not know that it is wanted.
        return _again(record, now, policy, ended=False, why="Its process is gone")
    if workload.phase is Phase.STOPPING:
        return Nothing(now + 1000)
    return _ended(record, workload, now, policy)


def _keep(record: Record, sight: Sight, now: int, policy: Policy) -> Action:
    if record.state is not State.RUNNING:
        return Change(transitions.running(record, now))
    if record.applied != record.revision:
        return Resize()
    if sight.workload is not None:
        heard = transitions.heard(record, sight.workload.health, now)
        if heard != record:
            return Change(heard)
    match expiry.judge(record, sight, now, policy.lifetimes.lead):
        case expiry.Wait(until):
            return Nothing(until)
        case expiry.Look():
            return Observe()
        case expiry.Said(changed):
            return Change(changed)


def _await_editor(record: Record, sight: Sight, now: int, policy: Policy) -> Action:
    if record.state is State.RUNNING:
        return Change(transitions.editor_silent(record, now))
    # While nobody could watch it, the editor may have been ready all along.
    since = max(record.progress_at, sight.known_since)
    deadline = since + policy.budgets[Step.EDITOR]
    if now < deadline:
        return Nothing(deadline)
    return Change(
        transitions.failing(
            record,
            now,
            step=Step.EDITOR,
            verdict=transitions.TOO_SLOW,
            code="EDITOR_START_TIMEOUT",
            message=f"The editor did not answer within {policy.budgets[Step.EDITOR] // 1000} s",
        )
    )


def _ended(record: Record, workload: Workload, now: int, policy: Policy) -> Action:
    verdict = failures.of_exit(workload.error_code)
    message = workload.error_message or workload.error_code
    if verdict is not None and verdict.cure is failures.Cure.OTHER_PORT:
        tried = _lately(record, now, policy)
        if len(tried) < policy.ports_tried:
            return Change(transitions.port_unusable(record, now, tried=(*tried, now)))
    if verdict is not None:
        return Change(
            transitions.failing(
                record,
                now,
                step=Step.WORKLOAD,
                verdict=verdict,
                code=workload.error_code,
                message=message,
            )
        )
    how = (
        f"signal {-workload.exit_code}"
        if workload.exit_code < 0
        else (f"exit status {workload.exit_code}")
    )
    why = workload.error_message or f"The editor ended with {how}"
    return _again(record, now, policy, ended=True, why=why)


def _again(record: Record, now: int, policy: Policy, *, ended: bool, why: str) -> Action:
    """Start the workload again, the slower the more often it went away; in the end give up."""
    exits = (*_lately(record, now, policy), now)
    if len(exits) >= policy.crash_limit:
        return Change(
            transitions.failing(
                record,
                now,
                step=Step.EDITOR,
                verdict=transitions.CRASHING,
                code="EDITOR_CRASH_LOOP",
                message=f"The editor ended {len(exits)} times within"
                f" {policy.crash_window // 1000} s; the last time: {why}",
            )
        )
    pause = policy.crash_backoff * 2 ** (len(exits) - 2) if len(exits) > 1 else 0
    return Change(
        transitions.workload_lost(record, now, ended=ended, exits=exits, pause=pause, why=why)
    )


def _lately(record: Record, now: int, policy: Policy) -> tuple[int, ...]:
    return tuple(one for one in record.exits if one > now - policy.crash_window)
