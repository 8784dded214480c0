import asyncio
import os
import signal
from pathlib import Path

import pytest

from services.chassis import errors
from services.resource.runtimes.local import LocalRuntime, procfs
from services.resource.workload import Phase
from tests.integration.resource import rig


async def test_a_workload_starts_stops_and_starts_again(
    runtime: LocalRuntime, stack_id: str, port_base: int
) -> None:
    """It is READY when it answers, STOPPED when nothing of it runs, and its disk stays."""
    started = await runtime.apply(rig.spec("blue", port_base))
    assert started.phase is Phase.STARTING
    assert started.paths_ready
    ready = await rig.reach(runtime, "blue", Phase.READY)
    assert ready.endpoint == f"127.0.0.1:{port_base}"
    assert ready.ready_time is not None
    stopped = await runtime.stop("blue")
    assert (stopped.phase, stopped.endpoint) == (Phase.STOPPED, "")
    assert rig.members(stack_id) == []
    assert stopped.paths_ready
    await runtime.apply(rig.spec("blue", port_base))
    await rig.reach(runtime, "blue", Phase.READY)


async def test_applying_again_leaves_it_alone(
    runtime: LocalRuntime, stack_id: str, port_base: int
) -> None:
    """Neither the same nor a new environment costs a developer the running editor."""
    await runtime.apply(rig.spec("blue", port_base))
    first = await rig.reach(runtime, "blue", Phase.READY)
    again = await runtime.apply(rig.spec("blue", port_base))
    assert again == first
    other = await runtime.apply(rig.spec("blue", port_base, NEW="1"))
    assert other.runtime_id == first.runtime_id
    assert other.spec is not None
    assert first.spec is not None
    assert other.spec.fingerprint != first.spec.fingerprint
    assert (first.at_next_start, other.at_next_start) == ((), ("environment",))
    assert len(rig.roots(stack_id)) == 1
    back = await runtime.apply(rig.spec("blue", port_base))
    assert back.at_next_start == ()
    await runtime.apply(rig.spec("blue", port_base, NEW="1"))
    assert (await runtime.stop("blue")).at_next_start == ()
    await runtime.apply(rig.spec("blue", port_base, NEW="1"))
    assert (await rig.reach(runtime, "blue", Phase.READY)).at_next_start == ()


async def test_another_port_moves_it(runtime: LocalRuntime, stack_id: str, port_base: int) -> None:
    """A running editor cannot change its port, so it is restarted."""
    await runtime.apply(rig.spec("blue", port_base))
    first = await rig.reach(runtime, "blue", Phase.READY)
    await runtime.apply(rig.spec("blue", port_base + 100))
    second = await rig.reach(runtime, "blue", Phase.READY)
    assert second.endpoint == f"127.0.0.1:{port_base + 100}"
    assert second.runtime_id != first.runtime_id
    assert len(rig.roots(stack_id)) == 1


async def test_many_callers_start_one(runtime: LocalRuntime, stack_id: str, port_base: int) -> None:
    """Racing calls for one instance start one editor."""
    spec = rig.spec("blue", port_base)
    await asyncio.gather(*(runtime.apply(spec) for _ in range(10)))
    await rig.reach(runtime, "blue", Phase.READY)
    assert len(rig.roots(stack_id)) == 1


async def test_a_caller_that_hangs_up_leaves_nothing_half_done(
    runtime: LocalRuntime, stack_id: str, port_base: int
) -> None:
    """What was begun is finished, however soon the caller goes."""
    for number in range(5):
        call = asyncio.create_task(runtime.apply(rig.spec(f"blue-{number}", port_base)))
        await asyncio.sleep(0.002 * number)
        call.cancel()
        await asyncio.wait([call])
        await runtime.stop(f"blue-{number}")
        assert rig.members(stack_id, f"blue-{number}") == []


async def test_stop_while_starting(runtime: LocalRuntime, stack_id: str, port_base: int) -> None:
    """An editor that never answers can be stopped."""
    await runtime.apply(rig.spec("blue", port_base, TINY="never"))
    assert (await runtime.stop("blue")).phase is Phase.STOPPED
    assert rig.members(stack_id) == []


async def test_nothing_survives_a_stop(
    runtime: LocalRuntime, stack_id: str, port_base: int
) -> None:
    """An editor, and an orphan in a session of its own, that ignore SIGTERM are killed."""
    await runtime.apply(rig.spec("blue", port_base, TINY="stubborn"))
    await rig.reach(runtime, "blue", Phase.READY)
    await rig.until(lambda: len(rig.members(stack_id)) == 2)
    await runtime.stop("blue")
    assert rig.members(stack_id) == []


async def test_death_is_told_at_once_and_cleaned_up(
    runtime: LocalRuntime, stack_id: str, port_base: int
) -> None:
    """An editor that is killed is EXITED with its signal, and what it left is ended."""
    await runtime.apply(rig.spec("blue", port_base, TINY="stubborn"))
    await rig.reach(runtime, "blue", Phase.READY)
    await rig.until(lambda: len(rig.members(stack_id)) == 2)
    (root,) = rig.roots(stack_id)
    os.kill(root.pid, signal.SIGKILL)
    exited = await rig.reach(runtime, "blue", Phase.EXITED)
    assert exited.exit_code == -signal.SIGKILL
    assert exited.failure is not None
    assert exited.failure.code == "EDITOR_EXITED"
    await rig.until(lambda: not rig.members(stack_id))
    await runtime.apply(rig.spec("blue", port_base))
    await rig.reach(runtime, "blue", Phase.READY)


async def test_a_restart_waits_for_what_the_dead_editor_left(
    runtime: LocalRuntime, stack_id: str, port_base: int
) -> None:
    """Applied the moment its death is told, it gets its own port: nobody else has it."""
    for _ in range(5):
        await runtime.apply(rig.spec("blue", port_base, TINY="heir"))
        await rig.reach(runtime, "blue", Phase.READY)
        await rig.until(lambda: len(rig.members(stack_id)) == 2)
        (root,) = rig.roots(stack_id)
        os.kill(root.pid, signal.SIGKILL)
        await rig.reach(runtime, "blue", Phase.EXITED)
    await runtime.apply(rig.spec("blue", port_base))
    await rig.reach(runtime, "blue", Phase.READY)


async def test_an_editor_that_fails_says_why(runtime: LocalRuntime, port_base: int) -> None:
    """Its exit status and last words are kept, and its log can be read."""
    await runtime.apply(rig.spec("blue", port_base, TINY="fails"))
    exited = await rig.reach(runtime, "blue", Phase.EXITED)
    assert exited.exit_code == 1
    assert exited.failure is not None
    assert exited.failure.code == "EDITOR_NOT_STARTED"
    assert "cannot go on" in exited.failure.message
    assert list(await runtime.logs("blue", 1)) == ["cannot go on"]


async def test_a_port_that_is_taken_is_told(
    runtime: LocalRuntime, stack_id: str, port_base: int
) -> None:
    """Nothing is started beside a foreign listener, and the code says that another port helps."""
    with rig.listening(port_base), pytest.raises(errors.FailedPrecondition) as caught:
        await runtime.apply(rig.spec("blue", port_base))
    assert caught.value.code == "PORT_IN_USE"
    workload = runtime.get("blue")
    assert workload is not None
    assert workload.phase is Phase.EXITED
    assert workload.failure is not None
    assert workload.failure.code == "PORT_IN_USE"
    assert rig.members(stack_id) == []


async def test_a_port_lost_while_starting_is_told(runtime: LocalRuntime, port_base: int) -> None:
    """A foreign listener that comes first is never taken for the editor."""
    await runtime.apply(rig.spec("blue", port_base, TINY="slow"))

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port_base):
        exited = await rig.reach(runtime, "blue", Phase.EXITED, Phase.READY)
    assert exited.phase is Phase.EXITED
    assert exited.failure is not None
    assert exited.failure.code == "PORT_IN_USE"


async def test_without_an_editor(tmp_path: Path, stack_id: str, port_base: int) -> None:
    """The refusal names the cause, and an editor installed later is found without a restart."""
    command = tmp_path / "tiny-editor"
    async with rig.running(tmp_path / "data", command, stack_id) as runtime:
        with pytest.raises(errors.FailedPrecondition) as caught:
            await runtime.apply(rig.spec("blue", port_base))
        assert caught.value.code == "EDITOR_NOT_INSTALLED"
        assert str(command) in caught.value.message
        workload = runtime.get("blue")
        assert workload is not None
        assert workload.phase is Phase.EXITED
        rig.tiny_editor(tmp_path)
        await runtime.apply(rig.spec("blue", port_base))
        await rig.reach(runtime, "blue", Phase.READY)


async def test_directories_that_cannot_be_made(
    runtime: LocalRuntime, tmp_path: Path, port_base: int
) -> None:
    """A file in their place is told, not a stack trace."""
    (tmp_path / "data" / "instances").mkdir(parents=True, exist_ok=True)
    (tmp_path / "data" / "instances" / "blue").write_text("in the way")
    with pytest.raises(errors.FailedPrecondition) as caught:
        await runtime.apply(rig.spec("blue", port_base))
    assert caught.value.code == "PATHS_UNAVAILABLE"


async def test_directories_that_are_not_to_be_made(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """Without AUTO_CREATE_PATHS a start says which is missing, and makes none."""
    allowed = False
    async with rig.running(tmp_path, tiny, stack_id, auto_create_paths=lambda: allowed) as runtime:
        spec = rig.spec("fox", port_base)
        for name in ("user-data", "extensions", "workspace", "logs", "temp"):
            missing = tmp_path / "instances" / "fox" / name
            with pytest.raises(errors.FailedPrecondition) as refused:
                await runtime.apply(spec)
            assert refused.value.code == "PATHS_UNAVAILABLE"
            assert f"{missing} of fox is missing" in refused.value.message
            assert not missing.exists()
            missing.mkdir(parents=True)
        await runtime.apply(spec)
        await rig.reach(runtime, "fox", Phase.READY)
        await runtime.delete("fox")
        allowed = True
        await runtime.apply(spec)
        await rig.reach(runtime, "fox", Phase.READY)
        await runtime.stop("fox")


async def test_delete_takes_everything_away(
    runtime: LocalRuntime, tmp_path: Path, stack_id: str, port_base: int
) -> None:
    """Process, directories and record are gone; again, and for one that never was, it is quiet."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    await runtime.apply(rig.spec("blue", port_base))
    await rig.reach(runtime, "blue", Phase.READY)
    home = tmp_path / "data" / "instances" / "blue"
    (home / "workspace" / "link").symlink_to(outside)
    with runtime.changes.watch() as watcher:
        await runtime.delete("blue")
        assert "blue" in await watcher.wait(1)
    assert runtime.get("blue") is None
    assert not home.exists()
    assert rig.members(stack_id) == []
    assert outside.read_text() == "precious"
    assert list((tmp_path / "data" / "workloads").glob("*.json")) == []
    await runtime.delete("blue")
    await rig.until(lambda: not list((home.parent / ".trash").iterdir()))


async def test_stopping_what_never_was(runtime: LocalRuntime) -> None:
    """It is stopped already, and no trace of it is made."""
    assert (await runtime.stop("blue")).phase is Phase.STOPPED
    assert runtime.get("blue") is None


async def test_editors_outlive_the_runtime(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """The next life takes over the same processes, tells their end, and can stop them."""
    data = tmp_path / "data"
    async with rig.running(data, tiny, stack_id) as runtime:
        for number in range(3):
            await runtime.apply(rig.spec(f"i-{number}", port_base + 100 * number))
        before = [await rig.reach(runtime, f"i-{number}", Phase.READY) for number in range(3)]
    async with rig.running(data, tiny, stack_id) as runtime:
        assert list(runtime.list()) == before
        root = next(one for one in rig.roots(stack_id) if one.instance_id == "i-0")
        os.kill(root.pid, signal.SIGKILL)
        assert (await rig.reach(runtime, "i-0", Phase.EXITED)).failure is not None
        assert (await runtime.stop("i-1")).phase is Phase.STOPPED
        assert {one.instance_id for one in rig.members(stack_id)} == {"i-2"}


async def test_what_ended_meanwhile_is_told(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """An editor that died while nobody watched is EXITED."""
    data = tmp_path / "data"
    async with rig.running(data, tiny, stack_id) as runtime:
        await runtime.apply(rig.spec("blue", port_base))
        await rig.reach(runtime, "blue", Phase.READY)
    rig.kill_all(stack_id)
    async with rig.running(data, tiny, stack_id) as runtime:
        workload = runtime.get("blue")
        assert workload is not None
        assert workload.phase is Phase.EXITED


async def test_strays_are_ended(stack_id: str, tmp_path: Path, tiny: Path) -> None:
    """An editor with our marker of which nobody knows is ended at the next start of ours."""
    stray = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        'CODESTUDIO_WORKLOAD="$CODESTUDIO_WORKLOAD/$$"; exec sleep 600',
        env={"CODESTUDIO_WORKLOAD": f"{stack_id}/blue", "PATH": os.environ["PATH"]},
        start_new_session=True,
    )
    assert len(rig.members(stack_id)) == 1
    async with rig.running(tmp_path / "data", tiny, stack_id):
        assert await asyncio.wait_for(stray.wait(), 10) == -signal.SIGTERM


@pytest.mark.usefixtures("runtime")
async def test_a_second_runtime_waits_for_the_first(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """Two services never act on one set of processes."""
    second = LocalRuntime(
        container_root=tmp_path / "data", stack_id=stack_id, editor_command=str(tiny), stop_grace=1
    )
    task = asyncio.create_task(second.run())
    try:
        await asyncio.sleep(0.3)
        assert not second.is_ready
        with pytest.raises(errors.Unavailable):
            await second.apply(rig.spec("blue", port_base))
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_usage_is_measured(runtime: LocalRuntime, tmp_path: Path, port_base: int) -> None:
    """Processes, memory, CPU and disk of a running instance; only the disk of a stopped one."""
    for number in range(2):
        await runtime.apply(rig.spec(f"i-{number}", port_base + 100 * number))
        await rig.reach(runtime, f"i-{number}", Phase.READY)
    (tmp_path / "data" / "instances" / "i-0" / "workspace" / "big").write_bytes(b"x" * 2**20)
    await runtime.stop("i-1")
    measured = dict(await runtime.measure())
    assert measured["i-0"].processes == 1
    assert measured["i-0"].memory > 2**20
    assert measured["i-0"].cpu_cores > 0
    assert (measured["i-1"].processes, measured["i-1"].memory) == (0, 0)

    async def all_known() -> bool:
        measured.update(await runtime.measure())
        return all(one.storage_at is not None for one in measured.values())

    await rig.eventually(all_known)
    assert measured["i-0"].storage >= 2**20
    assert measured["i-1"].storage > 0
    assert procfs.TICKS > 0


async def test_editors_start_in_turn(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """While one does not answer the next waits, its process there; then it has its turn."""
    async with rig.running(
        tmp_path / "data", tiny, stack_id, stop_grace=1.0, starts_at_once=1
    ) as runtime:
        await runtime.apply(rig.spec("first", port_base, TINY="never"))
        second = await runtime.apply(rig.spec("second", port_base + 100))
        assert second.phase is Phase.STARTING
        assert {one.instance_id for one in rig.roots(stack_id)} == {"first", "second"}
        await rig.until(lambda: _log(tmp_path, "first"))
        assert not _log(tmp_path, "second")
        await runtime.stop("first")
        await rig.reach(runtime, "second", Phase.READY)


async def test_who_waits_for_its_turn_can_be_stopped(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """At once, and without having begun; the turn goes to the next."""
    async with rig.running(
        tmp_path / "data", tiny, stack_id, stop_grace=5.0, starts_at_once=1
    ) as runtime:
        await runtime.apply(rig.spec("first", port_base, TINY="never"))
        await runtime.apply(rig.spec("second", port_base + 100))
        await runtime.apply(rig.spec("third", port_base + 200))
        async with asyncio.timeout(2):
            assert (await runtime.stop("second")).phase is Phase.STOPPED
        assert not _log(tmp_path, "second")
        await runtime.stop("first")
        await rig.reach(runtime, "third", Phase.READY)


async def test_who_waits_for_its_turn_survives_us(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """When the runtime ends, what waits begins; the next runtime finds it ready."""
    async with rig.running(
        tmp_path / "data", tiny, stack_id, stop_grace=1.0, starts_at_once=1
    ) as runtime:
        await runtime.apply(rig.spec("first", port_base, TINY="never"))
        waiting = await runtime.apply(rig.spec("second", port_base + 100))
    async with rig.running(tmp_path / "data", tiny, stack_id, stop_grace=1.0) as runtime:
        ready = await rig.reach(runtime, "second", Phase.READY)
        assert ready.runtime_id == waiting.runtime_id


def _log(root: Path, instance_id: str) -> str:
    """Read what an instance's editor wrote; empty before its first line."""
    logs = root / "data" / "instances" / instance_id / "logs"
    return "".join(path.read_text() for path in logs.glob("*"))
