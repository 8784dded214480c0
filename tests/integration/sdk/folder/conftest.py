"""Folders that follow a project, and the service they follow it on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from codestudio._folder import refusals

from tests.integration.sdk.desk import Desk
from tests.integration.sdk.folder.side import Side


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Run the service."""
    running = Desk()
    running.start()
    yield running
    running.close()


@pytest.fixture
async def two(desk: Desk, tmp_path: Path) -> AsyncIterator[tuple[Side, Side]]:
    """Two folders of one project."""
    sides = Side(desk, tmp_path / "one"), Side(desk, tmp_path / "other")
    for side in sides:
        await side.begin()
    yield sides
    for side in sides:
        await side.end()


@pytest.fixture(autouse=True)
def listed_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for documents more often: this service does not tell of new ones."""
    monkeypatch.setattr("codestudio._folder.folder.LISTED", 0.2)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe sooner that a file is gone, and try again sooner."""
    monkeypatch.setattr("codestudio._folder.follower._DOUBTFUL", 0.3)
    monkeypatch.setattr(refusals, "RETRY_FIRST", 0.2)
