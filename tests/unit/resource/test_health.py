"""When editors are asked whether they answer."""

import time
from unittest import mock

import pytest

from services.resource.runtimes.local.background import Background
from services.resource.runtimes.local.health import Checks
from services.resource.runtimes.local.procfs import Identity

FIFTY = {f"ada-{number}": (Identity(number, 1, "boot"), 8000) for number in range(50)}


def test_the_checks_of_a_fleet_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """One each an interval, never many at a time: not at the start, nor when it is shortened."""
    clock, every = 1000.0, 30.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    checks = Checks(
        ready=lambda: FIFTY,
        editor_command="",
        every=lambda: every,
        background=Background(),
        on_change=mock.Mock(),
    )
    for every, ticks in ((30.0, 60), (10.0, 20)):
        assert checks._due(FIFTY) == []
        asked = []
        for _ in range(ticks):
            clock += 1
            asked.append(checks._due(FIFTY))
        names = [name for due in asked for name in due]
        assert sorted(names) == sorted([*FIFTY, *FIFTY])
        assert max(map(len, asked)) <= 3 * 50 / every + 3
