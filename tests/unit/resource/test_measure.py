"""How often the disk of an instance is looked at."""

import os
from pathlib import Path

import pytest

from services.resource.runtimes.local import measure
from services.resource.runtimes.local.activity import MEASURED, Observer
from services.resource.runtimes.local.directories import InstanceRoot

MIB = 2**20


@pytest.fixture
def meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> measure.Meter:
    """Give a meter that looks once in a long while, unless there is a reason."""
    monkeypatch.setattr(measure, "_DISK_EVERY", 1e9)
    for name in ("_NEAR_EVERY", "_NEAR_SHARE", "_HURRIED_EVERY", "_HURRIED_SHARE"):
        monkeypatch.setattr(measure, name, 0)
    root = InstanceRoot(tmp_path)
    root.of("red").create()
    return measure.Meter(
        stack_id="test", root=root, observer=Observer(root=root, thresholds=MEASURED)
    )


def write(tmp_path: Path, size: int) -> None:
    (tmp_path / "instances/red/workspace" / f"file-{size}").write_bytes(os.urandom(size))


def test_without_a_reason_it_is_remembered(meter: measure.Meter, tmp_path: Path) -> None:
    """A walk is not repeated soon, however often somebody asks."""
    before = meter.disk("red", limit=1024 * MIB)
    write(tmp_path, MIB)
    assert meter.disk("red", limit=1024 * MIB) == before


def test_near_its_limit_or_waited_for_it_is_looked_at(meter: measure.Meter, tmp_path: Path) -> None:
    """Close to the limit, and while writes are stopped, changes are seen soon."""
    write(tmp_path, 9 * MIB + MIB // 2)
    assert meter.disk("red", limit=10 * MIB) < 10 * MIB
    write(tmp_path, MIB)
    assert meter.disk("red", limit=10 * MIB) > 10 * MIB
    write(tmp_path, 2 * MIB)
    assert meter.disk("red", hurried=True) > 12 * MIB


def test_a_file_system_that_fills_is_a_reason(
    meter: measure.Meter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So much written anywhere that it may have been this instance is looked into."""
    free = [1000 * MIB]
    monkeypatch.setattr(InstanceRoot, "free", lambda _: free[0])
    meter.disk("red", limit=10 * MIB)
    write(tmp_path, 6 * MIB)
    free[0] -= 3 * MIB
    assert meter.disk("red", limit=10 * MIB) < MIB
    free[0] -= 3 * MIB
    assert meter.disk("red", limit=10 * MIB) > 6 * MIB
