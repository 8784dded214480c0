from pathlib import Path

import pytest

from services.chassis import clock
from services.resource.runtimes.local.procfs import Identity
from services.resource.runtimes.local.records import Record, Records
from services.resource.workload import Failure, Phase, Resources, Spec, Workload

SPEC = Spec("blue", "default", 8000, 8050, Resources(500, 2**31, 2**33), {"A": "b"})


def test_a_record_comes_back_as_it_went(tmp_path: Path) -> None:
    """Times to the millisecond, everything else exactly."""
    records = Records(tmp_path)
    assert records.try_lock()
    now = clock.parse("2026-01-02T03:04:05.678Z")
    workload = Workload(
        "blue", Phase.READY, SPEC, runtime_id="pid 7", start_time=now, ready_time=now
    )
    ended = Workload("red", Phase.EXITED, None, exit_code=-9, failure=Failure("CODE", "why", now))
    kept = {"blue": Record(workload, Identity(7, 99, "boot"), 12), "red": Record(ended)}
    for record in kept.values():
        records.save(record)
    assert records.load() == kept
    records.remove("red")
    records.remove("red")
    assert records.load().keys() == {"blue"}
    records.unlock()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"phase": "READY"}', '{"phase": 1}'])
def test_a_broken_record_spoils_no_other(tmp_path: Path, text: str) -> None:
    """What a power failure left is skipped."""
    records = Records(tmp_path)
    assert records.try_lock()
    records.save(Record(Workload("blue", Phase.STOPPED, SPEC)))
    (tmp_path / "workloads" / "broken.json").write_text(text)
    (tmp_path / "workloads" / "..json").write_text(text)
    assert records.load().keys() == {"blue"}
    records.unlock()


def test_only_one_acts(tmp_path: Path) -> None:
    """A second service on the same directory waits for the first to go."""
    first, second = Records(tmp_path), Records(tmp_path)
    assert first.try_lock()
    assert first.try_lock()
    assert not second.try_lock()
    first.unlock()
    assert second.try_lock()
    second.unlock()


def test_a_fingerprint_tells_what_was_asked() -> None:
    """Any difference shows; the order of variables is none."""
    other = Spec("blue", "default", 8000, 8050, Resources(500, 2**31, 2**33), {"A": "c"})
    two = Spec("b", "d", 1, 2, Resources(1, 1, 1), {"A": "b", "C": "d"})
    swapped = Spec("b", "d", 1, 2, Resources(1, 1, 1), {"C": "d", "A": "b"})
    assert SPEC.fingerprint != other.fingerprint
    assert two.fingerprint == swapped.fingerprint
