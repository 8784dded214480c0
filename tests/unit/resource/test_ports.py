from hypothesis import given
from hypothesis import strategies as st

from services.resource.ports import PortPlan

PLANS = st.builds(
    PortPlan,
    base=st.integers(1024, 65535),
    size=st.integers(1, 1000),
    most=st.integers(1, 500),
)


@given(PLANS)
def test_all_ranges_are_ports_and_apart(plan: PortPlan) -> None:
    """Ranges of a plan never overlap, never leave the ports and are at most as many as said."""
    starts = [plan.base + slot * plan.size for slot in range(plan.capacity)]
    assert len(starts) <= plan.most
    assert all(plan.objection(start) == "" for start in starts)
    for start in starts:
        first, last = plan.callback_range(start)
        assert start <= first <= last == start + plan.size - 1 <= 65535


@given(PLANS, st.integers(-5, 70000))
def test_only_starts_of_ranges_are_accepted(plan: PortPlan, port: int) -> None:
    """Any other port is refused with a reason."""
    starts = {plan.base + slot * plan.size for slot in range(plan.capacity)}
    assert (plan.objection(port) == "") == (port in starts)


def test_the_specifications_ranges() -> None:
    """With the specification's numbers, callbacks are start + 50 to start + 99."""
    plan = PortPlan(8000, 100, 100)
    assert plan.capacity == 100
    assert plan.callback_range(8000) == (8050, 8099)
    assert plan.objection(8000) == ""
    assert plan.objection(17900) == ""
    assert "at most 17900" in plan.objection(18000)
    assert "1024 to 65535" in plan.objection(80)
    assert "multiple of 100" in plan.objection(8001)
