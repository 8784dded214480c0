"""One editor process: started by us or found running, and watched until it ends."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.resource.runtimes.local import procfs
from services.resource.runtimes.local.procfs import Identity

# The shell replaces itself, so its pid is the editor's: it completes the marker by which the
# editor is told from its children for ever after. And a machine short of memory shall kill an
# editor before what all editors depend on.
_LAUNCHER = (
    f'{procfs.WORKLOAD_MARKER}="${procfs.WORKLOAD_MARKER}/$$"; '
    '{ echo 500 >/proc/self/oom_score_adj; } 2>/dev/null; exec "$0" "$@"'
)


class EditorProcess:
    """An editor that runs; `exited` is done when it has ended.

    Must be made inside a running event loop.
    """

    def __init__(self, identity: Identity, child: "subprocess.Popen[bytes] | None" = None) -> None:
        """Watch a process.

        Args:
            identity: The process.
            child: Its handle, where it is a child of ours.

        Raises:
            ProcessLookupError: It has ended, and was no child of ours.
        """
        self.identity = identity
        self.exited: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        """Its exit status or minus its signal; None where nobody knows."""
        self._child = child
        # A pidfd becomes readable when its process ends, be it our child or not.
        self._descriptor = os.pidfd_open(identity.pid)
        if child is None and not procfs.is_alive(identity):
            os.close(self._descriptor)
            raise ProcessLookupError(identity.pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._ended)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet, as far as the event loop has noticed."""
        return not self.exited.done()

    def release(self) -> None:
        """Stop watching; the process goes on."""
        self._close()
        if self._child is not None and self._child.returncode is None:
            # It outlives us by design, which Popen would warn of.
            self._child.returncode = 0

    def _ended(self) -> None:
        self._close()
        code = None
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._child.wait(timeout=1)  # ended already: this only collects it
        if not self.exited.done():
            self.exited.set_result(code)

    def _close(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def spawn(
    command: Sequence[str], environment: Mapping[str, str], directory: Path, log: int
) -> "tuple[Identity, subprocess.Popen[bytes]]":
    """Start an editor in a session of its own, so that it outlives us; blocks some ms.

    `log` is a descriptor that takes all it writes. Raises OSError when it cannot be started.
    """
    child = subprocess.Popen(
        ("/bin/sh", "-c", _LAUNCHER, *command),
        env=dict(environment),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    process = procfs.look(child.pid)
    assert process is not None, "a child stays at least a zombie until it is waited for"
    return process.identity, child
