"""How a record changes: each function is one thing that can happen to an instance."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.instance import failures, times
from services.instance.failures import Cure, Verdict
from services.instance.record import (
    EVERYTHING,
    NOTHING_IN_FORCE,
    Desired,
    Failure,
    FailureClass,
    Held,
    Notice,
    Ports,
    Quota,
    Record,
    Response,
    State,
    Step,
    StopReason,
    fresh_conditions,
)
from services.instance.workload import Health, Workload

TOO_SLOW = Verdict(Cure.NONE, FailureClass.RUNTIME, "TimedOut")
CRASHING = Verdict(Cure.NONE, FailureClass.RUNTIME, "CrashLoop")

AWAY_REASON = failures.AWAY.reason
"""Reason of the condition of a step that waits for a part that is away."""

OF_QUOTA = ("cpu", "memory", "storage")
"""Fields an instance's quota depends on."""
OF_WORKLOAD = (*OF_QUOTA, "environment")
"""Fields its workload is asked for."""
MUTABLE = (*OF_WORKLOAD, "display_name", "labels", "idle_timeout", "max_lifetime")
"""Fields its owner can change."""

_LEAST_EXTENSION = 1_000
"""Milliseconds by which a lease is worth a write."""

_WAITING = {
    Step.RESOURCES: "Ports are being allocated",
    Step.PATHS: "Directories are being made",
    Step.WORKLOAD: "The editor is being started",
    Step.EDITOR: "The editor does not answer yet",
}


def admitted(record: Record, now: int) -> Record:
    """Creation was accepted: quota is reserved."""
    ready = replace(
        record,
        claim="",
        claimed_at=0,
        created_at=now,
        conditions=fresh_conditions(now),
        progress_at=now,
    )
    if record.desired is Desired.STOPPED:
        return replace(ready, state=State.STOPPED, quota=Quota.STOPPED)
    return _quota_held(replace(ready, state=State.PENDING), Quota.RUNNING, now)


def start_wanted(record: Record, now: int) -> Record:
    """Its owner wants it to run. Quota was asked for; what the ledger holds is to be confirmed."""
    wanted = replace(
        record, desired=Desired.RUNNING, failure=None, quota=Quota.UNKNOWN, start_mark=0
    )
    if record.state in (State.STOPPED, State.FAILED):
        return starting_over(wanted, now)
    return wanted


def starting_over(record: Record, now: int) -> Record:
    """Nothing of the last run is left; the next one begins."""
    return replace(
        record,
        state=State.PENDING,
        conditions=fresh_conditions(now),
        failure=None,
        restarts=0,
        exits=(),
        hold_until=0,
        unusable_port=0,
        ports=Ports(),
        in_force=NOTHING_IN_FORCE,
        held=frozenset(),
        quota=Quota.UNKNOWN,
        progress_at=now,
        run_since=0,
        keep_alive_until=0,
        notice=None,
    )


def update_wanted(record: Record, values: Mapping[str, Any], now: int) -> Record:
    """Its owner wants other values of some fields; quota for new resources was asked for.

    Args:
        record: The instance.
        values: By field of the record: some of `MUTABLE`.
        now: The time.
    """
    wanted = replace(record, **values)
    asked = any(getattr(wanted, name) != getattr(record, name) for name in OF_WORKLOAD)
    if asked:
        wanted = replace(wanted, revision=record.revision + 1)
    if resized(record, wanted) and record.state is not State.FAILED:
        # One that runs has its whole budget to have its quota confirmed.
        wanted = replace(wanted, quota=Quota.UNKNOWN, progress_at=now)
    return wanted


def resized(before: Record, after: Record) -> bool:
    """Whether two versions of an instance have different resources."""
    return any(getattr(before, name) != getattr(after, name) for name in OF_QUOTA)


def workload_resized(record: Record, workload: Workload) -> Record:
    """Its workload, which runs, was given what its record says."""
    return replace(record, applied=record.revision, in_force=workload.in_force)


def stop_wanted(record: Record, reason: StopReason) -> Record:
    """It is to be stopped."""
    record = replace(record, keep_alive_until=0, notice=None)
    if record.state in (State.STOPPING, State.STOPPED):
        return replace(record, desired=Desired.STOPPED, stop_reason=reason)
    return replace(
        record,
        desired=Desired.STOPPED,
        state=State.STOPPING,
        stop_reason=reason,
        held=EVERYTHING,
        quota=Quota.UNKNOWN,
    )


def delete_wanted(record: Record) -> Record:
    """It is to go, disk included."""
    return replace(
        record,
        desired=Desired.DELETED,
        state=State.DELETING,
        held=EVERYTHING,
        quota=Quota.UNKNOWN,
    )


def kept_alive(record: Record, now: int, duration: int) -> Record:
    """It is said to be used for a while, or for no longer than now; a lease never gets shorter."""
    if duration:
        # A retry, which comes a moment later, changes nothing.
        longer = now + duration >= record.keep_alive_until + _LEAST_EXTENSION
        return replace(record, keep_alive_until=now + duration) if longer else record
    return replace(record, keep_alive_until=min(now, record.keep_alive_until))


def expired(record: Record, reason: StopReason, notice: Notice) -> Record:
    """It has been idle, or run, for as long as it may."""
    return replace(stop_wanted(record, reason), notice=notice)


def quota_reserved(record: Record, level: Quota, now: int) -> Record:
    """The ledger holds what is right for a level."""
    if level is not Quota.RUNNING:
        return replace(record, quota=level, start_mark=0, resize_mark=0)
    return _quota_held(record, level, now)


def quota_released(record: Record) -> Record:
    """The ledger holds nothing for it."""
    return replace(record, quota=Quota.NONE, start_mark=0, resize_mark=0)


def allocated(record: Record, ports: Ports, now: int) -> Record:
    """It has ports."""
    return replace(
        record.noting(
            Step.RESOURCES, True, "Allocated", f"Ports {ports.web} to {ports.callback_last}", now
        ).noting(Step.WORKLOAD, False, "Starting", _WAITING[Step.WORKLOAD], now),
        state=State.STARTING,
        ports=ports,
        progress_at=now,
    )


def deallocated(record: Record) -> Record:
    """Its ports are somebody else's now."""
    return replace(record, ports=Ports(), held=record.held - {Held.PORTS})


def applied(record: Record, workload: Workload, now: int) -> Record:
    """The runtime was asked to start it, and has."""
    state = State.STARTING if record.state is State.PENDING else record.state
    if workload.paths_ready:
        record = record.noting(Step.PATHS, True, "Ready", "Its directories are there", now)
    return replace(
        record.noting(Step.WORKLOAD, True, "Created", workload.runtime_id, now).noting(
            Step.EDITOR, False, "WaitingForEditor", _WAITING[Step.EDITOR], now
        ),
        state=state,
        applied=record.revision,
        in_force=workload.in_force,
        progress_at=now,
    )


def running(record: Record, now: int) -> Record:
    """The editor answers."""
    return replace(
        record.noting(Step.PATHS, True, "Ready", "Its directories are there", now).noting(
            Step.EDITOR, True, "Answers", "The editor answers", now
        ),
        state=State.RUNNING,
        failure=None,
        started_at=now,
        run_since=record.run_since or now,
        progress_at=now,
        unusable_port=0,
        response=None,
    )


def heard(record: Record, health: Health | None, now: int) -> Record:
    """It runs, and this is known of whether it answers; what is not known changes nothing."""
    silent = record.response is not None and not record.response.responding
    if health is None or health.responding is not silent:
        return record
    if silent:
        return replace(record, response=Response(True, "The editor answers again", now))
    message = (
        f"The editor has not answered since {times.text(health.since)}; it is left to run, for what"
        " it has not saved: a restart may help"
    )
    return replace(record, response=Response(False, message, now))


def editor_silent(record: Record, now: int) -> Record:
    """The editor answered before and does not any more, though its process is there."""
    return replace(
        record.noting(Step.EDITOR, False, "WaitingForEditor", _WAITING[Step.EDITOR], now),
        state=State.STARTING,
        progress_at=now,
    )


def workload_lost(
    record: Record, now: int, *, ended: bool, exits: tuple[int, ...], pause: int, why: str
) -> Record:
    """Its process or pod is not there, though it should be.

    Args:
        record: The instance.
        now: The time.
        ended: Whether the editor ended by itself, rather than with its machine.
        exits: When this happened lately, this time included.
        pause: Milliseconds to wait before it is started again.
        why: How it ended, for people.
    """
    fell = record.state is State.RUNNING
    reason = "Exited" if ended else "Lost"
    for step in (Step.RESOURCES, Step.WORKLOAD, Step.EDITOR):
        record = record.noting(step, False, reason, why, now)
    # Ports and quota are asked for again: whoever took the workload away, such as a replica
    # that was paused for longer than its lease, may have taken them as well.
    return replace(
        record,
        state=State.STARTING,
        quota=Quota.UNKNOWN,
        progress_at=now if fell else record.progress_at,
        stop_reason=StopReason.EXITED if ended else record.stop_reason,
        in_force=NOTHING_IN_FORCE,
        exits=exits,
        restarts=record.restarts + 1 if ended else record.restarts,
        hold_until=now + pause if pause else 0,
    )


def port_unusable(record: Record, now: int, *, tried: tuple[int, ...]) -> Record:
    """Something else on the machine listens on its web port: another range is needed."""
    port = record.ports.web
    record = record.noting(
        Step.RESOURCES, False, "PortInUse", f"Port {port} is used by something else", now
    ).noting(Step.WORKLOAD, False, "WaitingForPorts", "It waits for other ports", now)
    return replace(record, state=State.STARTING, ports=Ports(), unusable_port=port, exits=tried)


def workload_stopped(record: Record, now: int) -> Record:
    """Its process or pod is not there any more."""
    for step in (Step.WORKLOAD, Step.EDITOR):
        record = record.noting(step, False, "Stopped", "", now)
    return replace(record, held=record.held - {Held.WORKLOAD}, in_force=NOTHING_IN_FORCE)


def held_up(record: Record, now: int, *, step: Step, verdict: Verdict, message: str) -> Record:
    """A step of the start did not succeed, and will be tried again."""
    before = record.condition(step)
    away = verdict.cure is Cure.WAIT
    was_away = before is not None and before.reason == AWAY_REASON
    noted = record.noting(step, False, verdict.reason, message, now)
    state = State.STARTING if record.state is State.PENDING else record.state
    # The time a part was away does not count against the start.
    progress = now if (away != was_away or not record.progress_at) else record.progress_at
    return replace(noted, state=state, progress_at=progress)


def failing(
    record: Record, now: int, *, step: Step, verdict: Verdict, code: str, message: str
) -> Record:
    """The start failed for good; what it holds is to be given back."""
    return replace(
        record.noting(step, False, verdict.reason, message, now),
        state=State.FAILING,
        failure=Failure(verdict.kind, step, code, message, now),
        stop_reason=StopReason.FAILED,
        keep_alive_until=0,
        notice=None,
        held=EVERYTHING,
        quota=Quota.UNKNOWN,
    )


def left_over(record: Record) -> Record:
    """It is down, and somebody who did not know that may just have got something for it."""
    return replace(record, held=EVERYTHING, quota=Quota.UNKNOWN)


def refused_rest(record: Record, now: int, *, code: str, message: str) -> Record:
    """There is no quota for even its disk: it rests as failed, which holds nothing."""
    failure = Failure(FailureClass.CAPACITY, Step.QUOTA, code, message, now)
    return replace(
        record.noting(Step.QUOTA, False, "QuotaExceeded", message, now),
        state=State.FAILED,
        failure=failure,
        quota=Quota.NONE,
    )


def _quota_held(record: Record, level: Quota, now: int) -> Record:
    return replace(
        record.noting(Step.QUOTA, True, "Reserved", "The namespace's quota holds it", now),
        quota=level,
        resize_mark=0,
        progress_at=now,
    )
