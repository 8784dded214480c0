"""What sizes are recommended, as a table and by laws."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.resource.rightsizing import (
    Case,
    Kind,
    Limits,
    Point,
    Policy,
    Recommendation,
    improvement,
    recommend,
)

GIB = 2**30
NOW = 1_800_000_000.0
POLICY = Policy(resolution=15)
LIMITS = Limits(1000, 2 * GIB)


def points(*stretches: tuple[int, float, float], missing: frozenset[int] = frozenset()) -> list:
    """Make points: (how many, millicores, GiB) one stretch after the other, up to now."""
    flat = [(cpu, gib) for count, cpu, gib in stretches for _ in range(count)]
    return [
        Point(NOW - 15 * (len(flat) - 1 - number), cpu, gib * GIB)
        for number, (cpu, gib) in enumerate(flat)
        if number not in missing
    ]


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        # The rule: above 0.8 of the limit, 1.5 times the use, rounded up, at most 4 CPU and 8 GiB.
        ([(4, 800, 1)], {}),
        ([(4, 801, 1)], {Kind.SCALE_UP_CPU: 1250}),
        ([(4, 1000, 1)], {Kind.SCALE_UP_CPU: 1500}),
        ([(4, 2600, 1)], {Kind.SCALE_UP_CPU: 3900}),
        ([(4, 9000, 1)], {Kind.SCALE_UP_CPU: 4000}),
        ([(4, 500, 1.61)], {Kind.SCALE_UP_MEMORY: math.ceil(1.61 * 1.5 * 16) * GIB // 16}),
        ([(4, 500, 7)], {Kind.SCALE_UP_MEMORY: 8 * GIB}),
        ([(4, 1000, 2)], {Kind.SCALE_UP_CPU: 1500, Kind.SCALE_UP_MEMORY: 3 * GIB}),
        # A burst is no trend; what just started has not shown anything.
        ([(1, 1000, 1)], {}),
        ([(3, 300, 1), (1, 1000, 1)], {}),
        ([], {}),
        # Low for half an hour: the peak with headroom, not below the floor.
        ([(120, 200, 0.5)], {Kind.SCALE_DOWN_CPU: 300, Kind.SCALE_DOWN_MEMORY: 3 * GIB // 4}),
        ([(120, 10, 0.1)], {Kind.SCALE_DOWN_CPU: 250, Kind.SCALE_DOWN_MEMORY: GIB // 2}),
        ([(95, 10, 0.1)], {}),
        ([(119, 10, 1.2), (1, 500, 1.2)], {Kind.SCALE_DOWN_CPU: 750}),
        # A peak of earlier than the window still counts; one that leaves too little to gain, too.
        ([(1, 500, 1.2), (125, 10, 1.2)], {Kind.SCALE_DOWN_CPU: 750}),
        ([(119, 10, 1.2), (1, 560, 1.2)], {}),
        ([(120, 310, 1.2)], {}),
    ],
)
def test_table(used: list[tuple[int, float, float]], expected: dict[Kind, int]) -> None:
    """Each case has exactly these recommendations."""
    found = recommend(points(*used), LIMITS, POLICY, NOW)
    assert {one.kind: one.recommended for one in found} == expected


def test_at_the_most_there_is_no_more() -> None:
    """Who has the largest size is not told to grow, however busy."""
    assert recommend(points((4, 9000, 20)), Limits(4000, 8 * GIB), POLICY, NOW) == []


def test_gaps_do_not_speak() -> None:
    """Too many missing samples, or samples of long ago, recommend nothing."""
    every_third = frozenset(range(0, 120, 3))
    assert recommend(points((120, 10, 0.1), missing=every_third), LIMITS, POLICY, NOW) == []
    every_sixth = frozenset(range(0, 120, 6))
    assert recommend(points((120, 10, 0.1), missing=every_sixth), LIMITS, POLICY, NOW)
    assert recommend(points((200, 1000, 2)), LIMITS, POLICY, NOW + 120) == []


def test_evidence_is_what_it_rests_on() -> None:
    """Samples, span, lowest, mean and highest are those of the window that decided."""
    (one,) = recommend(points((1, 400, 1), (2, 900, 1), (2, 1000, 1)), LIMITS, POLICY, NOW)
    evidence = one.evidence
    assert (evidence.samples, evidence.seconds) == (4, 60)
    assert (evidence.lowest, evidence.mean, evidence.highest) == (0.9, 0.95, 1.0)
    assert one.current == 0.95


def test_improvement_adds_up() -> None:
    """Freed is the sum of the differences; utilisation is used over held, before and after."""
    low, busy = points((120, 200, 0.5)), points((4, 1000, 1))
    cases = [Case(used[-1], LIMITS, recommend(used, LIMITS, POLICY, NOW)) for used in (low, busy)]
    found = improvement(cases)
    assert found.cpu_freed == (1000 - 300) + (1000 - 1500)
    assert found.memory_freed == 2 * GIB - 3 * GIB // 4
    assert found.before == pytest.approx((1200 / 2000 + 1.5 / 4) / 2)
    assert found.after == pytest.approx((1200 / 1800 + 1.5 / 2.75) / 2)
    nothing = improvement([])
    assert (nothing.cpu_freed, nothing.before, nothing.after) == (0, 0, 0)


amounts = st.tuples(
    st.integers(0, 240),
    st.floats(0, 8000, allow_nan=False),
    st.floats(0, 16, allow_nan=False),
)
histories = st.lists(amounts, max_size=5).map(lambda given: points(*given)[-240:])
sizes = st.builds(Limits, st.integers(1, 6000), st.integers(2**20, 12 * GIB))


def follow(limits: Limits, found: list[Recommendation]) -> Limits:
    """Give limits as they are when recommendations were followed."""
    return dataclasses.replace(limits, **{one.kind.resource: one.recommended for one in found})


@given(histories, sizes)
def test_bounds_hold(used: list[Point], limits: Limits) -> None:
    """Never above the most, below the least, or below what was seen with headroom."""
    for one in recommend(used, limits, POLICY, NOW):
        resource = one.kind.resource
        peak = max(getattr(point, resource) for point in used)
        if one.kind.is_up:
            assert limits != follow(limits, [one])
            assert one.limit < one.recommended <= getattr(POLICY.most, resource)
            assert one.current > POLICY.high
        else:
            assert one.recommended <= one.limit * (1 - POLICY.deadband)
            assert one.recommended >= getattr(POLICY.least, resource)
            assert one.recommended >= peak * POLICY.headroom
            assert one.current <= POLICY.low
        evidence = one.evidence
        assert evidence.lowest - 1e-9 <= evidence.mean <= evidence.highest + 1e-9


@given(histories, sizes)
def test_followed_it_says_nothing_more(used: list[Point], limits: Limits) -> None:
    """With the recommended size and the same use there is nothing left to recommend."""
    once = recommend(used, limits, POLICY, NOW)
    assert recommend(used, follow(limits, once), POLICY, NOW) == []


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 3900), st.floats(0, 7.9)), min_size=1, max_size=12),
    sizes,
)
def test_steady_use_never_swings(cycle: list[tuple[float, float]], limits: Limits) -> None:
    """Whatever use repeats itself, following every advice ends in a size that stays."""
    rounds = [(1, cpu, gib) for cpu, gib in cycle] * (240 // len(cycle))
    used = points(*rounds)
    directions: dict[str, list[bool]] = {"cpu": [], "memory": []}
    for tick in range(60):
        shift = tick % len(used)
        later = used[shift:] + used[:shift]
        moved = [
            dataclasses.replace(one, time=due.time) for one, due in zip(later, used, strict=True)
        ]
        found = recommend(moved, limits, POLICY, NOW)
        for one in found:
            directions[one.kind.resource].append(one.kind.is_up)
        limits = follow(limits, found)
    for ups in directions.values():
        turns = sum(before != after for before, after in itertools.pairwise(ups))
        assert turns <= 1, ups
