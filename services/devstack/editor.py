"""Which editor instances run: one already there, or code-server from npm, installed once.

The installed one lives in a cache folder shared by clones and stacks and stands on its own:
it carries its Node, so that no virtual environment need stay where it was.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from services.devstack import cache, editor_build
from services.devstack.editor_build import CODE_SERVER_VERSION, NODE_MAJOR
from services.devstack.steps import Report

SERVING_COMMANDS = ("code-server", "openvscode-server")


class EditorError(Exception):
    """There is no editor; the message is one line with the cause and the way out."""


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Give the folder of the pinned version, under CODESTUDIO_CACHE or ~/.cache/codestudio."""
    name = f"{CODE_SERVER_VERSION}-node{NODE_MAJOR}"
    return cache.folder(environment) / "editor" / name


def find(environment: Mapping[str, str]) -> Path | None:
    """Find an editor: EDITOR_COMMAND, one on PATH, or the one installed before.

    Raises EditorError when EDITOR_COMMAND names nothing that can be run.
    """
    search = environment.get("PATH", os.defpath)
    if wanted := environment.get("EDITOR_COMMAND"):
        named = shutil.which(wanted, path=search)
        if named is None:
            raise EditorError(f"EDITOR_COMMAND names {wanted}, which is no executable file")
        return Path(named).absolute()
    for command in SERVING_COMMANDS:
        for directory in search.split(os.pathsep):
            # In an editor's own terminal this name is a client that opens files, not a server.
            if Path(directory).name == "remote-cli":
                continue
            if found := shutil.which(command, path=directory):
                return Path(found).absolute()
    launcher = cache_folder(environment) / editor_build.LAUNCHER
    return launcher if os.access(launcher, os.X_OK) else None


def require_tools(environment: Mapping[str, str]) -> None:
    """Check that what an installation needs is there. Raises EditorError naming what is not."""
    try:
        editor_build.require_tools(environment)
    except editor_build.BuildError as error:
        raise EditorError(str(error)) from error


def install(environment: Mapping[str, str], logs: Path, report: Report) -> Path:
    """Build the pinned code-server and move it into the cache folder, whole or not at all.

    Takes about two minutes and a C++ compiler. When another `up` is installing, waits for it.
    `logs` receives one file a step. Raises EditorError.
    """
    destination = cache_folder(environment)
    try:
        cache.make(
            destination,
            lambda: find(environment) is not None,
            lambda building: editor_build.build(building, environment, logs, report),
            report,
        )
    except editor_build.BuildError as error:
        raise EditorError(str(error)) from error
    except OSError as error:
        raise EditorError(f"the editor cannot be installed: {error}") from error
    return find(environment) or destination / editor_build.LAUNCHER
