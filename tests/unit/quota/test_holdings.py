"""What an instance must hold, state by state, and where the ledger differs."""

import datetime

import pytest
from codestudio.instance.v1 import instance_pb2

from services.quota.amounts import Amounts
from services.quota.holdings import Difference, differences, holding
from services.quota.store import Reservation

FULL = Amounts(1, 500, 2**30, 2**33)
DISK = Amounts(1, 0, 0, 2**33)


def record(
    name: str = "fox", *, state: str = "RUNNING", desired: str = "RUNNING", namespace: str = "team"
) -> instance_pb2.Instance:
    made = instance_pb2.Instance(
        id=name,
        namespace=namespace,
        state=instance_pb2.InstanceState.Value(f"INSTANCE_STATE_{state}"),
        desired_state=instance_pb2.DesiredState.Value(f"DESIRED_STATE_{desired}"),
    )
    made.resources.cpu, made.resources.memory, made.resources.storage = "500m", "1Gi", "8Gi"
    return made


def reservation(amounts: Amounts, text: str = "r") -> Reservation:
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    return Reservation(amounts, moment, moment, text)


@pytest.mark.parametrize(
    ("state", "desired", "expected"),
    [
        ("PENDING", "RUNNING", FULL),
        ("STARTING", "RUNNING", FULL),
        ("RUNNING", "RUNNING", FULL),
        ("STOPPING", "RUNNING", FULL),
        ("FAILING", "RUNNING", FULL),
        ("STOPPED", "RUNNING", DISK),
        ("STOPPED", "STOPPED", DISK),
        ("RUNNING", "STOPPED", DISK),
        ("PENDING", "STOPPED", DISK),
        ("FAILED", "RUNNING", None),
        ("FAILED", "STOPPED", None),
        ("DELETING", "DELETED", None),
        ("RUNNING", "DELETED", None),
    ],
)
def test_holding_follows_the_state(state: str, desired: str, expected: Amounts | None) -> None:
    """Everything while it is to run, the disk while it is stopped, nothing once it failed."""
    assert holding(record(state=state, desired=desired)) == expected


def test_agreement_is_no_difference() -> None:
    """A reservation that is what its record says is left alone."""
    assert differences({"team": {"fox": reservation(FULL)}}, [record()]) == set()


def test_every_kind_of_difference() -> None:
    """Missing, wrong and orphaned reservations are told apart; the namespace counts too."""
    held = {
        "team": {"owl": reservation(FULL, "owl's"), "bat": reservation(FULL, "bat's")},
        "other": {"elk": reservation(FULL, "elk's")},
    }
    records = [
        record("fox"),
        record("owl", state="STOPPED", desired="STOPPED"),
        record("bat", state="FAILED"),
        record("elk"),
    ]
    found = differences(held, records)
    assert found == {
        Difference("team", "fox", "", FULL),
        Difference("team", "owl", "owl's", DISK),
        Difference("team", "bat", "bat's", None),
        Difference("team", "elk", "", FULL),
        Difference("other", "elk", "elk's", None),
    }
    assert {(one.instance_id, one.kind) for one in found} == {
        ("fox", "reserve"),
        ("owl", "resize"),
        ("bat", "release"),
        ("elk", "reserve"),
        ("elk", "release"),
    }


def test_a_difference_says_why() -> None:
    """Each tells what is held, what is to be, and what the record says of it."""
    held = {"team": {name: reservation(FULL, name) for name in ("owl", "bat", "elk")}}
    records = [
        record("fox"),
        record("owl", state="STOPPED", desired="STOPPED"),
        record("bat", state="FAILED"),
    ]
    told = {one.instance_id: one for one in differences(held, records)}
    assert {name: (one.before, one.reason) for name, one in told.items()} == {
        "fox": (None, "the instance is RUNNING, to be RUNNING"),
        "owl": (FULL, "the instance is STOPPED, to be STOPPED"),
        "bat": (FULL, "the instance is FAILED, to be RUNNING"),
        "elk": (FULL, "there is no such instance"),
    }
    assert {name for name, one in told.items() if one.shrinks} == {"owl", "bat", "elk"}


def test_unreadable_record_is_a_fault() -> None:
    """A record whose amounts cannot be read stops the comparison."""
    odd = record()
    odd.resources.memory = "lots"
    with pytest.raises(ValueError, match="lots"):
        differences({}, [odd])
