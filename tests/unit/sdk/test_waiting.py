"""When a wait is over: a table."""

import codestudio
import pytest
from codestudio import _waiting
from codestudio._waiting import Goal
from codestudio.instance.v1 import instance_service_pb2


def status(state: str, desired: str, *, reconciling: bool) -> codestudio.InstanceStatus:
    return codestudio.InstanceStatus(
        instance_service_pb2.InstanceStatus(
            id="a",
            state=f"INSTANCE_STATE_{state}",
            desired_state=f"DESIRED_STATE_{desired}",
            reconciling=reconciling,
        )
    )


@pytest.mark.parametrize(
    ("goal", "state", "desired", "reconciling", "outcome"),
    [
        (Goal.RUNNING, "RUNNING", "RUNNING", False, True),
        (Goal.RUNNING, "STARTING", "RUNNING", True, False),
        (Goal.RUNNING, "FAILING", "RUNNING", True, False),
        (Goal.RUNNING, "FAILED", "RUNNING", False, codestudio.InstanceFailed),
        # Started again a moment ago; the reconciler has not looked yet.
        (Goal.RUNNING, "FAILED", "RUNNING", True, False),
        (Goal.RUNNING, "STOPPED", "RUNNING", True, False),
        (Goal.RUNNING, "STOPPED", "STOPPED", False, codestudio.FailedPrecondition),
        (Goal.RUNNING, "DELETING", "DELETED", True, codestudio.FailedPrecondition),
        (Goal.STOPPED, "STOPPED", "STOPPED", False, True),
        (Goal.STOPPED, "RUNNING", "STOPPED", True, False),
        (Goal.STOPPED, "STARTING", "RUNNING", True, codestudio.FailedPrecondition),
        (Goal.STOPPED, "FAILED", "STOPPED", False, codestudio.InstanceFailed),
        (Goal.DELETED, "DELETING", "DELETED", True, False),
        (Goal.DELETED, "FAILED", "DELETED", False, False),
        (Goal.DELETED, "RUNNING", "RUNNING", False, codestudio.FailedPrecondition),
    ],
)
def test_reached(
    goal: Goal,
    state: str,
    desired: str,
    reconciling: bool,
    outcome: bool | type[codestudio.CodeStudioError],
) -> None:
    """Over when it is there, an error when it cannot get there any more, else go on."""
    now = status(state, desired, reconciling=reconciling)
    if isinstance(outcome, bool):
        assert _waiting.reached(goal, now) is outcome
    else:
        with pytest.raises(outcome):
            _waiting.reached(goal, now)
