"""When an instance is stopped that nobody asked to stop, and what is said before: pure functions.

Two limits end a run: one counts from its start, the other from its last use. Nothing is stopped
unwarned, whatever changed meanwhile, and nothing for want of use on anything but a fresh answer
of its runtime that covers the whole time: what may have been missed counts as use.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import TypeAlias

from services.instance import times, transitions
from services.instance.record import Notice, NoticeReason, Record, StopReason
from services.instance.workload import Sight

_LOOK_AGAIN = 5_000
"""Milliseconds until a runtime is asked again that had not looked lately."""


class Signal(enum.StrEnum):
    """What keeps an instance from being idle, as people are told.

    Another kind of use is another member here, and its time in `signals`.
    """

    INPUT = "input in the editor"
    BUSY = "a busy terminal or task"
    KEEP_ALIVE = "the end of a keep-alive lease"
    START = "its start"
    OBSERVED = "the beginning of its observation"
    """By its runtime: what was before may not have been seen."""
    FOLLOWED = "the start of the control plane"


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """One limit of a run."""

    reason: StopReason
    limit: int
    since: int
    """From when it counts."""
    signal: Signal
    """What was at that time."""

    @property
    def due(self) -> int:
        """When it is reached."""
        return self.since + self.limit


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until a time; 0 for ever."""

    until: int


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """Ask the runtime: too much follows to go by what a watch told."""


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """The record with what is now said, or stopped."""

    record: Record


Verdict: TypeAlias = Wait | Look | Said
Lead: TypeAlias = Callable[[int], int]
"""How long before the end of a limit to warn of it."""

_WARNINGS = {
    StopReason.IDLE: NoticeReason.IDLE_WARNING,
    StopReason.MAX_LIFETIME: NoticeReason.LIFETIME_WARNING,
}
_OVER = {
    StopReason.IDLE: NoticeReason.IDLE,
    StopReason.MAX_LIFETIME: NoticeReason.LIFETIME_OVER,
}


def signals(record: Record, sight: Sight) -> Mapping[Signal, int]:
    """Return when there was what sign of use; empty where that cannot be known."""
    activity = sight.workload.activity if sight.workload is not None else None
    if activity is None or not sight.known:
        return {}
    found = {
        Signal.INPUT: activity.last_input,
        Signal.BUSY: activity.last_busy,
        Signal.KEEP_ALIVE: record.keep_alive_until,
        Signal.START: record.started_at,
        Signal.OBSERVED: activity.observed_since,
    }
    notice = record.notice
    # A warning was given by somebody who knew all that was before it, be it another replica.
    if notice is None or not notice.warns or sight.following_since > notice.at:
        found[Signal.FOLLOWED] = sight.following_since
    if notice is not None and notice.reason is NoticeReason.CLOCK_RESTARTED:
        # For all replicas: one that has followed for longer would warn anew of the same time.
        found[Signal.FOLLOWED] = max(notice.since, found[Signal.FOLLOWED])
    return found


def end(record: Record, sight: Sight) -> End | None:
    """Return the limit that is reached first; None where there is none."""
    ends = [one for one in (_idle(record, sight), _lifetime(record)) if one is not None]
    return min(ends, key=lambda one: one.due, default=None)


def judge(record: Record, sight: Sight, now: int, lead: Lead) -> Verdict:
    """Say what to do about a running instance.

    Args:
        record: The instance.
        sight: What is known of its workload.
        now: The time.
        lead: How long to warn before.
    """
    nearest = end(record, sight)
    warning = record.notice if record.notice is not None and record.notice.warns else None
    if warning is not None and (nearest is None or not _is_about(warning, nearest)):
        # It was used, or its limits changed. What is due already is warned of anew instead.
        if nearest is None or now < nearest.due - lead(nearest.limit):
            return Said(dataclasses.replace(record, notice=_cleared(record, sight, now)))
        warning = None
    if nearest is None:
        return Wait(0)
    if warning is None:
        begin = nearest.due - lead(nearest.limit)
        if now < begin:
            return Wait(begin)
    elif now < warning.stop_at:
        return Wait(warning.stop_at)
    if nearest.reason is StopReason.IDLE and not sight.confirmed:
        return Look()
    if warning is None:
        stop_at = max(nearest.due, now + lead(nearest.limit))
        return Said(dataclasses.replace(record, notice=_warning(nearest, now, stop_at)))
    if nearest.reason is StopReason.IDLE and _observed_at(sight) < warning.stop_at:
        return Wait(now + _LOOK_AGAIN)
    over = Notice(_OVER[nearest.reason], _over_message(nearest), now)
    return Said(transitions.expired(record, nearest.reason, over))


def _idle(record: Record, sight: Sight) -> End | None:
    found = signals(record, sight)
    if not record.limits.idle or not found:
        return None
    signal = max(found, key=lambda one: found[one])
    return End(StopReason.IDLE, record.limits.idle, found[signal], signal)


def _lifetime(record: Record) -> End | None:
    limit = record.limits.lifetime
    if not limit:
        return None
    return End(StopReason.MAX_LIFETIME, limit, record.run_since, Signal.START)


def _is_about(warning: Notice, nearest: End) -> bool:
    """Whether a warning was given of this very end.

    Its `since` may lie before the warning's: whoever gave it had followed for less long.
    """
    return (
        warning.reason is _WARNINGS[nearest.reason]
        and warning.limit == nearest.limit
        and nearest.since <= warning.since
    )


def _observed_at(sight: Sight) -> int:
    assert sight.workload is not None
    assert sight.workload.activity is not None
    return sight.workload.activity.observed_at


def _warning(nearest: End, now: int, stop_at: int) -> Notice:
    if nearest.reason is StopReason.IDLE:
        what = f"Not used since {times.text(nearest.since)} ({nearest.signal})"
    else:
        what = f"It runs since {times.text(nearest.since)}, which may be {_length(nearest.limit)}"
    return Notice(
        reason=_WARNINGS[nearest.reason],
        message=f"{what}; it will be stopped at {times.text(stop_at)}",
        at=now,
        stop_at=stop_at,
        since=nearest.since,
        limit=nearest.limit,
    )


def _cleared(record: Record, sight: Sight, now: int) -> Notice:
    found = signals(record, sight)
    signal = max(found, key=lambda one: found[one]) if found else Signal.OBSERVED
    warning = record.notice
    assert warning is not None
    if (
        warning.reason is NoticeReason.IDLE_WARNING
        and signal not in (Signal.OBSERVED, Signal.FOLLOWED)
        and found[signal] > warning.since
    ):
        message = f"Used since the warning: {signal}, {times.text(found[signal])}"
        return Notice(NoticeReason.IN_USE, message, now)
    message = "Its use was not observed for a while, or its limits changed: they count anew"
    return Notice(NoticeReason.CLOCK_RESTARTED, message, now, since=found.get(signal, 0))


def _over_message(nearest: End) -> str:
    length, since = _length(nearest.limit), times.text(nearest.since)
    if nearest.reason is StopReason.IDLE:
        return f"Not used for {length}: the last sign of use was {nearest.signal}, {since}"
    return f"It ran for {length}, since {since}"


def _length(milliseconds: int) -> str:
    seconds = milliseconds // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
