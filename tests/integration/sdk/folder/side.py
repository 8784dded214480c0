"""A folder, and what follows it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import codestudio
from codestudio._folder.folder import Folder
from codestudio._folder.owner import Told
from codestudio._folder.project import ClientProject
from codestudio._folder.rules import OWN

from tests.integration.sdk.desk import Desk

QUICKLY = codestudio.RetryPolicy(attempts=6, initial=0.02, maximum=0.2)


class Side:
    """A folder, and what follows it."""

    def __init__(self, desk: Desk, root: Path) -> None:
        self.desk = desk
        self.root = root
        self.told: list[tuple[Told, str, str]] = []
        root.mkdir(exist_ok=True)
        self._running: asyncio.Task[bool] | None = None

    def path(self, name: str) -> Path:
        found = self.root / name
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def put(self, name: str, text: str) -> None:
        self.path(name).write_text(text, newline="")

    def text(self, name: str) -> str | None:
        try:
            return (self.root / name).read_bytes().decode()
        except FileNotFoundError:
            return None

    async def begin(self) -> None:
        self._running = asyncio.create_task(self.run())
        await asyncio.sleep(0)
        await self.settled()

    async def run(self, *, once: bool = False) -> bool:
        self.client = codestudio.AsyncClient(self.desk.url, token="t", retry=QUICKLY)
        self.folder = Folder(
            self.root,
            ClientProject(self.client, "p", "default"),
            tell=lambda *told: self.told.append(told),
        )
        return await self.folder.run(once=once, binding={"project": "p"})

    async def once(self) -> bool:
        try:
            async with asyncio.timeout(20):
                return await self.run(once=True)
        finally:
            await self.client.close()

    def skipped(self) -> list[str]:
        return [path for told, path, _ in self.told if told is Told.SKIPPED]

    async def settled(self) -> None:
        await until(lambda: self._over() or (self.folder.reachable and not self.folder.pending))

    def _over(self) -> bool:
        assert self._running is not None
        if self._running.done():
            self._running.result()
        return self._running.done()

    async def end(self) -> bool:
        if self._running is None:
            return True
        self.folder.stop()
        running, self._running = self._running, None
        stored = await running
        await self.client.close()
        return stored


async def until(met: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not met():
            await asyncio.sleep(0.02)


def whole(text: str, wanted: set[str], *roots: Path) -> bool:
    """Tell whether a text has all lines that were saved, but for what killed runs set aside.

    A run that is killed while it looks at a save that came in the last moment leaves that to the
    next one, which keeps it beside the folder: of each such file one line may be missing.
    """
    missing = wanted - set(text.splitlines())
    kept = [
        set(file.read_text().splitlines()) for root in roots for file in root.glob(f"{OWN}/left/*")
    ]
    return len(missing) <= len(kept) and missing <= set().union(*kept)


Two = tuple[Side, Side]
