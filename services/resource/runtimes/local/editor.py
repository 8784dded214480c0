"""Which editor there is and how it is started."""

import dataclasses
import enum
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from services.resource.runtimes.local import procfs
from services.resource.runtimes.local.activity import ACTIVITY
from services.resource.runtimes.local.directories import Directories
from services.resource.workload import Spec

_ON_PATH = ("code-server", "openvscode-server")

# sun_path holds 108 bytes with its end; "/vscode-ipc-<uuid>.sock" is what VS Code puts there.
_SOCKET_ROOM = 108 - 1 - len("/vscode-ipc-.sock") - 36


class Flavour(enum.Enum):
    """How an editor wants to be called."""

    CODE_SERVER = "/healthz"
    """github.com/coder/code-server; its value is a path that answers 200 when it is up."""
    OPENVSCODE_SERVER = "/version"
    """github.com/gitpod-io/openvscode-server."""


@dataclasses.dataclass(frozen=True, slots=True)
class Editor:
    """An editor that can be started."""

    path: Path
    flavour: Flavour

    def command(
        self, spec: Spec, directories: Directories, extensions: Path | None = None
    ) -> list[str]:
        """Give its command line: no password, loopback only, workspace open.

        `extensions` is where it takes those it comes with, where not from its own place.
        """
        common = [
            str(self.path),
            # Not --bind-addr: a developer's own PORT or CODE_SERVER_HOST would override that.
            "--host=127.0.0.1",
            f"--port={spec.web_port}",
            f"--user-data-dir={directories.user_data}",
            f"--extensions-dir={directories.extensions}",
            "--disable-workspace-trust",
            *([f"--builtin-extensions-dir={extensions}"] if extensions else ()),
        ]
        if self.flavour is Flavour.OPENVSCODE_SERVER:
            return [
                *common,
                "--without-connection-token",
                "--accept-server-license-terms",
                "--telemetry-level=off",
                f"--server-data-dir={directories.user_data}",
                f"--default-folder={directories.workspace}",
            ]
        return [
            *common,
            # The gateway has authenticated and authorised whoever gets here.
            "--auth=none",
            "--disable-telemetry",
            "--disable-update-check",
            "--disable-getting-started-override",
            f"--abs-proxy-base-path=/i/{spec.instance_id}",
            str(directories.workspace),
        ]


def find(command: str) -> Editor | None:
    """Find the editor: `command` where it is set, else what PATH has; None where there is none."""
    if command:
        found = shutil.which(Path(command).expanduser())
        return _editor(found) if found else None
    for name in _ON_PATH:
        for directory in os.get_exec_path():
            # In a terminal inside an editor, this name is a client that opens files.
            if Path(directory).name == "remote-cli":
                continue
            if found := shutil.which(name, path=directory):
                return _editor(found)
    return None


def health_path(command: str) -> str:
    """Give the path at which the editor that `find` finds answers 200 when it is up."""
    found = find(command)
    return (Flavour.CODE_SERVER if found is None else found.flavour).value


def environment(
    spec: Spec, directories: Directories, stack_id: str, container_root: Path
) -> dict[str, str]:
    """Give the environment of an editor and its terminals.

    Nothing of our own environment but language and search path: that holds the control plane's
    keys. HOME is the instance's directory, not the person's who runs the stack: as on any
    remote workspace, shell history, Git identity and credentials of one instance are no other's,
    and go when it goes.
    """
    base = {
        "PATH": _search_path(),
        "HOME": str(directories.root),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "SHELL": _shell(),
        "TERM": "xterm-256color",
    }
    if zone := os.environ.get("TZ"):
        base["TZ"] = zone
    # Where its path is too long for VS Code's sockets, they go to the system's own.
    if len(os.fsencode(directories.temp)) <= _SOCKET_ROOM:
        base["TMPDIR"] = str(directories.temp)
    return {
        **base,
        **spec.environment,
        procfs.STACK_MARKER: stack_id,
        procfs.WORKLOAD_MARKER: f"{stack_id}/{spec.instance_id}",
        "CODESTUDIO_ACTIVITY_DIR": str(directories.root.joinpath(*ACTIVITY)),
        "CODESTUDIO_INSTANCE_ID": spec.instance_id,
        "CODESTUDIO_WEB_PORT": str(spec.web_port),
        "CODESTUDIO_CALLBACK_PORT": str(spec.callback_port),
        "INSTANCE_ID": spec.instance_id,
        "CONTAINER_ROOT": str(container_root),
    }


FIRST_SETTINGS: Mapping[str, object] = {
    # A local stack lies in a checkout, whose repository is not the developer's.
    "git.openRepositoryInParentFolders": "never",
    "security.workspace.trust.enabled": False,
    "telemetry.telemetryLevel": "off",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.startupEditor": "none",
    "workbench.welcomePage.walkthroughs.openOnInstall": False,
}
"""Settings a new instance begins with: straight into the workspace, nothing to click away."""


def _editor(path: str) -> Editor:
    found = Path(path).absolute()
    is_openvscode = found.name.startswith("openvscode")
    return Editor(found, Flavour.OPENVSCODE_SERVER if is_openvscode else Flavour.CODE_SERVER)


def _search_path() -> str:
    """Give our search path without the control plane's own Python."""
    own = Path(sys.prefix) / "bin" if sys.prefix != sys.base_prefix else None
    return os.pathsep.join(one for one in os.get_exec_path() if one and Path(one) != own)


def _shell() -> str:
    for shell in (os.environ.get("SHELL", ""), "/bin/bash"):
        if shell and os.access(shell, os.X_OK):
            return shell
    return "/bin/sh"
