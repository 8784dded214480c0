"""Shortages: their arithmetic and how they read."""

from hypothesis import given
from hypothesis import strategies as st

from services.quota.amounts import MAX_AMOUNT, Shortage

_amount = st.integers(0, MAX_AMOUNT)


@given(limit=_amount, others=_amount, held=_amount, requested=_amount)
def test_giving_up_the_excess_would_fit(limit: int, others: int, held: int, requested: int) -> None:
    """Asked for less by what it is over, the limit is met exactly."""
    shortage = Shortage("memory", limit, others + held, held, requested)
    assert others + requested - shortage.exceeded_by == limit


def test_reads_well() -> None:
    """People see quantities, and what the instance itself holds of them."""
    assert str(Shortage("cpu", 4000, 3500, 0, 1000)) == (
        "cpu: 3500m of 4 in use, 1 asked for, 500m over the limit"
    )
    assert str(Shortage("memory", 2**31, 2**31, 2**30, 2**31)) == (
        "memory: 2Gi of 2Gi in use (1Gi by this instance), 2Gi asked for, 1Gi over the limit"
    )
