import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from services.devstack import editor, editor_build
from services.devstack.steps import StepError, Steps


def _command(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_an_editor_named_by_a_setting_goes_before_all_others(tmp_path: Path) -> None:
    """EDITOR_COMMAND wins over one on PATH."""
    named = _command(tmp_path / "mine" / "editor")
    _command(tmp_path / "bin" / "code-server")
    environment = {"EDITOR_COMMAND": str(named), "PATH": str(tmp_path / "bin")}
    assert editor.find(environment) == named


def test_a_setting_that_names_nothing_is_told(tmp_path: Path) -> None:
    """A wrong EDITOR_COMMAND is not silently replaced by another editor."""
    _command(tmp_path / "bin" / "code-server")
    environment = {"EDITOR_COMMAND": "/nowhere/editor", "PATH": str(tmp_path / "bin")}
    with pytest.raises(editor.EditorError, match="/nowhere/editor"):
        editor.find(environment)


@pytest.mark.parametrize("name", ["code-server", "openvscode-server"])
def test_an_editor_on_path_serves(tmp_path: Path, name: str) -> None:
    """Either server found on PATH is used, and nothing is installed."""
    found = _command(tmp_path / "bin" / name)
    environment = {"PATH": f"{tmp_path / 'bin'}", "CODESTUDIO_CACHE": str(tmp_path)}
    assert editor.find(environment) == found


def test_the_client_in_an_editors_terminal_is_no_server(tmp_path: Path) -> None:
    """`up` typed in VS Code's terminal does not take its `code-server` command for a server."""
    _command(tmp_path / "remote-cli" / "code-server")
    environment = {"PATH": str(tmp_path / "remote-cli"), "CODESTUDIO_CACHE": str(tmp_path)}
    assert editor.find(environment) is None


def test_the_installed_editor_is_found_in_the_cache(tmp_path: Path) -> None:
    """What was installed once is used by every later start."""
    environment = {"PATH": "", "CODESTUDIO_CACHE": str(tmp_path)}
    launcher = _command(editor.cache_folder(environment) / "bin" / "code-server")
    assert editor.find(environment) == launcher


def test_a_missing_compiler_is_one_line_with_ways_out(tmp_path: Path) -> None:
    """The line names what is missing and three ways out; the cache stays untouched."""
    environment = {"PATH": str(tmp_path), "CODESTUDIO_CACHE": str(tmp_path / "cache")}
    with pytest.raises(editor.EditorError) as caught:
        editor.install(environment, tmp_path, lambda *_: None)
    (line,) = str(caught.value).splitlines()
    for words in ("g++", "make", "apt-get install", "code-server on PATH", "--no-editor"):
        assert words in line
    assert not list((tmp_path / "cache" / "editor").glob("[!.]*"))
    assert not list((tmp_path / "cache" / "editor").glob(".building-*"))


@pytest.mark.timeout(60)
def test_an_unreachable_registry_is_one_line(tmp_path: Path) -> None:
    """No network: the line says so and where the log is, and nothing half-built stays."""
    cache = tmp_path / "cache"
    environment = {
        **os.environ,
        "EDITOR_COMMAND": "",
        "CODESTUDIO_CACHE": str(cache),
        "npm_config_registry": "http://127.0.0.1:9/",
        "npm_config_cache": str(tmp_path / "npm"),
        "npm_config_fetch_retries": "0",
    }
    with pytest.raises(editor.EditorError) as caught:
        editor.install(environment, tmp_path / "logs", lambda *_: None)
    (line,) = str(caught.value).splitlines()
    assert "ECONNREFUSED" in line
    assert str(tmp_path / "logs" / "editor-download-code-server.log") in line
    assert [path.name for path in (cache / "editor").iterdir()] == [".lock"]


def test_an_aborted_step_leaves_no_process(tmp_path: Path) -> None:
    """Ctrl-C during an installation ends its commands with their children."""
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    steps = Steps(os.environ, tmp_path, lambda *_: None, "test")
    script = f"sleep 300 & echo $! > {fifo}; wait"
    with ThreadPoolExecutor() as pool:
        step = pool.submit(steps.run, "sleep", tmp_path, ("sh", "-c", script))
        child = psutil.Process(int(fifo.read_text()))
        steps.abort()
        with pytest.raises(StepError):
            step.result(10)
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive


def test_the_pin_is_exact() -> None:
    """The version is one number, not a range: native modules are listed for exactly it."""
    assert editor_build.CODE_SERVER_VERSION.replace(".", "").isdigit()
