"""Processes of a stack's programs, to be killed and held up."""

import os
import signal
import time

from services.devstack.stack import Stack

_SECONDS = 60.0


def pid(stack: Stack, program: str) -> int:
    """Give a program's process id; waits for it to have one, if it just restarts.

    Never 0, which to `os.kill` is the caller with all its kin.
    """
    deadline = time.monotonic() + _SECONDS
    while not (found := stack.pid(program)):
        assert time.monotonic() < deadline, f"{program} does not run"
        time.sleep(0.05)
    return found


def kill(stack: Stack, program: str) -> int:
    """End a program by kill -9; gives the process id it had."""
    victim = pid(stack, program)
    os.kill(victim, signal.SIGKILL)
    return victim
