"""The scripts of edge's pages, built once."""

import os
from pathlib import Path

import pytest

from services.devstack import web


def test_other_sources_are_another_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed source is never served by the scripts built of the old one."""
    environment = {"CODESTUDIO_CACHE": str(tmp_path / "cache")}
    for name in ("package.json", "package-lock.json", "tsconfig.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "src").mkdir()
    source = tmp_path / "src" / "edit.ts"
    source.write_text("1")
    monkeypatch.setattr(web, "SOURCES", tmp_path)
    before = web.folder(environment)
    assert web.folder(environment) == before
    source.write_text("2")
    assert web.folder(environment) != before


@pytest.mark.timeout(60)
def test_an_unreachable_registry_is_one_line(tmp_path: Path) -> None:
    """No network: the line says so and where the log is, and nothing half-built stays."""
    cache = tmp_path / "cache"
    environment = {
        **os.environ,
        "CODESTUDIO_CACHE": str(cache),
        "npm_config_registry": "http://127.0.0.1:9/",
        "npm_config_cache": str(tmp_path / "npm"),
        "npm_config_fetch_retries": "0",
    }
    with pytest.raises(web.WebError) as caught:
        web.install(environment, tmp_path / "logs", lambda *_: None)
    (line,) = str(caught.value).splitlines()
    assert "ECONNREFUSED" in line
    assert str(tmp_path / "logs" / "web-download-page-libraries.log") in line
    assert [path.name for path in (cache / "web").iterdir()] == [".lock"]


def test_versions_are_exact_and_name_no_registry() -> None:
    """What is installed is the same everywhere: a checksum each, and no address of a registry."""
    lock = (web.SOURCES / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') > 40
