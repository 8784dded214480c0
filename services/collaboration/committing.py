"""Commits what has gone quiet: the documents of a project that did so together, as one commit.

Each project has one writer at a time, by a lease; what a writer who has lost it might still do is
fenced by the branch itself (`repository`). Records say what Git lacks and stay until it has it, so
a commit that was interrupted anywhere is done again; a text that Git has already makes no commit.
"""

import asyncio
import dataclasses
import itertools
import random
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import pygit2
import structlog
from prometheus_client import Counter, Gauge, Histogram

from services.chassis import connectors, errors, leases
from services.collaboration.entry import Author
from services.collaboration.names import Name
from services.collaboration.repository import Moved, Repository
from services.collaboration.uncommitted import Record, Uncommitted, Writer

_log = structlog.get_logger(__name__)

COMMITS = Counter("codestudio_collaboration_git_commits", "Commits made.")
FAILURES = Counter(
    "codestudio_collaboration_git_commit_failures", "Commits that were not made, by why.", ("why",)
)
LEFT_OUT = Counter(
    "codestudio_collaboration_git_left_out",
    "Documents that cannot be in their repository beside the others.",
)
SECONDS = Histogram(
    "codestudio_collaboration_git_commit_seconds",
    "Time a commit took, in seconds.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
WAITING = Gauge(
    "codestudio_collaboration_git_uncommitted_documents", "Documents that Git lacks something of."
)

_AT_ONCE = 4
"""Projects a replica commits at once."""
_AGAIN_AFTER = 10.0
"""Seconds until a project whose commit failed is tried again."""
_LEFT_OUT_AGAIN = 60.0
"""Seconds until a document that could not be beside the others is tried again; it is at once
where this replica has committed that one of its project was deleted."""
_WRITERS_SECONDS = 5.0
"""Longest wait for the writers of what is to be committed to be known."""
_LOOK_EVERY = 0.1
_COUNT_EVERY = 15.0
_TOGETHER_MOST = 500
"""Documents in one commit; the others are in the next."""
_TOGETHER_SIZE = 64 * 1024**2
"""Characters of them, about: they are in memory meanwhile."""


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """A document's text as it is stored."""

    text: str
    """The text."""
    sequence: int
    """Its newest entry."""
    epoch: str
    """Its history; of an earlier document of its name, nothing is in it."""


class Texts(Protocol):
    """Where the texts are."""

    async def stored(self, record: Record) -> Text:
        """Return a document's text, with all entries that a record of it knows.

        Raises:
            errors.NotFound: There is no such document.
            errors.DomainError: It cannot be had now.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """When documents are committed; in milliseconds."""

    quiet: int
    """Without an edit for so long, a document is committed."""
    busy: int
    """And at the latest so long after its first edit."""
    together: int
    """A project waits so long for more of its documents to go quiet."""


def due(records: Sequence[Record], pace: Pace, now: int) -> list[Record]:
    """Return which documents of a project are to be committed now, as one commit.

    Args:
        records: Those of the project that Git lacks something of.
        pace: When documents are committed.
        now: Milliseconds since 1970.

    """
    left = {one.name: _due_at(one, pace) - now for one in records}
    ready = [one for one in records if left[one.name] <= 0]
    soon = any(0 < wait <= pace.together for wait in left.values())
    if soon and all(left[one.name] > -pace.together for one in ready):
        return []
    return ready


def authors(records: Iterable[Record]) -> list[Author]:
    """Return who has written, in order of their first entries."""
    writers: dict[str, Writer] = {}
    for writer in itertools.chain.from_iterable(one.writers for one in records):
        before = writers.get(writer.author.subject)
        if before is None or writer.first < before.first:
            writers[writer.author.subject] = writer
    return [one.author for one in sorted(writers.values(), key=lambda one: one.first)]


def location(root: Path, namespace: str, project: str) -> Path:
    """Return where a project's repository is."""
    return root / namespace / f"{project}.git"


class Committer:
    """Commits, for ever."""

    def __init__(
        self,
        *,
        redis: connectors.Redis,
        records: Uncommitted,
        texts: Texts,
        root: Path,
        pace: Pace,
        every: float,
        lease: float,
    ) -> None:
        """Prepare.

        Args:
            redis: Where the leases are.
            records: What Git lacks.
            texts: Where the texts are.
            root: Folder of the repositories.
            pace: When documents are committed.
            every: Seconds between two looks.
            lease: Seconds after which another replica takes over from one that died.

        """
        self._redis = redis
        self._records = records
        self._texts = texts
        self._root = root
        self._pace = pace
        self._every = every
        self._lease = lease
        self._count_at = 0.0
        self._not_before: dict[tuple[str, str], float] = {}
        self._left_out: dict[Name, float] = {}  # when each is tried again

    async def run(self) -> None:
        """Commit what is due, for ever."""
        while True:
            try:
                await self._round()
            except Exception as error:
                known = errors.from_exception(error)
                if not isinstance(known, errors.Unavailable | errors.DeadlineExceeded):
                    raise
                _log.info("commits wait", why=known.code)
            await asyncio.sleep(self._every * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    async def _round(self) -> None:
        now = time.time_ns() // 1_000_000
        loop_now = asyncio.get_running_loop().time()
        if loop_now >= self._count_at:
            self._count_at = loop_now + _COUNT_EVERY
            WAITING.set(await self._records.count())
        pace = self._pace
        dirty = await self._records.dirty(
            now - pace.quiet + pace.together, now - pace.busy + pace.together
        )
        turns = asyncio.Semaphore(_AT_ONCE)
        by_project: dict[tuple[str, str], list[Record]] = {}
        for one in dirty:
            if self._left_out.get(one.name, 0.0) > loop_now:
                continue
            by_project.setdefault((one.name.namespace, one.name.project), []).append(one)
        self._not_before = {
            project: moment for project, moment in self._not_before.items() if moment > loop_now
        }
        await asyncio.gather(
            *(
                self._project(project, chosen, turns)
                for project, records in by_project.items()
                if project not in self._not_before and (chosen := due(records, self._pace, now))
            )
        )

    async def _project(
        self, project: tuple[str, str], records: Sequence[Record], turns: asyncio.Semaphore
    ) -> None:
        namespace, name = project
        key = f"lease:repository:{namespace}/{name}"
        why = ""
        async with turns:
            try:
                async with leases.Lease(self._redis.client, key, self._lease):
                    await self._commit(project, [one.name for one in records])
            except errors.Aborted:
                return  # another replica does it
            except Moved:
                # Somebody has pushed, or a writer that was held up: the next round sees it.
                why = "moved"
            except (pygit2.GitError, OSError) as error:
                why = "repository"
                _log.error("cannot commit", project=f"{namespace}/{name}", why=str(error))
            except errors.DomainError as error:
                why = error.code.lower()
                _log.warning("cannot commit", project=f"{namespace}/{name}", code=error.code)
        if why:
            FAILURES.labels(why).inc()
            self._not_before[project] = asyncio.get_running_loop().time() + _AGAIN_AFTER

    async def _commit(self, project: tuple[str, str], documents: Sequence[Name]) -> None:
        """Commit documents; whoever calls holds the project's lease."""
        repository = Repository(location(self._root, *project))
        # Before the texts are read: whatever is committed meanwhile is newer than they are.
        head = await asyncio.to_thread(repository.head)
        texts: dict[str, str | None] = {}
        records: dict[str, Record] = {}
        upto: dict[str, int] = {}
        size = 0
        for name in documents[:_TOGETHER_MOST]:
            record = await self._records.find(name)
            if not record.dirty or size > _TOGETHER_SIZE:
                continue
            try:
                text = await self._texts.stored(record)
                record = await self._known(record, text)
            except errors.NotFound:
                # It was deleted, or noted before it was created, which then failed.
                texts[name.path] = None
            except errors.DomainError as error:
                # The others need not wait for it.
                FAILURES.labels(error.code.lower()).inc()
                _log.warning("document not committed", document=name.key, code=error.code)
                continue
            else:
                texts[name.path] = text.text
                same = text.epoch == record.epoch
                upto[name.path] = text.sequence if same else record.sequence
                size += len(text.text)
            records[name.path] = record
        if not texts:
            return
        started = time.perf_counter()
        made = await asyncio.to_thread(
            repository.commit,
            texts,
            lambda changed: authors([records[path] for path in changed]),
            parent=head,
        )
        if made.id:
            COMMITS.inc()
            SECONDS.observe(time.perf_counter() - started)
            _log.info("committed", project="/".join(project), commit=made.id, paths=len(texts))
        if None in texts.values():
            self._look_again(project)
        for path in made.left_out:
            self._leave_out(records.pop(path).name)
        for path, record in records.items():
            self._left_out.pop(record.name, None)
            if path in upto:
                await self._records.committed(record.name, upto[path])
            else:
                await self._records.forget(record)

    def _leave_out(self, name: Name) -> None:
        """Let a document wait that cannot be in Git: it stays to be committed."""
        if name not in self._left_out:
            LEFT_OUT.inc()
            _log.warning("document cannot be in Git", document=name.key)
        self._left_out[name] = asyncio.get_running_loop().time() + _LEFT_OUT_AGAIN

    def _look_again(self, project: tuple[str, str]) -> None:
        """Try those again that were left out: what was in their way may be gone."""
        for name in self._left_out:
            if (name.namespace, name.project) == project:
                self._left_out[name] = 0.0

    async def _known(self, record: Record, text: Text) -> Record:
        """Return a record that knows all writers of a text.

        Raises:
            errors.Unavailable: They are not known in time (WRITERS_UNKNOWN).
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _WRITERS_SECONDS
        while text.sequence and not (
            record.epoch == text.epoch and record.sequence >= text.sequence
        ):
            if loop.time() > until:
                raise errors.Unavailable(
                    "WRITERS_UNKNOWN", f"Who wrote {record.name.key} is not known yet"
                )
            await asyncio.sleep(_LOOK_EVERY)
            record = await self._records.find(record.name)
        return record


def _due_at(record: Record, pace: Pace) -> int:
    return min(record.changed_at + pace.quiet, record.dirty_at + pace.busy)
