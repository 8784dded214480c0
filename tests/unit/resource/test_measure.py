"""What the processor time of instances is a mean of."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.resource.runtimes.local import procfs
from services.resource.runtimes.local.activity import MEASURED, Observer
from services.resource.runtimes.local.directories import InstanceRoot
from services.resource.runtimes.local.disks import Disks
from services.resource.runtimes.local.measure import Meter

WORKED = 20
"""Ticks of processor time that are seen beside anything else."""


@pytest.fixture
def busy() -> Iterator[procfs.Identity]:
    """Give a process that computes."""
    program = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(program, start_new_session=True) as process:  # ours is never counted
        found = procfs.look(process.pid)
        assert found is not None
        yield found.identity
        process.kill()


@pytest.fixture
def meter(tmp_path: Path) -> Meter:
    root = InstanceRoot(tmp_path)
    observer = Observer(root=root, thresholds=MEASURED)
    return Meter(stack_id=f"test-{os.getpid()}", disks=Disks(root), observer=observer)


def ticks(identity: procfs.Identity) -> int:
    found = procfs.look(identity.pid)
    assert found is not None
    return found.ticks


def work(identity: procfs.Identity) -> None:
    """Let it compute for a while."""
    enough = ticks(identity) + WORKED
    os.kill(identity.pid, signal.SIGCONT)
    deadline = time.monotonic() + 60
    while ticks(identity) < enough:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(identity.pid, signal.SIGSTOP)


def test_who_asks_in_between_shortens_no_sample(meter: Meter, busy: procfs.Identity) -> None:
    """The next sample is the mean since the sample before, whatever was asked meanwhile."""
    running = {"red": busy}
    work(busy)
    meter.measure(running, ())
    began, had = time.monotonic(), ticks(busy)
    work(busy)
    used = (ticks(busy) - had) / procfs.TICKS
    # All it did is in the stretch; from here to the sample nothing is done.
    early = meter.measure_new(running, ())["red"]
    assert early.cpu_cores > 0
    cores = meter.measure(running, ())["red"].cpu_cores
    assert cores >= 0.9 * used / (time.monotonic() - began)


def test_a_new_one_is_measured_from_its_beginning(meter: Meter, busy: procfs.Identity) -> None:
    """Asked for before its first sample, it has used what it used since it was started."""
    work(busy)
    found = meter.measure_new({"red": busy}, ["blue"])
    lives = time.clock_gettime(time.CLOCK_BOOTTIME) - busy.started / procfs.TICKS
    assert found["red"].cpu_cores >= WORKED / procfs.TICKS / (lives + 1)
    assert found["red"].processes == 1
    assert (found["blue"].cpu_cores, found["blue"].processes) == (0, 0)
