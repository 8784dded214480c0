"""Our extension beside those an editor comes with."""

import json
from pathlib import Path

import pytest

from services.resource.runtimes.local import builtins


def editor(directory: Path) -> Path:
    """Make an editor with two extensions, as npm installs it."""
    package = directory / "node_modules" / "code-server"
    for name in ("git", "json"):
        folder = package / "lib" / "vscode" / "extensions" / name
        folder.mkdir(parents=True)
        (folder / "package.json").write_text("{}")
    launcher = directory / "bin" / "code-server"
    launcher.parent.mkdir()
    launcher.write_text("#!/bin/sh\n")
    return launcher


def test_both_are_there(tmp_path: Path) -> None:
    """Its own by links, ours as it is shipped; made once."""
    launcher = editor(tmp_path / "editor")
    place = builtins.assemble(launcher, tmp_path / "data")
    assert place is not None
    assert (place / "git" / "package.json").read_text() == "{}"
    assert (place / "git").is_symlink()
    ours = json.loads((place / builtins.NAME / "package.json").read_text())
    assert f"{ours['publisher']}.{ours['name']}" == builtins.NAME
    assert (place / builtins.NAME / ours["main"]).is_file()
    assert builtins.assemble(launcher, tmp_path / "data") == place
    assert [one.name for one in place.parent.iterdir()] == [place.name]


def test_a_new_release_is_a_new_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the editor or of ours: running editors keep what they have."""
    launcher = editor(tmp_path / "editor")
    first = builtins.assemble(launcher, tmp_path / "data")
    newer = tmp_path / "ours"
    newer.mkdir()
    (newer / "package.json").write_text('{"version": "2"}')
    monkeypatch.setattr(builtins, "OURS", newer)
    second = builtins.assemble(launcher, tmp_path / "data")
    assert first is not None
    assert second is not None
    assert second != first
    assert first.is_dir()


def test_an_editor_of_another_build_starts_without(tmp_path: Path) -> None:
    """And so does one for which nothing can be written."""
    launcher = tmp_path / "bin" / "code-server"
    launcher.parent.mkdir()
    launcher.write_text("")
    assert builtins.assemble(launcher, tmp_path / "data") is None
    (tmp_path / "file").write_text("")
    assert builtins.assemble(editor(tmp_path / "editor"), tmp_path / "file") is None
