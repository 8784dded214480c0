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

# Then it waits for its turn: until the other end of its input is closed, by us or by our death.
_GATE = 'read -r _; exec "$0" "$@" </dev/null'


class EditorProcess:
    """An editor that runs; `exited` is done when it has ended.

    Must be made inside a running event loop.
    """

    def __init__(
        self,
        identity: Identity,
        child: "subprocess.Popen[bytes] | None" = None,
        gate: int | None = None,
    ) -> None:
        """Watch a process.

        Args:
            identity: The process.
            child: Its handle, where it is a child of ours.
            gate: What `spawn` gave, where it is; from now on ours to close.

        Raises:
            ProcessLookupError: It has ended, and was no child of ours.
        """
        self.identity = identity
        self.exited: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        """Its exit status or minus its signal; None where nobody knows."""
        self._child = child
        self._gate = gate
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

    def proceed(self) -> None:
        """Let it begin its work, if it does not work yet."""
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None

    def release(self) -> None:
        """Stop watching; the process goes on."""
        self.proceed()
        self._close()
        if self._child is not None and self._child.returncode is None:
            # It outlives us by design, which Popen would warn of.
            self._child.returncode = 0

    def _ended(self) -> None:
        self.proceed()
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
) -> "tuple[Identity, subprocess.Popen[bytes], int]":
    """Start an editor in a session of its own, so that it outlives us; blocks some ms.

    `log` is a descriptor that takes all it writes. The process is there at once, but begins its
    work only when the descriptor returned last, its gate, is closed; the caller closes it.
    Raises OSError when it cannot be started.
    """
    waiting, gate = os.pipe()
    try:
        child = subprocess.Popen(
            ("/bin/sh", "-c", _LAUNCHER, "/bin/sh", "-c", _GATE, *command),
            env=dict(environment),
            cwd=directory,
            stdin=waiting,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    except OSError:
        os.close(gate)
        raise
    finally:
        os.close(waiting)
    process = procfs.look(child.pid)
    assert process is not None, "a child stays at least a zombie until it is waited for"
    return process.identity, child, gate
