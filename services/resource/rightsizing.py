"""What size would fit an instance better: a pure function of what it used.

More, by the specification (section 1 of its advice on performance): where use is above 0.8 of a
limit, the limit becomes 1.5 times the use, at most 4 CPU and 8 GiB. The specification multiplies
the *ratio* by 1.5 and caps it by cores and GiB; read with units, as here, it is the amount in
use. Since the use is above 0.8 of the limit, the new limit is above 1.2 of the old.

Less, where use has been low for long: the new limit is the highest use seen, times a headroom,
and never below a floor.

It cannot swing to and fro: a headroom above 1 / 0.8 keeps a lowered limit's use under 0.8, and a
raised limit is never lowered below 1.5 times the use that raised it while that is remembered.
"""

import dataclasses
import enum
import math
import statistics
from collections.abc import Sequence


class Kind(enum.Enum):
    """Which way to size what; the contract's OptimizationType."""

    SCALE_UP_CPU = "SCALE_UP_CPU"
    SCALE_UP_MEMORY = "SCALE_UP_MEMORY"
    SCALE_DOWN_CPU = "SCALE_DOWN_CPU"
    SCALE_DOWN_MEMORY = "SCALE_DOWN_MEMORY"

    @property
    def resource(self) -> str:
        """``cpu`` or ``memory``."""
        return "cpu" if self in (Kind.SCALE_UP_CPU, Kind.SCALE_DOWN_CPU) else "memory"

    @property
    def is_up(self) -> bool:
        """Whether it asks for more."""
        return self in (Kind.SCALE_UP_CPU, Kind.SCALE_UP_MEMORY)


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """What a running instance used over one stretch of time."""

    time: float
    """End of the stretch, in seconds since 1970."""
    cpu: float
    """Millicores."""
    memory: float
    """Bytes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What an instance may use."""

    cpu: int
    """Millicores."""
    memory: int
    """Bytes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The numbers a recommendation keeps to."""

    resolution: float
    """Seconds between two samples."""
    high: float = 0.8
    """Share of the limit above which more is recommended (specification)."""
    factor: float = 1.5
    """What use is multiplied by for it (specification)."""
    up_seconds: float = 60.0
    """The use that counts for it is the mean of this long: a build of seconds is no trend."""
    most: Limits = Limits(4000, 8 * 2**30)
    """Largest size recommended (specification)."""
    low: float = 0.3
    """Share of the limit that the mean must not pass for less to be recommended."""
    down_seconds: float = 1800.0
    """How long it must not have."""
    headroom: float = 1.5
    """What the highest use seen is multiplied by for it; more than 1 / `high`."""
    least: Limits = Limits(250, 512 * 2**20)
    """Smallest size recommended: an editor that nobody uses needs half of it."""
    deadband: float = 0.2
    """Reductions by less than this share are not worth a change."""
    coverage: float = 0.8
    """Share of the samples of a stretch of time that must be there to speak for it."""
    step: Limits = Limits(50, 64 * 2**20)
    """Sizes are multiples of this, rounded up."""


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """What a recommendation rests on: shares of the limit it is about."""

    samples: int
    seconds: float
    """Time they span, the stretch of the first included."""
    lowest: float
    mean: float
    highest: float


@dataclasses.dataclass(frozen=True, slots=True)
class Recommendation:
    """A limit that would fit better."""

    kind: Kind
    current: float
    """Share of the limit in use: the mean of the evidence."""
    limit: int
    """The limit now: millicores or bytes."""
    recommended: int
    """The better one."""
    evidence: Evidence


def recommend(
    points: Sequence[Point], limits: Limits, policy: Policy, now: float
) -> list[Recommendation]:
    """Recommend sizes for one running instance: one of CPU and one of memory at most.

    Args:
        points: What it used since it was started, oldest first, as far as is known.
        limits: What it is to have.
        policy: Limits of the recommendations.
        now: The time, in seconds since 1970.
    """
    found = []
    for resource in ("cpu", "memory"):
        one = _up(resource, points, limits, policy, now) or _down(
            resource, points, limits, policy, now
        )
        if one is not None:
            found.append(one)
    return found


def _up(
    resource: str, points: Sequence[Point], limits: Limits, policy: Policy, now: float
) -> Recommendation | None:
    recent = _window(points, policy.up_seconds, policy, now)
    limit, most = getattr(limits, resource), getattr(policy.most, resource)
    if not recent or limit >= most:
        return None
    used = statistics.fmean(getattr(one, resource) for one in recent)
    if used <= policy.high * limit:
        return None
    recommended = min(most, _rounded(used * policy.factor, getattr(policy.step, resource)))
    if recommended <= limit:
        return None
    kind = Kind.SCALE_UP_CPU if resource == "cpu" else Kind.SCALE_UP_MEMORY
    return _recommendation(kind, recent, limit, recommended, policy)


def _down(
    resource: str, points: Sequence[Point], limits: Limits, policy: Policy, now: float
) -> Recommendation | None:
    window = _window(points, policy.down_seconds, policy, now)
    limit = getattr(limits, resource)
    if not window:
        return None
    if statistics.fmean(getattr(one, resource) for one in window) > policy.low * limit:
        return None
    # Of all that is known, not only of the window: what was needed once is needed again.
    peak = max(getattr(one, resource) for one in points)
    recommended = max(
        getattr(policy.least, resource),
        _rounded(peak * policy.headroom, getattr(policy.step, resource)),
    )
    if recommended > limit * (1 - policy.deadband):
        return None
    kind = Kind.SCALE_DOWN_CPU if resource == "cpu" else Kind.SCALE_DOWN_MEMORY
    return _recommendation(kind, window, limit, recommended, policy)


def _window(points: Sequence[Point], seconds: float, policy: Policy, now: float) -> Sequence[Point]:
    """Give the points of the last while; none where too many are missing to speak for it."""
    window = [one for one in points if now - seconds < one.time <= now]
    needed = max(1, math.ceil(policy.coverage * (seconds // policy.resolution)))
    return window if len(window) >= needed else ()


def _recommendation(
    kind: Kind, window: Sequence[Point], limit: int, recommended: int, policy: Policy
) -> Recommendation:
    shares = [getattr(one, kind.resource) / limit for one in window]
    mean = statistics.fmean(shares)
    evidence = Evidence(
        samples=len(shares),
        seconds=window[-1].time - window[0].time + policy.resolution,
        lowest=min(shares),
        mean=mean,
        highest=max(shares),
    )
    return Recommendation(kind, mean, limit, recommended, evidence)


def _rounded(amount: float, step: int) -> int:
    return math.ceil(amount / step) * step


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One running instance that was looked at."""

    used: Point
    """Its newest sample."""
    limits: Limits
    recommendations: Sequence[Recommendation]


@dataclasses.dataclass(frozen=True, slots=True)
class Improvement:
    """What following every recommendation would give; see the contract."""

    cpu_freed: int
    """Millicores."""
    memory_freed: int
    """Bytes."""
    before: float
    """Share of what is held that is in use, CPU and memory averaged, 0 to 1."""
    after: float


def improvement(cases: Sequence[Case]) -> Improvement:
    """Estimate what following all recommendations of some instances would give.

    What is in use is taken to stay the same, so an instance that was held back by its limit is
    better off than this tells.
    """
    freed = {"cpu": 0, "memory": 0}
    for case in cases:
        for one in case.recommendations:
            freed[one.kind.resource] += one.limit - one.recommended
    shares = []
    for after in (False, True):
        parts = []
        for resource in ("cpu", "memory"):
            held = sum(getattr(case.limits, resource) for case in cases)
            held -= freed[resource] if after else 0
            used = sum(getattr(case.used, resource) for case in cases)
            parts.append(min(1.0, used / held) if held else 0.0)
        shares.append(statistics.fmean(parts))
    return Improvement(freed["cpu"], freed["memory"], shares[0], shares[1])
