"""The kernel holds instances, where control groups are delegated to whoever runs the tests."""

import dataclasses
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.resource.limits import Means, Resource
from services.resource.runtimes.local import LocalRuntime, cgroups, wards
from services.resource.workload import Phase
from tests.integration.resource import rig
from tests.integration.resource.test_limits import MIB, looks, sized, told


@pytest.fixture
async def held(tmp_path: Path, tiny: Path, stack_id: str) -> AsyncIterator[LocalRuntime]:
    groups, why = cgroups.find(stack_id)
    if groups is None:
        pytest.skip(why)
    policy = wards.Policy(most_processes=20)
    async with rig.running(
        tmp_path / "data", tiny, stack_id, stop_grace=1, limits=policy, look_every=0.1
    ) as held:
        yield held
        for workload in held.list():
            await held.delete(workload.instance_id)
    groups.top.rmdir()


async def test_memory_is_the_kernels(held: LocalRuntime, port_base: int) -> None:
    """The greedy process ends, the editor does not, and why is told."""
    greedy = "import time\ntime.sleep(1)\nheld = bytearray(400 * 2**20)\ntime.sleep(600)\n"
    await held.apply(rig.spec("blue", port_base, sized(memory=200 * MIB), CHILD=greedy))
    ready = await rig.reach(held, "blue", Phase.READY)
    assert "the kernel ended 1" in await told(held, "blue", Resource.MEMORY)
    workload = held.get("blue")
    assert workload is not None
    assert workload.runtime_id == ready.runtime_id
    means = {one.resource: one.means for one in held.enforcement("blue", rig.RESOURCES)}
    assert means[Resource.MEMORY] is means[Resource.PROCESSES] is Means.CGROUP


async def test_processes_are_the_kernels(held: LocalRuntime, stack_id: str, port_base: int) -> None:
    """However fast they are started, there are never more."""
    many = "import subprocess, time\n"
    many += "for _ in range(60):\n  try: subprocess.Popen(['sleep', '600'])\n"
    many += "  except OSError: pass\ntime.sleep(600)\n"
    await held.apply(rig.spec("blue", port_base, CHILD=many))
    await rig.reach(held, "blue", Phase.READY)
    assert "no more could start" in await told(held, "blue", Resource.PROCESSES)
    # The kernel counts threads too.
    assert len(rig.members(stack_id)) <= 20


async def test_cpu_is_the_kernels(held: LocalRuntime, stack_id: str, port_base: int) -> None:
    """A busy instance gets what it may use, less than a whole processor too; live."""
    groups, _ = cgroups.find(stack_id)
    assert groups is not None
    if "cpu" not in groups.controllers:
        pytest.skip("the cpu controller is not delegated")
    spec = rig.spec("blue", port_base, sized(cpu=200), TINY="busy")
    await held.apply(spec)
    await rig.reach(held, "blue", Phase.READY)
    quota = groups.top / "blue" / "cpu.max"
    await rig.until(lambda: quota.read_text().split() == ["20000", "100000"])
    (root,) = rig.roots(stack_id)
    before, at = _ticks(root.pid), time.monotonic()
    enough = looks() + 20
    await rig.until(lambda: looks() >= enough)
    cores = (_ticks(root.pid) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - at)
    assert cores < 0.5
    await held.apply(dataclasses.replace(spec, resources=sized(cpu=1500)))
    await rig.until(lambda: quota.read_text().split() == ["150000", "100000"])


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
