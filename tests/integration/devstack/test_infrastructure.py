"""The supervised infrastructure alone: real Valkey, NATS and Mongo-wire server."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pymongo
import pytest
import redis

from services.devstack import ports, processes, waiting
from services.devstack.stack import Stack
from tests import programs

HEAL_SECONDS = 15.0


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[[], Stack]]:
    """Make stacks of the infrastructure in one data directory; what runs is stopped after."""
    offset = ports.free_offset()
    stacks: list[Stack] = []

    def make() -> Stack:
        stacks.append(Stack(tmp_path / "s", port_offset=offset, services=(), gateway=False))
        return stacks[-1]

    yield make
    for stack in stacks:
        stack.down()


@pytest.fixture
def stack(build: Callable[[], Stack]) -> Stack:
    running = build()
    assert running.up()
    return running


def _until(condition: Callable[[], bool], what: str, timeout: float = HEAL_SECONDS) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)


@pytest.fixture
def spawn() -> Iterator[Callable[[str], psutil.Process]]:
    """Start processes marked as a stack's, in sessions of their own as editors are."""
    with contextlib.ExitStack() as started:

        def start(stack_id: str) -> psutil.Process:
            environment = {**os.environ, processes.STACK_MARKER: stack_id}
            process = started.enter_context(
                subprocess.Popen(("sleep", "600"), env=environment, start_new_session=True)
            )
            started.callback(process.kill)
            return psutil.Process(process.pid)

        yield start


@pytest.mark.parametrize("program", ["valkey", "nats", "mongo"])
def test_a_killed_program_comes_back(stack: Stack, program: str) -> None:
    """A program ended by kill -9 is followed by a new, healthy process within seconds."""
    victim = programs.kill(stack, program)
    _until(lambda: stack.pid(program) not in (0, victim), f"{program} has a new process")
    stack.wait_healthy([program], HEAL_SECONDS)


def test_a_program_killed_again_and_again_is_never_given_up(stack: Stack) -> None:
    """Death right after every start delays the next start, and never ends the trying."""
    for _ in range(4):
        victim = programs.kill(stack, "valkey")
        _until(lambda v=victim: stack.pid("valkey") not in (0, v), "valkey has a new process")
    stack.wait_healthy(["valkey"], HEAL_SECONDS)


def test_acknowledged_data_outlives_kill_and_restart(
    stack: Stack, build: Callable[[], Stack]
) -> None:
    """What a database acknowledged is there after kill -9, and after down and up."""
    with redis.Redis.from_url(stack.plan.redis_url) as client:
        client.set("kept", "yes")
    url = stack.plan.mongodb_url
    with pymongo.MongoClient[dict[str, object]](url, directConnection=True) as mongo:
        mongo["codestudio"]["things"].insert_one({"_id": "kept"})
    for program in ("valkey", "mongo"):
        programs.kill(stack, program)
        stack.wait_healthy([program], HEAL_SECONDS)
    assert stack.down()
    again = build()
    again.up()
    with redis.Redis.from_url(again.plan.redis_url, decode_responses=True) as client:
        assert client.get("kept") == "yes"
    with pymongo.MongoClient[dict[str, object]](url, directConnection=True) as mongo:
        assert mongo["codestudio"]["things"].find_one({"_id": "kept"}) == {"_id": "kept"}


def test_down_ends_all_of_this_stack_and_nothing_else(
    stack: Stack, spawn: Callable[[str], psutil.Process]
) -> None:
    """After `down` no process of the stack is left, editors included; others live on."""
    stack_id = stack.plan.stack_id
    outsider, editor = spawn("another"), spawn(stack_id)
    assert [process.pid for process in stack.editors()] == [editor.pid]
    assert len(processes.of_stack(stack_id)) >= 5
    table = stack.plan.ports.table(())
    assert stack.down()
    assert processes.of_stack(stack_id) == []
    assert not editor.is_running()
    assert outsider.is_running()
    assert ports.taken(table) == []
    assert not stack.down()


def test_a_second_up_finds_the_stack_running(stack: Stack, build: Callable[[], Stack]) -> None:
    """`up` on a running stack changes nothing and says so."""
    before = stack.states()
    assert not build().up()
    assert {name: pid for name, (_, pid) in stack.states().items()} == {
        name: pid for name, (_, pid) in before.items()
    }


def test_a_killed_supervisor_is_replaced_and_editors_live_on(
    stack: Stack, build: Callable[[], Stack], spawn: Callable[[str], psutil.Process]
) -> None:
    """`up` after the supervisor died clears its orphans and leaves editors to be adopted."""
    editor = spawn(stack.plan.stack_id)
    orphan = stack.pid("valkey")
    supervisor = psutil.Process(int(stack.layout.supervisor_pid.read_text()))
    supervisor.kill()
    supervisor.wait(10)
    assert psutil.pid_exists(orphan)
    fresh = build()
    assert fresh.up()
    assert fresh.pid("valkey") != orphan
    assert editor.is_running()


def test_down_after_the_supervisor_was_killed(stack: Stack) -> None:
    """What a dead supervisor left running is found by its marker and ended."""
    stack_id = stack.plan.stack_id
    supervisor = psutil.Process(int(stack.layout.supervisor_pid.read_text()))
    supervisor.kill()
    supervisor.wait(10)
    assert len(processes.of_stack(stack_id)) == 3
    assert stack.down()
    assert processes.of_stack(stack_id) == []


def test_one_program_can_be_stopped_and_started(stack: Stack) -> None:
    """A stopped program stays stopped until it is started again."""
    stack.stop("valkey")
    assert stack.pid("valkey") == 0
    with pytest.raises(redis.ConnectionError), redis.Redis.from_url(stack.plan.redis_url) as client:
        client.ping()
    stack.start("valkey")
    assert stack.pid("valkey") != 0


def test_a_program_that_keeps_ending_fails_the_start(build: Callable[[], Stack]) -> None:
    """The error names the program, its last words and its log, and nothing is left running."""
    broken = build()
    broken.layout.create()
    (broken.layout.data / "valkey" / "appendonlydir").write_text("in the way")
    with pytest.raises(waiting.NotHealthyError) as caught:
        broken.up()
    assert "valkey keeps ending" in str(caught.value)
    assert "appendonlydir" in str(caught.value)
    assert str(broken.layout.logs / "valkey.log") in str(caught.value)
    assert not broken.running
    assert ports.taken(broken.plan.ports.table(())) == []
