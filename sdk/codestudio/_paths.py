"""Paths: where an instance's directories are, whether they work, what is in them."""

import datetime
import enum
from collections.abc import Iterable
from typing import NamedTuple

from codestudio import _messages
from codestudio._pager import AsyncPager
from codestudio._services import PathService
from codestudio.path.v1 import path_service_pb2


class PathStatus(enum.StrEnum):
    """Whether a path can be used."""

    UNSPECIFIED = "UNSPECIFIED"
    VALID = "VALID"
    INVALID = "INVALID"


class EntryType(enum.StrEnum):
    """What an entry of a workspace is."""

    UNSPECIFIED = "UNSPECIFIED"
    FILE = "FILE"
    DIRECTORY = "DIRECTORY"
    SYMLINK = "SYMLINK"
    OTHER = "OTHER"


class PathConfiguration(NamedTuple):
    """Where the directories of an instance are."""

    project_root: str
    """The instance's own directory, which holds all the others."""
    user_data: str
    """Settings and state of the editor."""
    extensions: str
    """Extensions of the editor."""
    workspace: str
    """The developer's files."""
    logs: str
    """What the editor writes of its own doings."""
    temp: str
    """Files that may vanish at any stop."""


class PathDetail(NamedTuple):
    """State of one path."""

    path_type: str
    """"project_root", "user_data", "extensions", "workspace", "logs", "temp" or "custom"."""
    path: str
    """The path."""
    exists: bool
    """Whether it exists."""
    accessible: bool
    """Whether it can be read and written."""
    status: PathStatus
    """Both together."""
    message: str
    """Why it is invalid."""


class PathTest(NamedTuple):
    """What testing one directory gave."""

    path_type: str
    """Which directory."""
    path: str
    """Where it is."""
    passed: bool
    """Whether every step worked."""
    write_latency: datetime.timedelta
    """Time to write the probe and sync it to disk."""
    read_latency: datetime.timedelta
    """Time to read it back."""
    free_bytes: int
    """Bytes free on its file system."""
    message: str
    """The step that failed and why."""


class PathInfo(_messages.View[path_service_pb2.PathInfo]):
    """The directories of an instance. True where all of them are valid."""

    @property
    def instance_id(self) -> str:
        """The instance."""
        return self.proto.instance_id

    @property
    def paths(self) -> PathConfiguration:
        """Where they are."""
        paths = self.proto.paths
        return PathConfiguration(*(getattr(paths, name) for name in PathConfiguration._fields))

    @property
    def overall_status(self) -> PathStatus:
        """VALID if every one is."""
        return _status(self.proto.overall_status)

    @property
    def details(self) -> tuple[PathDetail, ...]:
        """State of each."""
        return tuple(map(_detail, self.proto.details))

    @property
    def timestamp(self) -> datetime.datetime | None:
        """When it was looked at."""
        return _messages.time(self.proto, "timestamp")

    @property
    def cached(self) -> bool:
        """Whether this answer came from the cache."""
        return self.proto.cached

    def __bool__(self) -> bool:
        return self.overall_status is PathStatus.VALID


class PathValidation(_messages.View[path_service_pb2.ValidationResult]):
    """What is true of paths. True where all of them are valid."""

    @property
    def overall_status(self) -> PathStatus:
        """VALID if every path is."""
        return _status(self.proto.overall_status)

    @property
    def details(self) -> tuple[PathDetail, ...]:
        """One for each path, in the same order."""
        return tuple(map(_detail, self.proto.details))

    @property
    def timestamp(self) -> datetime.datetime | None:
        """When it was looked at."""
        return _messages.time(self.proto, "timestamp")

    def __bool__(self) -> bool:
        return self.overall_status is PathStatus.VALID


class PathTestResult(_messages.View[path_service_pb2.TestResult]):
    """What testing directories gave. True where all of them passed."""

    @property
    def instance_id(self) -> str:
        """The instance."""
        return self.proto.instance_id

    @property
    def overall_status(self) -> PathStatus:
        """VALID if every test passed."""
        return _status(self.proto.overall_status)

    @property
    def details(self) -> tuple[PathTest, ...]:
        """One for each directory tested."""
        return tuple(map(_test, self.proto.details))

    @property
    def timestamp(self) -> datetime.datetime | None:
        """When it was tested."""
        return _messages.time(self.proto, "timestamp")

    def __bool__(self) -> bool:
        return self.overall_status is PathStatus.VALID


class ProjectEntry(_messages.View[path_service_pb2.Entry]):
    """One file, directory or link of a workspace."""

    @property
    def path(self) -> str:
        r"""Path from the workspace; bytes that are not UTF-8 are escaped as ``\xNN``."""
        return self.proto.path

    @property
    def type(self) -> EntryType:
        """What it is."""
        return _messages.name(EntryType, path_service_pb2.EntryType, "ENTRY_TYPE_", self.proto.type)

    @property
    def size(self) -> int:
        """Size in bytes; 0 for directories."""
        return int(self.proto.size)

    @property
    def modify_time(self) -> datetime.datetime | None:
        """When it last changed."""
        return _messages.time(self.proto, "modify_time")

    @property
    def link_target(self) -> str:
        """Where a link points, as written in it."""
        return self.proto.link_target

    @property
    def link_outside(self) -> bool:
        """Whether a link points outside the instance."""
        return self.proto.link_outside

    @property
    def unreadable(self) -> bool:
        """Whether it is a directory that cannot be read."""
        return self.proto.unreadable


class AsyncPaths:
    """The directories and files of instances; `client.paths`.

    All methods raise CodeStudioError; `timeout` is in seconds.
    """

    def __init__(self, service: PathService) -> None:
        self._service = service

    async def info(
        self, instance_id: str, *, refresh: bool = False, timeout: float | None = None
    ) -> PathInfo:
        """Give an instance's directories and their state.

        The answer may be up to five minutes old (`PathInfo.cached`), as long as the instance has
        not changed since; `refresh` has it looked at now.
        """
        request = path_service_pb2.GetPathInfoRequest(instance_id=instance_id, refresh=refresh)
        return PathInfo(await self._service.get_path_info(request, timeout=timeout))

    async def validate(
        self, instance_id: str, paths: Iterable[str] = (), *, timeout: float | None = None
    ) -> PathValidation:
        """Tell of each path whether it exists in the instance and can be used.

        Paths are relative to the instance's own directory, such as "workspace/src"; at most
        1000. Without any, all its directories are looked at.
        """
        request = path_service_pb2.ValidatePathsRequest(instance_id=instance_id, paths=paths)
        return PathValidation(await self._service.validate_paths(request, timeout=timeout))

    def structure(
        self,
        instance_id: str,
        path: str = "",
        *,
        depth: int = 0,
        ignore: Iterable[str] = (),
        include_ignored: bool = False,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> AsyncPager[ProjectEntry]:
        """List what is in a workspace: depth first, names in byte order.

        What .gitignore files leave out is left out, and `.git`, unless `include_ignored`; and
        what the patterns of `ignore` name. `path` is a directory to begin at, `depth` how many
        levels below it (0: all). `page_size` is 1 to 10000, by default 1000; `timeout` counts
        for each page.
        """
        patterns = list(ignore)

        async def fetch(token: str) -> path_service_pb2.ProjectStructure:
            request = path_service_pb2.GetProjectStructureRequest(
                instance_id=instance_id,
                path=path,
                depth=depth,
                ignore=patterns,
                include_ignored=include_ignored,
                page_size=page_size,
                page_token=token or page_token,
            )
            return await self._service.get_project_structure(request, timeout=timeout)

        return AsyncPager(fetch, "entries", ProjectEntry)

    async def test(
        self,
        instance_id: str,
        path_types: Iterable[str] = (),
        *,
        probe_size: int = 0,
        timeout: float | None = None,
    ) -> PathTestResult:
        """Write, sync, read back and remove a file in each directory, and measure it.

        `path_types` are some of "user_data", "extensions", "workspace", "logs", "temp"; without
        any, all. `probe_size` is 1 to 16777216 bytes, by default 4096.
        """
        config = path_service_pb2.PathTestConfig(path_types=path_types, probe_size=probe_size)
        request = path_service_pb2.TestPathsRequest(instance_id=instance_id, test_config=config)
        return PathTestResult(await self._service.test_paths(request, timeout=timeout))


def _status(number: int) -> PathStatus:
    return _messages.name(PathStatus, path_service_pb2.PathStatus, "PATH_STATUS_", number)


def _detail(message: path_service_pb2.PathDetail) -> PathDetail:
    return PathDetail(
        message.path_type,
        message.path,
        message.exists,
        message.accessible,
        _status(message.status),
        message.message,
    )


def _test(message: path_service_pb2.PathTest) -> PathTest:
    return PathTest(
        message.path_type,
        message.path,
        message.passed,
        message.write_latency.ToTimedelta(),
        message.read_latency.ToTimedelta(),
        int(message.free_bytes),
        message.message,
    )
