"""A folder that follows a project of the real service hears of its documents."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import codestudio
from codestudio._folder import folder as folders
from codestudio._folder.project import ClientProject

from tests.integration.collaboration import rig


class Project(ClientProject):
    """Counts how often it is listed."""

    lists = 0

    async def paths(self) -> set[str]:
        self.lists += 1
        return await super().paths()


@contextlib.asynccontextmanager
async def following(
    root: Path, service: rig.Replica
) -> AsyncIterator[tuple[folders.Folder, Project]]:
    """Have a folder follow a project."""
    parts = service.parts
    async with codestudio.AsyncClient(
        f"http://{service.address}", token=parts.token("bob"), timeout=20
    ) as client:
        project = Project(client, parts.project, "default")
        folder = folders.Folder(root, project, tell=lambda *_: None)
        running = asyncio.create_task(folder.run(binding={"project": parts.project}))
        try:
            # When it is told of documents, it lists them once more.
            await until(lambda: running.done() or project.lists == 2)
            await until(lambda: running.done() or not folder.pending)
            yield folder, project
        finally:
            folder.stop()
            await running


async def until(met: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not met():
            await asyncio.sleep(0.01)


async def test_documents_are_told_of(parts: rig.Parts, tmp_path: Path) -> None:
    """Created and renamed ones, at this replica or another, without the list being asked."""
    root = tmp_path
    async with rig.replica(parts) as service, rig.replica(parts) as other:
        await service.open("first", "first")
        async with following(root, service) as (folder, project):
            assert (root / "first").read_text() == "first"
            await service.open("src/a.py", "one\n")
            await until(lambda: folder.count == 2 and not folder.pending)
            assert (root / "src/a.py").read_text() == "one\n"
            await other.open("b.py", "two\n")
            await until(lambda: folder.count == 3 and not folder.pending)
            assert (root / "b.py").read_text() == "two\n"
            (root / "src/a.py").rename(root / "src/c.py")
            async with asyncio.timeout(20):
                while await ClientProject.paths(project) != {"first", "b.py", "src/c.py"}:
                    await asyncio.sleep(0.05)
            assert (await service.get("src/c.py")).text == "one\n"
            assert project.lists == 2
