import os
from pathlib import Path

import pytest

from services.resource.runtimes.local import editor as editors
from services.resource.runtimes.local.directories import Directories
from services.resource.workload import Resources, Spec

SPEC = Spec(
    "blue", "default", 8000, 8050, Resources(500, 2**31, 2**33), {"MINE": "1", "PORT": "4000"}
)
DIRECTORIES = Directories(Path("/data/instances/blue"))


def environment(spec: Spec = SPEC, directories: Directories = DIRECTORIES) -> dict[str, str]:
    return editors.environment(spec, directories, "stack", Path("/data"))


def test_nothing_of_the_services_environment_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor never learns where the control plane's keys and databases are."""
    for name in ("SERVICE_KEY_FILE", "REDIS_URL", "MONGODB_URL", "JWKS_FILE", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in environment().values()


def test_the_specifications_variables_are_there() -> None:
    """And the developer's own beside them."""
    found = environment()
    assert found["CODESTUDIO_INSTANCE_ID"] == found["INSTANCE_ID"] == "blue"
    assert (found["CODESTUDIO_WEB_PORT"], found["CODESTUDIO_CALLBACK_PORT"]) == ("8000", "8050")
    assert found["CONTAINER_ROOT"] == "/data"
    assert found["CODESTUDIO_STACK_ID"] == "stack"
    assert (found["MINE"], found["PORT"]) == ("1", "4000")


def test_a_developer_cannot_pass_for_another_instance() -> None:
    """Our variables win over the developer's."""
    forged = {"CODESTUDIO_WORKLOAD": "x/y", "CODESTUDIO_STACK_ID": "x", "INSTANCE_ID": "y"}
    spec = Spec("blue", "default", 8000, 8050, SPEC.resources, forged)
    assert forged.items().isdisjoint(environment(spec).items())


def test_temporary_files_are_the_instances_while_sockets_fit() -> None:
    """A path too long for VS Code's sockets is not used for them."""
    assert environment()["TMPDIR"] == "/data/instances/blue/temp"
    assert "TMPDIR" not in environment(directories=Directories(Path("/" + "x" * 80)))


def test_the_port_is_given_so_that_variables_cannot_change_it() -> None:
    """code-server's PORT overrides --bind-addr, but not --port."""
    path = Path("/opt/code-server")
    command = editors.Editor(path, editors.Flavour.CODE_SERVER).command(SPEC, DIRECTORIES)
    assert "--port=8000" in command
    assert "--host=127.0.0.1" in command
    assert "--auth=none" in command


def program(directory: Path, name: str) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_editor_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one named wins; else PATH is searched; a terminal's own client is none."""
    named = program(tmp_path / "a", "my-editor")
    client = program(tmp_path / "remote-cli", "code-server")
    onpath = program(tmp_path / "b", "openvscode-server")
    monkeypatch.setenv("PATH", os.pathsep.join([str(client.parent), str(onpath.parent)]))
    assert editors.find(str(named)) == editors.Editor(named, editors.Flavour.CODE_SERVER)
    assert editors.find("") == editors.Editor(onpath, editors.Flavour.OPENVSCODE_SERVER)
    assert editors.find(str(tmp_path / "nowhere")) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert editors.find("") is None
