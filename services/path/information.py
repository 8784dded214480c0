"""Where an instance's directories are and whether they can be used: looked at, or as kept."""

import dataclasses
import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any, Self

import structlog

from services.chassis import clock, metrics
from services.path import layout
from services.path.changes import Changes
from services.path.filesystem import FileSystem, Finding
from services.path.names import BadPathError, Parts, relative
from services.path.store import Store, Unreachable

_log = structlog.get_logger(__name__)

_CACHE = "path_info"
_VALID, _INVALID = "valid", "invalid"  # the specification's words


@dataclasses.dataclass(frozen=True, slots=True)
class Detail:
    """State of one path."""

    path_type: str
    path: str
    exists: bool
    accessible: bool
    message: str = ""

    @property
    def valid(self) -> bool:
        """Whether it can be used."""
        return self.exists and self.accessible


@dataclasses.dataclass(frozen=True, slots=True)
class Information:
    """The directories of an instance."""

    instance_id: str
    details: Sequence[Detail]
    """Of each directory: the instance's own first, then in the order of the layout."""
    timestamp: datetime.datetime
    """When they were looked at."""
    cached: bool = False

    @property
    def paths(self) -> dict[str, str]:
        """Where each is, by its type."""
        return {detail.path_type: detail.path for detail in self.details}

    @property
    def valid(self) -> bool:
        """Whether all can be used."""
        return all(detail.valid for detail in self.details)

    def to_json(self) -> str:
        """Write it as the specification keeps it."""
        details = [
            {
                "path_type": detail.path_type,
                "path": detail.path,
                "exists": detail.exists,
                "accessible": detail.accessible,
                "status": _VALID if detail.valid else _INVALID,
                "message": detail.message,
            }
            for detail in self.details
        ]
        return json.dumps(
            {
                "instance_id": self.instance_id,
                "paths": self.paths,
                "overall_status": _VALID if self.valid else _INVALID,
                "details": details,
                "timestamp": clock.iso(self.timestamp),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: It is something else.
        """
        kept: dict[str, Any] = json.loads(text)
        names = [field.name for field in dataclasses.fields(Detail)]
        return cls(
            instance_id=kept["instance_id"],
            details=[Detail(**{name: each[name] for name in names}) for each in kept["details"]],
            timestamp=clock.parse(kept["timestamp"]),
            cached=True,
        )


class PathInformation:
    """Tells the state of paths."""

    def __init__(
        self,
        *,
        files: FileSystem,
        store: Store,
        changes: Changes,
        keep_seconds: Callable[[], int],
    ) -> None:
        """Prepare.

        Args:
            files: The file system.
            store: Where answers are kept.
            changes: Tells which of them still hold.
            keep_seconds: Gives how long to keep them; 0 keeps none.
        """
        self._files = files
        self._store = store
        self._changes = changes
        self._keep_seconds = keep_seconds

    async def get(self, instance_id: str, *, refresh: bool = False) -> Information:
        """Give the directories of an instance.

        Args:
            instance_id: The instance.
            refresh: Look, also where a kept answer holds.
        """
        if not refresh and (kept := await self._kept(instance_id)) is not None:
            return kept
        # To the millisecond, as it is kept: not later than what was seen.
        began = clock.parse(clock.iso(clock.now()))
        with self._changes.looking(instance_id) as mark:
            found = Information(instance_id, await self._look(instance_id), began)
            if self._keep_seconds() and self._changes.trusts(began):
                await self._keep(found)
                if mark.outdated:
                    await self._changes.drop(instance_id)
        return found

    async def validate(self, instance_id: str, paths: Sequence[str]) -> list[Detail]:
        """Look at paths as a client wrote them, in the order given; at all directories if none."""
        if not paths:
            return await self._look(instance_id)
        parts: dict[int, Parts] = {}
        refused: dict[int, str] = {}
        for number, path in enumerate(paths):
            try:
                parts[number] = relative(path)
            except BadPathError as error:
                refused[number] = str(error)
        found = await self._files.inspect(instance_id, list(parts.values()))
        findings = dict(zip(parts, found, strict=True))
        return [
            _detail(layout.path_type(parts[number]), path, findings[number])
            if number in parts
            else Detail(layout.CUSTOM, path[:_SHOWN], False, False, refused[number])
            for number, path in enumerate(paths)
        ]

    async def distrust(self, instance_id: str) -> None:
        """Forget what is kept of an instance: something was just seen to be otherwise."""
        await self._changes.drop(instance_id)

    async def _look(self, instance_id: str) -> list[Detail]:
        root = self._files.location(instance_id)
        directories = [(layout.PROJECT_ROOT, b""), *layout.DIRECTORIES.items()]
        findings = await self._files.inspect(
            instance_id, [(name,) if name else () for _, name in directories]
        )
        return [
            _detail(path_type, f"{root}/{name.decode()}" if name else root, finding)
            for (path_type, name), finding in zip(directories, findings, strict=True)
        ]

    async def _kept(self, instance_id: str) -> Information | None:
        if not self._keep_seconds():
            return None
        try:
            text = await self._store.get(instance_id)
        except Unreachable:
            metrics.CACHE_REQUESTS.labels(_CACHE, "error").inc()
            return None
        found = self._read(instance_id, text) if text is not None else None
        metrics.CACHE_REQUESTS.labels(_CACHE, "miss" if found is None else "hit").inc()
        return found

    def _read(self, instance_id: str, text: str) -> Information | None:
        try:
            found = Information.from_json(text)
        except (ValueError, KeyError, TypeError) as error:
            # Of another release, or not ours at all.
            _log.warning("kept path info unreadable", instance_id=instance_id, why=repr(error))
            return None
        if not self._changes.trusts(found.timestamp):
            return None
        # Whoever moved the directories did not tell NATS.
        at_home = found.paths.get(layout.PROJECT_ROOT) == self._files.location(instance_id)
        return found if at_home else None

    async def _keep(self, found: Information) -> None:
        try:
            await self._store.put(found.instance_id, found.to_json(), self._keep_seconds())
        except Unreachable:
            _log.debug("path info not kept", instance_id=found.instance_id)


_SHOWN = 4096
"""Characters given back of a path that is none."""


def _detail(path_type: str, path: str, finding: Finding) -> Detail:
    if path_type != layout.CUSTOM and finding.exists and not finding.is_directory:
        return Detail(path_type, path, True, False, "is no directory")
    return Detail(path_type, path, finding.exists, finding.accessible, finding.reason)
