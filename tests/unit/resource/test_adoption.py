import pytest

from services.resource.runtimes.local.adoption import Decision, Verdict, decide
from services.resource.runtimes.local.procfs import Identity
from services.resource.runtimes.local.records import Record
from services.resource.workload import Phase, Workload

NOTED = Identity(10, 100, "boot")
FOUND = Identity(20, 200, "boot")


@pytest.mark.parametrize(
    ("phase", "process", "is_alive", "found", "expected"),
    [
        # Runs as noted: watched again, whatever else is there.
        (Phase.READY, NOTED, True, None, Decision(Verdict.ADOPT, NOTED)),
        (Phase.STARTING, NOTED, True, FOUND, Decision(Verdict.ADOPT, NOTED)),
        # Killed between starting and noting: found by its marker.
        (Phase.STARTING, None, False, FOUND, Decision(Verdict.ADOPT, FOUND)),
        # Killed before starting.
        (Phase.STARTING, None, False, None, Decision(Verdict.NEVER_STARTED)),
        # Ended while nobody watched.
        (Phase.READY, NOTED, False, None, Decision(Verdict.EXITED)),
        (Phase.STARTING, NOTED, False, None, Decision(Verdict.EXITED)),
        # A stop that was begun is finished, whether the editor still runs or only its terminals.
        (Phase.STOPPING, NOTED, True, None, Decision(Verdict.FINISH_STOP, NOTED)),
        (Phase.STOPPING, NOTED, False, None, Decision(Verdict.FINISH_STOP)),
        # What nobody was told runs is not adopted.
        (Phase.STOPPED, None, False, FOUND, Decision(Verdict.KEEP)),
        (Phase.EXITED, None, False, None, Decision(Verdict.KEEP)),
    ],
)
def test_decision(
    phase: Phase,
    process: Identity | None,
    is_alive: bool,
    found: Identity | None,
    expected: Decision,
) -> None:
    """After a restart nothing that runs is lost, and nothing is told that is not so."""
    record = Record(Workload("blue", phase), process)
    assert decide(record, is_alive=is_alive, found=found) == expected
