"""Everything between being asked for an editor and having started it, but the bookkeeping."""

import dataclasses
import errno
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from services.resource.runtimes.local import builtins, ending, logfile
from services.resource.runtimes.local import editor as editors
from services.resource.runtimes.local.directories import Directories
from services.resource.workload import Spec


class CannotStart(Exception):  # noqa: N818 - it says what is so
    """An editor cannot be started; `code` is one of `ending`'s."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """An editor ready to be started. Whoever has it closes `log`."""

    command: list[str]
    environment: Mapping[str, str]
    directory: Path
    log: int
    """Descriptor that takes what the editor writes."""
    log_position: int
    """Length of the log before this start."""


def prepare(
    spec: Spec,
    directories: Directories,
    *,
    editor_command: str,
    stack_id: str,
    container_root: Path,
    auto_create_paths: bool = True,
) -> Prepared:
    """Check what can be checked and see to the directories; blocks some ms.

    Raises CannotStart.
    """
    editor = editors.find(editor_command)
    if editor is None:
        raise CannotStart(ending.EDITOR_NOT_INSTALLED, _not_installed(editor_command))
    if not auto_create_paths and (missing := directories.missing()) is not None:
        raise CannotStart(
            ending.PATHS_UNAVAILABLE,
            f"{missing} of {spec.instance_id} is missing, and AUTO_CREATE_PATHS is off",
        )
    try:
        if auto_create_paths:
            directories.create()
        _write_first_settings(directories)
        log, position = logfile.open_for_writing(directories)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CannotStart(
            ending.PATHS_UNAVAILABLE,
            f"The directories of {spec.instance_id} cannot be made or written: {reason}",
        ) from error
    if not port_is_free(spec.web_port):
        os.close(log)
        raise CannotStart(
            ending.PORT_IN_USE, f"Something else on this machine listens on port {spec.web_port}"
        )
    return Prepared(
        command=editor.command(spec, directories, builtins.assemble(editor.path, container_root)),
        environment=editors.environment(spec, directories, stack_id, container_root),
        directory=directories.workspace,
        log=log,
        log_position=position,
    )


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` of loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        # As servers do: connections of the past in TIME_WAIT do not occupy a port.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno not in (errno.EADDRINUSE, errno.EACCES)
    return True


def _write_first_settings(directories: Directories) -> None:
    (directories.user_data / "User").mkdir(mode=0o700, exist_ok=True)
    try:
        descriptor = directories.open_beneath(
            "user-data", "User", "settings.json", flags=os.O_WRONLY | os.O_CREAT | os.O_EXCL
        )
    except FileExistsError:
        return  # theirs by now
    with os.fdopen(descriptor, "w") as file:
        json.dump(editors.FIRST_SETTINGS, file, indent=4)


def _not_installed(editor_command: str) -> str:
    if editor_command:
        return f"EDITOR_COMMAND names {editor_command}, which is no executable file"
    return (
        "No editor is installed: run scripts/up without --no-editor, put code-server or "
        "openvscode-server on PATH, or name one with EDITOR_COMMAND"
    )
