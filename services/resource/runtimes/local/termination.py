"""Ends everything an instance started: politely, then by force, until nothing is left."""

import asyncio
import signal
import time
from collections.abc import Collection

import structlog

from services.resource.runtimes.local import procfs
from services.resource.runtimes.local.procfs import Identity, Process

_log = structlog.get_logger(__name__)

_FIRST_LOOK = 0.01
_LAST_LOOK = 0.2
_KILL_ROUNDS = 50


async def end_instance(
    stack_id: str, instance_id: str, root: Identity | None, grace: float
) -> None:
    """End the processes of an instance and return when none is left.

    Terminals have sessions of their own, so signalling the editor's process group would miss
    them: everything is found by marker and by descent, and signalled one by one. What has not
    ended `grace` seconds after SIGTERM gets SIGKILL, and so does whatever appears meanwhile.
    """
    members = await _find(stack_id, instance_id, root)
    for process in members:
        procfs.send(process.identity, signal.SIGTERM)
    await _wait([process.identity for process in members], grace)
    for round_ in range(_KILL_ROUNDS):
        # Found anew: terminals' children may have been born, or orphaned, in between.
        found = {process.identity for process in await _find(stack_id, instance_id, root)}
        found |= {process.identity for process in members if procfs.is_alive(process.identity)}
        if not found:
            return
        for identity in found:
            procfs.send(identity, signal.SIGKILL)
        await _wait(found, 0.1 * (round_ + 1))
    # Only a process the kernel itself holds (uninterruptible I/O) survives SIGKILL.
    _log.error("processes do not end when killed", instance_id=instance_id)


async def _find(stack_id: str, instance_id: str, root: Identity | None) -> list[Process]:
    pid = root.pid if root is not None and procfs.is_alive(root) else None

    def search() -> list[Process]:
        return procfs.of_instance(procfs.read_table(), stack_id, instance_id, pid)

    return await asyncio.to_thread(search)


async def _wait(identities: Collection[Identity], seconds: float) -> None:
    """Wait until these have ended, at most so long; looks less often as time goes by."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_LOOK
    while any(procfs.is_alive(identity) for identity in identities):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        await asyncio.sleep(min(pause, left))
        pause = min(_LAST_LOOK, pause * 1.5)
