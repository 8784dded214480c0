"""What it costs to look after fifty instances: their usage, their limits, their sizes.

    python -m tests.bench.sizes

The baseline is psutil reading CPU and memory of the very same processes, found by their pids:
what any monitoring would do that knew nothing of instances.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from services.resource import rightsizing
from services.resource.runtimes.local import procfs, warden, wards
from services.resource.runtimes.local.activity import MEASURED, Observer
from services.resource.runtimes.local.directories import InstanceRoot
from services.resource.runtimes.local.disks import Disks
from services.resource.runtimes.local.measure import Meter
from services.resource.workload import Resources
from tests.bench import figures

_INSTANCES = 50
_PROCESSES = 4
_ROUNDS = 30
_STACK = "bench-sizes"
_LIMITS = Resources(8_000_000, 2**33, 2**40)


def measure() -> dict[str, Any]:
    """Measure sampling, holding to limits and recommending, for fifty instances."""
    with tempfile.TemporaryDirectory() as directory, _processes() as roots:
        root = InstanceRoot(Path(directory))
        for name in roots:
            root.of(name).create()
        known = Disks(root)
        observer = Observer(root=root, thresholds=MEASURED)
        meter = Meter(stack_id=_STACK, disks=known, observer=observer)
        held = {name: wards.Held(one, _LIMITS, True) for name, one in roots.items()}
        policy = wards.Policy(groups=False)
        for name in roots:
            known.used(name)
        while known.turn():
            pass
        keeper = warden.Warden(stack_id=_STACK, root=root, disks=known, policy=policy)
        pids = [one.pid for one in procfs.read_table().values() if one.stack_id == _STACK]
        baseline = _seconds(lambda: [_psutil(pid) for pid in pids])
        sample = _seconds(lambda: meter.measure(roots, ()))
        look = _seconds(lambda: keeper.look(held))
        points, sizes = _points(), rightsizing.Policy(resolution=15)
        limits, now = rightsizing.Limits(1000, 2**31), points[-1].time
        advice = _seconds(
            lambda: [rightsizing.recommend(points, limits, sizes, now) for _ in range(_INSTANCES)]
        )
    middle = sorted(baseline)[len(baseline) // 2]
    return {
        "instances": _INSTANCES,
        "processes": len(pids),
        "psutil_ms": figures.milliseconds(baseline),
        **{
            name: {
                **figures.milliseconds(found),
                "to_psutil": round(sorted(found)[len(found) // 2] / middle, 2),
            }
            for name, found in (("sample", sample), ("limits", look), ("recommend", advice))
        },
    }


def _seconds(work: Callable[[], object]) -> list[float]:
    work()
    found = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return found


def _psutil(pid: int) -> tuple[float, int]:
    process = psutil.Process(pid)
    return sum(process.cpu_times()[:2]), process.memory_full_info().pss


def _points() -> list[rightsizing.Point]:
    return [rightsizing.Point(15.0 * number, 100 + number % 7, 2**28) for number in range(240)]


@contextmanager
def _processes() -> Iterator[dict[str, procfs.Identity]]:
    started = []
    roots = {}
    try:
        for number in range(_INSTANCES):
            name = f"bench-{number}"
            marker = {procfs.WORKLOAD_MARKER: f"{_STACK}/{name}/0"}
            for _ in range(_PROCESSES):
                child = subprocess.Popen(["sleep", "600"], env={**os.environ, **marker})
                started.append(child)
            process = procfs.look(started[-1].pid)
            assert process is not None
            roots[name] = process.identity
        yield roots
    finally:
        for child in started:
            child.kill()
        for child in started:
            child.wait()


if __name__ == "__main__":
    print(json.dumps({"sizes": measure()}, indent=2))
