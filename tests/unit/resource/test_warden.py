"""Instances come and go while all are looked at."""

import asyncio
import contextlib
import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.resource.limits import Resource
from services.resource.runtimes.local import LocalRuntime, procfs, wards
from services.resource.runtimes.local.cgroups import Groups
from services.resource.runtimes.local.directories import InstanceRoot
from services.resource.runtimes.local.disks import Disks, Found
from services.resource.runtimes.local.warden import Warden
from services.resource.workload import Resources
from tests import counted

MIB = 2**20
LIMITS = Resources(1000, 512 * MIB, 1)
"""Less disk than its empty directories have."""


@pytest.fixture
def held() -> Iterator[wards.Held]:
    """Give a process of our own that may be limited."""
    with subprocess.Popen(["sleep", "60"]) as process:
        found = procfs.look(process.pid)
        assert found is not None
        yield wards.Held(found.identity, LIMITS, True)
        process.kill()


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    """Know the disk of two instances."""
    root = InstanceRoot(tmp_path)
    found = Disks(root)
    for name in ("green", "red"):
        root.of(name).create()
        found.used(name)
        assert found.turn()
    return found


@pytest.fixture
def warden(tmp_path: Path, disks: Disks) -> Warden:
    policy = wards.Policy(groups=False)
    return Warden(stack_id="test", root=InstanceRoot(tmp_path), disks=disks, policy=policy)


@pytest.fixture
def _gone_meanwhile(warden: Warden, disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be forgotten after it was measured, before anything is told of it."""
    measured = disks.used

    def used(instance_id: str, *, limit: int = 0, hurried: bool = False) -> Found:
        found = measured(instance_id, limit=limit, hurried=hurried)
        warden.forget(instance_id)
        return found

    monkeypatch.setattr(disks, "used", used)


@pytest.mark.usefixtures("_gone_meanwhile")
def test_one_may_go_while_it_is_looked_at(warden: Warden, held: wards.Held) -> None:
    """The look goes on, and nothing of it is left for the next of that name."""
    warden.look({"red": held})
    assert warden.events("red") == []
    assert not any(one.limited for one in warden.enforcement("red", LIMITS))


def test_one_that_is_gone_does_not_come_back(warden: Warden, held: wards.Held) -> None:
    """A look that began with it in hand remembers nothing of it."""
    warden.look({"red": held})
    assert [one.resource for one in warden.events("red")] == [Resource.STORAGE]
    running = {"red": held}
    warden.forget("red")
    assert warden.events("red") == []
    warden.look(running)
    assert warden.events("red") == []
    warden.forget("red")
    warden.admit("red", LIMITS, held.root)
    warden.look(running)
    assert len(warden.events("red")) == 1, "another of that name is not held"


def test_what_one_reached_is_not_told_of_the_next_of_its_name(
    warden: Warden, held: wards.Held, tmp_path: Path
) -> None:
    """Its control group may outlive it until the next look, and what that has counted."""
    group = tmp_path / "groups" / "red"
    group.mkdir(parents=True)
    roomy = dataclasses.replace(held, limits=Resources(1000, 512 * MIB, MIB))
    warden._groups = Groups(group.parent, ("memory", "pids"))
    warden.admit("red", roomy.limits, held.root)
    (group / "memory.events").write_text("oom_kill 3\n")
    warden.look({"red": roomy})
    assert [one.resource for one in warden.events("red")] == [Resource.MEMORY]
    warden.forget("red")
    warden.admit("red", roomy.limits, held.root)
    warden.look({"red": roomy})
    assert warden.events("red") == []
    (group / "memory.events").write_text("oom_kill 4\n")
    warden.look({"red": roomy})
    assert "ended 1 of" in warden.events("red")[0].message


@pytest.mark.parametrize("broken", ["green", "red"])
def test_an_error_on_one_ends_the_look_at_no_other(
    warden: Warden,
    disks: Disks,
    held: wards.Held,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whichever it is: the others are held; it is counted each time, and told once."""
    measured = disks.used
    works = False

    def used(instance_id: str, *, limit: int = 0, hurried: bool = False) -> Found:
        if instance_id == broken and not works:
            raise KeyError(instance_id)
        return measured(instance_id, limit=limit, hurried=hurried)

    monkeypatch.setattr(disks, "used", used)
    other = "red" if broken == "green" else "green"
    before = counted.value("codestudio_limit_instances_failed_total")
    for _ in range(3):
        warden.look({"green": held, "red": held})
    assert [one.resource for one in warden.events(other)] == [Resource.STORAGE]
    assert warden.events(broken) == []
    assert counted.value("codestudio_limit_instances_failed_total") == before + 3
    works = True
    warden.look({"green": held, "red": held})
    assert [one.resource for one in warden.events(broken)] == [Resource.STORAGE]
    assert counted.value("codestudio_limit_instances_failed_total") == before + 3
    assert capsys.readouterr().out.count("limits of one instance were not looked at") == 1


async def test_a_look_that_fails_is_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong with one look: it is counted, and limits stay in force."""
    runtime = LocalRuntime(
        container_root=tmp_path,
        stack_id=f"test-{os.getpid()}",
        editor_command="true",
        stop_grace=1,
        look_every=0.01,
        limits=wards.Policy(groups=False),
    )
    looks = 0
    seen_again = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look(_: object) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise KeyError("red")
        loop.call_soon_threadsafe(seen_again.set)

    monkeypatch.setattr(runtime._warden, "look", look)
    before = counted.value("codestudio_limit_looks_failed_total")
    task = asyncio.create_task(runtime.run())
    try:
        async with asyncio.timeout(30):
            await seen_again.wait()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert counted.value("codestudio_limit_looks_failed_total") == before + 1
