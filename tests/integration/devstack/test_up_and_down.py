"""`up`, `status` and `down` as a person calls them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.devstack import editor, editor_proof, ports
from services.devstack.stack import Stack


def _devstack(command: str, data_dir: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "services.devstack", command, "--data-dir", data_dir, *options),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "s"
    Stack(tmp_path / "s").down()


def test_a_taken_port_is_told_in_one_line(data_dir: Path) -> None:
    """The command names port, program, holder and way out, fails, and leaves nothing running."""
    offset = ports.free_offset()
    port = ports.Ports(offset)["mongo"]
    with socket.create_server((ports.LOOPBACK, port)):
        result = _devstack("up", data_dir, "--detach", "--no-editor", "--port-offset", str(offset))
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert f"port {port} (wanted by mongo) is held by process {os.getpid()}" in line
    assert "--port-offset" in line
    assert not Stack(data_dir).running


def test_an_impossible_data_dir_is_told_in_one_line(tmp_path: Path) -> None:
    """What cannot be a directory is named, with the way out."""
    occupied = tmp_path / "file"
    occupied.write_text("")
    result = _devstack("up", occupied, "--detach", "--no-editor")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert str(occupied) in line
    assert "--data-dir" in line


def test_nothing_runs_before_up(data_dir: Path) -> None:
    """`status` says so with its exit code; `down` has nothing to do and does not fail."""
    assert _devstack("status", data_dir).returncode == 1
    assert _devstack("down", data_dir).returncode == 0
    assert not data_dir.exists()


@pytest.mark.stack
def test_up_tells_where_everything_is_and_down_ends_it(data_dir: Path) -> None:
    """Up prints ports, files and how to stop; a second up says that it runs; down stops it."""
    offset = str(ports.free_offset())
    options = ("--detach", "--no-editor", "--port-offset", offset)
    first = _devstack("up", data_dir, *options)
    assert first.returncode == 0, first.stderr
    recorded = json.loads((data_dir / "stack.json").read_text())
    assert str(recorded["ports"]["valkey"]) in first.stdout
    assert str(data_dir / "logs") in first.stdout
    assert f"./scripts/down --data-dir {data_dir}" in first.stdout
    second = _devstack("up", data_dir, *options)
    assert second.returncode == 0
    assert "already runs" in second.stdout
    assert "valkey" in _devstack("status", data_dir).stdout
    assert _devstack("down", data_dir).returncode == 0
    assert _devstack("status", data_dir).returncode == 1


@pytest.mark.editor
def test_the_installed_editor_passes_its_proof(tmp_path: Path) -> None:
    """What `up` hands to instances tells its version and answers."""
    command = editor.find(os.environ)
    if command is None:
        pytest.skip("no editor is installed: run scripts/up once")
    editor_proof.prove(command, tmp_path)


def test_what_is_no_editor_fails_the_proof(tmp_path: Path) -> None:
    """A build that only seems to work is not moved into the cache."""
    impostor = tmp_path / "code-server"
    impostor.write_text("#!/bin/sh\n")
    impostor.chmod(0o755)
    with pytest.raises(editor_proof.ProofError, match="ended with status 0"):
        editor_proof.prove(impostor, tmp_path)
