"""Editors that stop answering while they run, and answer again."""

import signal
from pathlib import Path

from services.resource.runtimes.local import LocalRuntime, procfs
from services.resource.workload import Phase
from tests import counted
from tests.integration.resource import rig

EVERY = 0.2


def _checks(outcome: str) -> float:
    return counted.value("codestudio_editor_health_checks_total", outcome=outcome)


def _signal(stack_id: str, name: str, number: int) -> None:
    for one in rig.members(stack_id, name):
        procfs.send(one.identity, signal.Signals(number))


async def _health(runtime: LocalRuntime, name: str, *, responding: bool) -> None:
    """Wait until it is announced that an editor answers, or does not."""
    with runtime.changes.watch() as watcher:
        while (known := runtime.health(name)) is None or known.responding is not responding:
            assert await watcher.wait(10), "nothing is announced"


async def test_an_editor_that_is_silent_is_told_and_left_alone(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """After three checks in a row, from the first of them; its neighbour's are not held up.

    A service just started knows nothing, and counts anew.
    """
    data = tmp_path / "data"
    async with rig.running(data, tiny, stack_id, health_every=lambda: EVERY) as runtime:
        for place, name in enumerate(("blue", "green")):
            await runtime.apply(rig.spec(name, port_base + 100 * place))
            await rig.reach(runtime, name, Phase.READY)
            await _health(runtime, name, responding=True)
        before = runtime.get("blue")
        first, failed = runtime.health("blue"), _checks("failed")
        _signal(stack_id, "blue", signal.SIGSTOP)
        await _health(runtime, "blue", responding=False)
        silent = runtime.health("blue")
        assert first is not None
        assert silent is not None
        assert _checks("failed") - failed == 3
        assert silent.since > first.since
        answered = _checks("answered")
        await rig.until(lambda: _checks("answered") >= answered + 3)
        assert counted.value("codestudio_editors_not_responding") == 1
        assert runtime.get("blue") == before
    async with rig.running(data, tiny, stack_id, health_every=lambda: EVERY) as runtime:
        assert runtime.health("blue") is None
        failed = _checks("failed")
        await _health(runtime, "blue", responding=False)
        assert _checks("failed") - failed == 3
        _signal(stack_id, "blue", signal.SIGCONT)
        await _health(runtime, "blue", responding=True)
        assert runtime.get("blue") == before
        _signal(stack_id, "blue", signal.SIGSTOP)
        await _health(runtime, "blue", responding=False)
        _signal(stack_id, "blue", signal.SIGCONT)
        await runtime.stop("blue")
        await rig.until(lambda: runtime.health("blue") is None)


async def test_one_missed_check_tells_nothing_and_the_interval_is_live(
    tmp_path: Path, tiny: Path, stack_id: str, port_base: int
) -> None:
    """Silent for less than three checks is nothing to tell; another interval counts at once."""
    every = 3600.0
    data = tmp_path / "data"
    async with rig.running(data, tiny, stack_id, health_every=lambda: every) as runtime:
        await runtime.apply(rig.spec("blue", port_base))
        await rig.reach(runtime, "blue", Phase.READY)
        every = EVERY
        await _health(runtime, "blue", responding=True)
        first, failed = runtime.health("blue"), _checks("failed")
        _signal(stack_id, "blue", signal.SIGSTOP)
        await rig.until(lambda: _checks("failed") > failed)
        _signal(stack_id, "blue", signal.SIGCONT)
        answered = _checks("answered")
        await rig.until(lambda: _checks("answered") > answered)
        assert runtime.health("blue") == first
