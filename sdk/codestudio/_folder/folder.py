"""A whole folder that follows a project."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from pathlib import Path
from typing import Protocol

from codestudio import _errors
from codestudio._folder.files import MAX_BYTES, Files
from codestudio._folder.follower import Follower
from codestudio._folder.owner import Tell, Told
from codestudio._folder.records import Record, Records
from codestudio._folder.rules import Rules, path_problem, private
from codestudio._live.document import AsyncDocument

LISTED = 2.0
"""Seconds between two looks at which documents the project has, where nobody tells of new ones."""

LISTED_TOLD = 30.0
"""The same where they are told of: in case one was missed."""

WALKED = 15.0
"""Seconds between two looks at all files, in case an event was missed."""

FILES_MOST = 5000
"""Files that are carried at most: a server holds as many documents in memory."""

_AT_ONCE = 16
_STOP_SECONDS = 10.0
_LISTED_MOST = 30.0

_PASSING = (
    _errors.Unavailable,
    _errors.DeadlineExceeded,
    _errors.ResourceExhausted,
    _errors.Internal,
)
"""Errors for which a list is asked for again; others stay, and end it."""


class Project(Protocol):
    """What a folder needs of a project."""

    async def paths(self) -> set[str]:
        """Give the paths of its documents. Raises CodeStudioError."""
        ...

    def changed(self) -> AsyncGenerator[str | None, None]:
        """Give the path of each document that is created or changed, for ever.

        Begins with None, when from then on nothing is missed. Raises CodeStudioError.
        """
        ...

    def open(self, path: str, content: str | None, saved: Record | None) -> AsyncDocument:
        """Give a document that is not open yet."""
        ...

    async def delete(self, path: str, text: str) -> bool:
        """Delete a document that has this text; False where it has another."""
        ...


class Folder:
    """Keeps a folder and a project the same. Run it with `run`; `stop` ends that."""

    def __init__(
        self,
        root: Path,
        project: Project,
        *,
        tell: Tell,
        exclude: Iterable[str] = (),
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._root = root
        self._project = project
        self.tell = tell
        self.rules = Rules(root, exclude)
        self.files = Files(root, max_bytes=max_bytes)
        self.records = Records(root)
        self.slots = asyncio.Semaphore(_AT_ONCE)
        self._followers: dict[str, Follower] = {}
        self._remote: set[str] = set()
        self._told: set[str] = set()
        self._stamps: dict[str, tuple[int, ...]] = {}  # as the walk before found them
        self._stop = asyncio.Event()
        self._walk_now = asyncio.Event()
        self._list_now = asyncio.Event()
        self._hearing = False
        self.reachable = False
        """Whether the project could be listed last."""

    # For the command.

    def stop(self) -> None:
        """End `run`: what there is is still brought over."""
        self._stop.set()

    @property
    def count(self) -> int:
        """How many files are carried."""
        return sum(not (each.problem or each.refusal) for each in self._followers.values())

    @property
    def pending(self) -> int:
        """How many of them are not the same on both sides, or not stored."""
        return sum(not each.idle for each in self._followers.values())

    async def run(self, *, once: bool = False, binding: dict[str, str]) -> bool:
        """Follow until `stop`, or, `once`, until both sides are the same.

        Gives whether everything is stored. Raises FailedPrecondition where the folder is taken
        or belongs to another project, and what the gateway refuses for good.
        """
        await asyncio.to_thread(self.records.open, binding)
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._rescue()
            records = {each.path: each for each in await asyncio.to_thread(self._records)}
            self._remote = await self._first_list()
            await self._walk(records)
            tasks = [
                asyncio.create_task(self._watch(), name="watch folder"),
                asyncio.create_task(self._list(), name="list project"),
                asyncio.create_task(self._hear(), name="hear of documents"),
                asyncio.create_task(self._walk_on(), name="walk folder"),
            ]
            ending = asyncio.create_task(
                self._settled() if once else self._stop.wait(), name="until the end"
            )
            stopping = asyncio.create_task(self._stop.wait(), name="until stopped")
            tasks += [ending, stopping]  # type: ignore[list-item]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done() and (error := task.exception()):
                    raise error
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=5)
            followers = list(self._followers.values())
            stored = await asyncio.gather(*(each.stop(_STOP_SECONDS) for each in followers))
            self.records.close()
        return all(stored)

    # For the followers.

    def open(self, path: str, content: str | None, saved: Record | None) -> AsyncDocument:
        """Give a document that is not open yet."""
        return self._project.open(path, content, saved)

    async def delete(self, path: str, text: str) -> bool:
        """Delete a document that has this text; False where it has another."""
        if not await asyncio.to_thread(lambda: self.records.there):
            # Its files were not removed: all of it is somewhere else.
            raise FileNotFoundError(f"{self._root} is gone")
        done = await self._project.delete(path, text)
        if done:
            self._remote.discard(path)
        return done

    def let_go(self, path: str) -> None:
        """Forget a follower."""
        self._followers.pop(path, None)

    # What happens.

    def _records(self) -> list[Record]:
        return list(self.records.all())

    async def _rescue(self) -> None:
        """Set aside what a run that was killed had in its hands."""
        for left, text in await asyncio.to_thread(lambda: list(self.files.left_behind())):
            if text == "":
                await asyncio.to_thread(left.unlink)
                continue
            kept = await asyncio.to_thread(self.files.set_aside, left.name, left, under="left")
            self.tell(Told.KEPT, left.name, f"left by a run that was killed, in {kept}")

    async def _first_list(self) -> set[str]:
        pause = 0.5
        while True:
            try:
                paths = await self._project.paths()
            except _PASSING as error:
                self.tell(Told.FAILED, "", error.message)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause * random.uniform(0.5, 1)):  # noqa: S311
                        await self._stop.wait()
                        raise
                pause = min(2 * pause, _LISTED_MOST)
            else:
                self.reachable = True
                return paths

    async def _walk(self, records: dict[str, Record]) -> None:
        """Look at everything once: files, documents, and what is remembered."""

        def walk() -> dict[str, tuple[int, ...]]:
            self.rules.forget()
            return {path: self.files.stamp(path) for path in self.rules.walk(self._left_out)}

        found = await asyncio.to_thread(walk)
        before, self._stamps = self._stamps, found
        for path in sorted(found.keys() | self._remote | records.keys()):
            follower = self._followers.get(path)
            if follower is None:
                self._follow(path, records.get(path))
        for path, follower in list(self._followers.items()):
            if follower.problem or path not in found or found[path] != before.get(path):
                follower.nudge()

    def _left_out(self, path: str) -> None:
        self._tell_once(path, "it is a link")

    def _tell_once(self, path: str, why: str) -> None:
        if path not in self._told:
            self._told.add(path)
            self.tell(Told.SKIPPED, path, why)

    def _follow(self, path: str, record: Record | None = None) -> None:
        if problem := path_problem(path):
            self._tell_once(path, problem)
            return
        # As in Git: what is carried already stays so.
        if record is None and self.rules.ignored(path):
            return
        if len(self._followers) >= FILES_MOST:
            self._tell_once(path, f"more than {FILES_MOST} files; use --exclude")
            return
        follower = self._followers[path] = Follower(self, path)
        follower.start(record=record, remote=path in self._remote)

    async def _watch(self) -> None:
        """Follow what happens in the folder."""
        import watchfiles

        changes: AsyncIterator[set[tuple[watchfiles.Change, str]]] = watchfiles.awatch(
            self._root,
            watch_filter=self._wanted,
            debounce=100,
            step=20,
            ignore_permission_denied=True,
            stop_event=self._stop,
        )
        async for batch in changes:
            for _, name in batch:
                self._happened(Path(name))

    def _wanted(self, _: object, name: str) -> bool:
        path = Path(name).relative_to(self._root).as_posix()
        return not any(private(part) for part in path.split("/"))

    def _happened(self, changed: Path) -> None:
        path = changed.relative_to(self._root).as_posix()
        follower = self._followers.get(path)
        if changed.name == ".gitignore":
            self._walk_now.set()
        if follower is not None:
            follower.nudge()
        elif changed.is_file() and not changed.is_symlink():
            self._follow(path)
        else:
            # A folder came or went, or what is ignored changed: everything in it may have, too.
            self._walk_now.set()

    async def _walk_on(self) -> None:
        """Look at all files now and then, and when there is reason to."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WALKED):
                    await self._walk_now.wait()
                    await asyncio.sleep(0.1)
            self._walk_now.clear()
            await self._walk({})

    async def _hear(self) -> None:
        """Follow new documents as soon as there are any."""
        while True:
            try:
                async with contextlib.aclosing(self._project.changed()) as changed:
                    async for path in changed:
                        if path is None:
                            # What came before is not told.
                            self._hearing = True
                            self._list_now.set()
                        elif path not in self._followers:
                            self._remote.add(path)
                            self._follow(path)
            except _errors.CodeStudioError:
                pass  # away for long, or older than this: the list tells, if later
            self._hearing = False
            await asyncio.sleep(_LISTED_MOST * random.uniform(0.5, 1))  # noqa: S311 - jitter

    async def _list(self) -> None:
        """Follow which documents the project has."""
        loop = asyncio.get_running_loop()
        pause, listed_at = LISTED, loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.8, 1.2)):  # noqa: S311
                    await self._list_now.wait()
            told = self._hearing and self.reachable and not self._list_now.is_set()
            if told and loop.time() - listed_at < LISTED_TOLD and not self._cut_off():
                continue
            self._list_now.clear()
            try:
                paths = await self._project.paths()
            except _PASSING:
                self.reachable = False
                pause = min(2 * pause, _LISTED_MOST)
                continue
            pause, self.reachable, listed_at = LISTED, True, loop.time()
            for path in sorted(paths - self._followers.keys()):
                self._remote.add(path)
                self._follow(path)
            self._remote = paths

    def _cut_off(self) -> bool:
        return any(each.cut_off for each in self._followers.values())

    async def _settled(self) -> None:
        """Wait until both sides are the same."""
        while self.pending:  # noqa: ASYNC110 - many followers, each with its own events
            await asyncio.sleep(0.05)
