"""Instances are held to their limits: with real processes, which try to pass them."""

import asyncio
import dataclasses
import os
import resource
import time
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import prometheus_client
import pytest

from services.resource.limits import Means, Resource
from services.resource.runtimes.local import (
    LocalRuntime,
    disks,
    prlimit,
    procfs,
    readiness,
    wards,
)
from services.resource.runtimes.local.directories import Directories
from services.resource.workload import Phase, Resources
from tests.integration.resource import rig

MIB = 2**20
GREEDY = "import time\nheld = bytearray(300 * 2**20)\ntime.sleep(600)\n"
CHILD_READY = "open('ready', 'w').close()\n"


def sized(**changes: int) -> Resources:
    return dataclasses.replace(rig.RESOURCES, **changes)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at disks as often as at everything else."""
    for name in ("_EVERY", "_NEAR_EVERY", "_HURRIED_EVERY"):
        monkeypatch.setattr(disks, name, 0.05)


def looks() -> float:
    """Give how often instances were looked at."""
    return prometheus_client.REGISTRY.get_sample_value("codestudio_limit_look_seconds_count") or 0


LOOK = 0.1
"""Seconds between two looks."""


@pytest.fixture
async def runtime(tmp_path: Path, tiny: Path, stack_id: str) -> AsyncIterator[LocalRuntime]:
    """Give a runtime that looks often."""
    data = tmp_path / "data"
    async with rig.running(data, tiny, stack_id, stop_grace=1.0, look_every=LOOK) as running:
        yield running


def workspace(tmp_path: Path, name: str) -> Path:
    return tmp_path / "data" / "instances" / name / "workspace"


async def told(runtime: LocalRuntime, name: str, kind: Resource) -> str:
    """Wait for an event about a resource; gives its message."""
    found: list[str] = []

    def there() -> bool:
        found[:] = [one.message for one in runtime.limit_events(name) if one.resource is kind]
        return bool(found)

    await rig.until(there)
    return found[-1]


async def test_a_greedy_process_is_ended_and_the_editor_is_not(
    runtime: LocalRuntime, stack_id: str, port_base: int
) -> None:
    """Above its limit of memory the largest process ends, with a reason for people to read."""
    await runtime.apply(rig.spec("blue", port_base, sized(memory=200 * MIB), CHILD=GREEDY))
    ready = await rig.reach(runtime, "blue", Phase.READY)
    message = await told(runtime, "blue", Resource.MEMORY)
    assert message.startswith("Memory limit 200Mi exceeded (")
    assert "ended python" in message
    await rig.until(lambda: len(rig.members(stack_id)) == 1)
    workload = runtime.get("blue")
    assert workload is not None
    assert (workload.phase, workload.runtime_id) == (Phase.READY, ready.runtime_id)
    assert any(message in line for line in await runtime.logs("blue", 50))


async def test_memory_within_the_limit_is_left_alone(
    runtime: LocalRuntime, stack_id: str, port_base: int
) -> None:
    """What fits is not ended, and a raised limit counts at once."""
    child = "import time\nheld = bytearray(300 * 2**20)\nopen('ready', 'w').close()\n"
    child += "time.sleep(600)\n"
    await runtime.apply(rig.spec("blue", port_base, sized(memory=600 * MIB), CHILD=child))
    await rig.reach(runtime, "blue", Phase.READY)
    await rig.until(lambda: len(rig.members(stack_id)) == 2)
    measured = (await runtime.measure())["blue"]
    assert measured.processes == 2
    enough = looks() + 10
    await rig.until(lambda: looks() >= enough)
    assert not runtime.limit_events("blue")
    assert len(rig.members(stack_id)) == 2
    # The same process, now above a limit that was lowered while it runs.
    await runtime.apply(rig.spec("blue", port_base, sized(memory=100 * MIB), CHILD=child))
    await told(runtime, "blue", Resource.MEMORY)
    await rig.until(lambda: len(rig.members(stack_id)) == 1)


WRITER = """
import os, time
open('ready', 'w').close()
number = 0
while True:
    with open(f'file-{number}', 'wb') as file:
        file.write(os.urandom(2**20))
        file.flush()
    number += 1
    time.sleep(0.02)
"""


async def test_a_full_disk_stops_writes_until_files_are_removed(
    runtime: LocalRuntime, stack_id: str, port_base: int, tmp_path: Path
) -> None:
    """Over the limit nothing is written any more, nothing is lost, and removing helps at once."""
    small = sized(storage=20 * MIB)
    spec = rig.spec("blue", port_base, small, CHILD=WRITER)
    await runtime.apply(spec)
    await rig.reach(runtime, "blue", Phase.READY)
    assert "cannot write files" in await told(runtime, "blue", Resource.STORAGE)
    (storage,) = [
        one for one in runtime.enforcement("blue", small) if one.resource is Resource.STORAGE
    ]
    assert (storage.means, storage.limited) == (Means.PROCESS_LIMIT, True)
    place = workspace(tmp_path, "blue")
    # The writer, a Python, sees EFBIG and ends by it; what it wrote is all there.
    await rig.until(lambda: len(rig.members(stack_id)) == 1)
    files = sorted(place.glob("file-*"))
    assert sum(one.stat().st_size for one in files) >= 15 * MIB
    (root,) = rig.roots(stack_id)
    assert resource.prlimit(root.pid, resource.RLIMIT_FSIZE)[0] == 16 * MIB
    for one in files:
        one.unlink()
    await rig.until(lambda: resource.prlimit(root.pid, resource.RLIMIT_FSIZE)[0] == 20 * MIB)
    assert "writes go on" in await told(runtime, "blue", Resource.STORAGE)


async def test_a_huge_tree_holds_up_nobody_else(
    runtime: LocalRuntime,
    stack_id: str,
    port_base: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While one developer's files are walked all the time, all others are held and measured."""
    walk = Directories.walk
    closed = []

    def endless(directories: Directories) -> Generator[int]:
        if directories.root.name != "huge":
            yield from walk(directories)
            return
        try:
            while True:
                time.sleep(0.02)
                yield MIB
        finally:
            closed.append(directories)

    monkeypatch.setattr(Directories, "walk", endless)
    await runtime.apply(rig.spec("huge", port_base, sized(memory=200 * MIB), CHILD=GREEDY))
    small = sized(storage=20 * MIB)
    await runtime.apply(rig.spec("blue", port_base + 100, small, CHILD=WRITER))
    await rig.reach(runtime, "blue", Phase.READY)
    await told(runtime, "blue", Resource.STORAGE)
    await told(runtime, "huge", Resource.MEMORY)  # of itself only the disk is not known
    async with asyncio.timeout(20):
        measured = await runtime.measure()
    assert measured["blue"].storage > 20 * MIB
    assert measured["blue"].storage_at is not None
    assert measured["huge"].memory > MIB
    assert measured["huge"].storage >= MIB, "what was counted so far"
    assert measured["huge"].storage_at is None
    assert not closed
    await runtime.delete("huge")
    await rig.until(lambda: closed)
    assert rig.members(stack_id, "huge") == []


async def test_a_raised_limit_lets_writes_go_on(
    runtime: LocalRuntime, stack_id: str, port_base: int
) -> None:
    """A resize of a running instance counts at once, on the processes it has."""
    await runtime.apply(rig.spec("blue", port_base, sized(storage=20 * MIB), CHILD=WRITER))
    await rig.reach(runtime, "blue", Phase.READY)
    await told(runtime, "blue", Resource.STORAGE)
    await runtime.apply(rig.spec("blue", port_base, sized(storage=2**30), CHILD=WRITER))
    (root,) = rig.roots(stack_id)
    await rig.until(lambda: resource.prlimit(root.pid, resource.RLIMIT_FSIZE)[0] == 2**30)


async def test_one_file_stops_at_the_limit_at_once(
    runtime: LocalRuntime, port_base: int, tmp_path: Path, stack_id: str
) -> None:
    """A runaway file never grows above the whole limit, however fast it is written."""
    fast = "file = open('huge', 'wb')\nwhile True: file.write(bytes(2**20)); file.flush()\n"
    await runtime.apply(rig.spec("blue", port_base, sized(storage=30 * MIB), CHILD=fast))
    await rig.reach(runtime, "blue", Phase.READY)
    await rig.until(lambda: len(rig.members(stack_id)) == 1)
    assert (workspace(tmp_path, "blue") / "huge").stat().st_size <= 30 * MIB


async def test_a_shells_command_is_told_why(
    runtime: LocalRuntime, stack_id: str, port_base: int, tmp_path: Path
) -> None:
    """In a terminal over the limit a write fails in words, rm works, and the shell lives."""
    script = (
        "echo $$ > pid; while [ ! -e go ]; do sleep 0.05; done; "
        "head -c 100000 /dev/zero > more; echo $? > code; rm file-1; touch done; "
        "while [ ! -e on ]; do sleep 0.05; done; head -c 100000 /dev/zero > again; sleep 600"
    )
    # As in a terminal: interactive, with signals as a terminal's host leaves them.
    child = f"import subprocess\nsubprocess.run(['bash', '-ic', {script!r}], stdin=-3)\n"
    place = workspace(tmp_path, "blue")
    await runtime.apply(rig.spec("blue", port_base, sized(storage=10 * MIB), CHILD=child))
    await rig.reach(runtime, "blue", Phase.READY)
    # Until then it writes to its log, a file: over the limit that would end it.
    await rig.until(lambda: (place / "pid").exists() and (place / "pid").read_text())
    pid = int((place / "pid").read_text())
    (shell,) = (one for one in rig.members(stack_id) if one.pid == pid)
    (place / "file-1").write_bytes(os.urandom(12 * MIB))
    await told(runtime, "blue", Resource.STORAGE)
    await rig.until(lambda: resource.prlimit(shell.pid, resource.RLIMIT_FSIZE)[0] == 0)
    (place / "go").touch()
    await rig.until((place / "done").exists)
    assert not (place / "file-1").exists()
    assert (place / "more").stat().st_size == 0
    assert (place / "code").read_text() == "", "its status could be written to a file"
    await rig.until(lambda: "writes go on" in runtime.limit_events("blue")[-1].message)
    await rig.until(lambda: resource.prlimit(shell.pid, resource.RLIMIT_FSIZE)[0] == 10 * MIB)
    (place / "on").touch()
    await rig.until(lambda: (place / "again").exists() and (place / "again").stat().st_size)
    assert (place / "again").stat().st_size == 100_000
    assert procfs.is_alive(shell.identity)


async def test_many_processes_are_ended_newest_first(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """Above the number allowed the newest end; the editor stays."""
    many = "import subprocess, time\n"
    many += "for _ in range(30): subprocess.Popen(['sleep', '600'])\ntime.sleep(600)\n"
    policy = wards.Policy(most_processes=12, groups=False)
    async with rig.running(
        tmp_path / "data", tiny, stack_id, stop_grace=1, limits=policy, look_every=LOOK
    ) as held:
        await held.apply(rig.spec("blue", port_base, CHILD=many))
        ready = await rig.reach(held, "blue", Phase.READY)
        assert "ended the newest" in await told(held, "blue", Resource.PROCESSES)
        await rig.until(lambda: len(rig.members(stack_id)) <= 12)
        workload = held.get("blue")
        assert workload is not None
        assert workload.runtime_id == ready.runtime_id


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one processor only")
async def test_processors_follow_the_limit(
    runtime: LocalRuntime, stack_id: str, port_base: int
) -> None:
    """Below the whole machine an instance is confined, evenly; above it is not, live."""
    machine = os.sched_getaffinity(0)
    for slot, name in enumerate(("blue", "red")):
        await runtime.apply(rig.spec(name, port_base + 100 * slot, sized(cpu=500), TINY="busy"))
        await rig.reach(runtime, name, Phase.READY)

    def confined(name: str) -> set[int]:
        (root,) = [one for one in rig.roots(stack_id) if one.instance_id == name]
        threads = Path(f"/proc/{root.pid}/task").iterdir()
        return set().union(*(os.sched_getaffinity(int(one.name)) for one in threads))

    await rig.until(lambda: len(confined("blue")) == 1 and len(confined("red")) == 1)
    assert confined("blue") != confined("red")
    whole = sized(cpu=1000 * len(machine))
    await runtime.apply(rig.spec("blue", port_base, whole, TINY="busy"))
    await rig.until(lambda: confined("blue") == machine)
    (cpu,) = [one for one in runtime.enforcement("blue", whole) if one.resource is Resource.CPU]
    assert cpu.means is Means.NONE


def test_a_processs_own_smaller_limit_stays() -> None:
    """Who limits itself further is not let go; what we set before is ours to change."""
    with rig.sleeping() as pid:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (5 * MIB, prlimit.UNLIMITED))
        assert not prlimit.hold_file_size(pid, 10 * MIB, {0})
        assert resource.prlimit(pid, resource.RLIMIT_FSIZE)[0] == 5 * MIB
        assert prlimit.hold_file_size(pid, 0, {0})
        assert prlimit.hold_file_size(pid, 10 * MIB, {0})
        assert prlimit.hold_file_size(pid, 20 * MIB, {0, 10 * MIB})
        assert not prlimit.hold_file_size(pid, 20 * MIB, {0})
        assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (20 * MIB, prlimit.UNLIMITED)
    assert not prlimit.hold_file_size(2**22 - 1, 0, {0})
    assert prlimit.processors_of(2**22 - 1) == frozenset()
    assert not prlimit.hold_processors(2**22 - 1, {0})


async def test_a_restarted_service_goes_on_holding(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """Limits that another life of ours set are known as ours, and changed."""
    spec = rig.spec("blue", port_base, sized(storage=20 * MIB))
    async with rig.running(tmp_path / "data", tiny, stack_id, look_every=LOOK) as first:
        await first.apply(spec)
        await rig.reach(first, "blue", Phase.READY)
    (root,) = rig.roots(stack_id)
    assert resource.prlimit(root.pid, resource.RLIMIT_FSIZE)[0] == 20 * MIB
    async with rig.running(tmp_path / "data", tiny, stack_id, look_every=LOOK) as second:
        await second.apply(rig.spec("blue", port_base, sized(storage=40 * MIB)))
        await rig.until(lambda: resource.prlimit(root.pid, resource.RLIMIT_FSIZE)[0] == 40 * MIB)
        await second.stop("blue")
    assert procfs.look(root.pid) is None or not rig.members(stack_id)


async def test_a_real_editor_lives_on_a_full_disk(
    tmp_path: Path, real_editor: Path, stack_id: str, port_base: int
) -> None:
    """Over its limit it serves its pages, also when started so; a terminal's writes are stopped."""
    spec = rig.spec("blue", port_base, sized(storage=60 * MIB))
    place = workspace(tmp_path, "blue")

    async def page(path: str) -> bool:
        return await readiness.answers(port_base, path)

    async with rig.running(
        tmp_path / "data", real_editor, stack_id, stop_grace=5, look_every=LOOK
    ) as runtime:
        await runtime.apply(spec)
        await rig.reach(runtime, "blue", Phase.READY)
        (place / "big").write_bytes(os.urandom(70 * MIB))
        await told(runtime, "blue", Resource.STORAGE)
        assert await page("/healthz")
        assert await page("/?folder=" + str(place))
        await runtime.stop("blue")
        await runtime.apply(spec)
        ready = await rig.reach(runtime, "blue", Phase.READY)
        sizes = {prlimit.file_size(one.pid) for one in rig.members(stack_id)}
        assert sizes == {16 * MIB}, "the editor's own processes must be able to write a little"
        assert await page("/?folder=" + str(place))
        (place / "big").unlink()
        await rig.until(lambda: "writes go on" in runtime.limit_events("blue")[-1].message)
        await rig.until(
            lambda: {prlimit.file_size(one.pid) for one in rig.members(stack_id)} == {60 * MIB}
        )
        workload = runtime.get("blue")
        assert workload is not None
        assert workload.runtime_id == ready.runtime_id
        await runtime.stop("blue")
