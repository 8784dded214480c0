"""The contract of the path service, in terms of its domain."""

import datetime
from collections.abc import Sequence
from typing import Any, TypeAlias

import grpc
from codestudio.path.v1 import path_service_pb2, path_service_pb2_grpc
from google.protobuf import duration_pb2, timestamp_pb2
from prometheus_client import Counter

from services.chassis import clock
from services.chassis.validation import Violations
from services.path import layout, names, requests, tokens
from services.path.filesystem import Entry, FileSystem, Kind, Probe
from services.path.information import Detail, PathInformation
from services.path.visibility import Visibility

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_FAILED = Counter(
    "codestudio_path_test_failures",
    "Directories that failed a test, by the step that failed.",
    ("path_type", "step"),
)

_VALID = path_service_pb2.PATH_STATUS_VALID
_INVALID = path_service_pb2.PATH_STATUS_INVALID
_KINDS = {
    Kind.FILE: path_service_pb2.ENTRY_TYPE_FILE,
    Kind.DIRECTORY: path_service_pb2.ENTRY_TYPE_DIRECTORY,
    Kind.SYMLINK: path_service_pb2.ENTRY_TYPE_SYMLINK,
    Kind.OTHER: path_service_pb2.ENTRY_TYPE_OTHER,
}
_BILLION = 1_000_000_000
# What a Timestamp may be; the time of a file may be anything.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


class PathServicer(path_service_pb2_grpc.PathServiceServicer):
    """Directories and files of instances."""

    def __init__(
        self, *, visibility: Visibility, information: PathInformation, files: FileSystem
    ) -> None:
        self._visibility = visibility
        self._information = information
        self._files = files

    async def GetPathInfo(
        self, request: path_service_pb2.GetPathInfoRequest, context: _Context
    ) -> path_service_pb2.PathInfo:
        """Return the directories of an instance and their state."""
        wrong = Violations()
        instance_id = requests.instance_id(wrong, request.instance_id)
        wrong.check()
        await self._visibility.check(instance_id)
        found = await self._information.get(instance_id, refresh=request.refresh)
        return path_service_pb2.PathInfo(
            instance_id=instance_id,
            paths=path_service_pb2.PathConfiguration(**found.paths),
            overall_status=_status(found.valid),
            details=map(_detail, found.details),
            timestamp=_timestamp(found.timestamp),
            cached=found.cached,
        )

    async def ValidatePaths(
        self, request: path_service_pb2.ValidatePathsRequest, context: _Context
    ) -> path_service_pb2.ValidationResult:
        """Tell of each path whether it exists and can be used."""
        wrong = Violations()
        instance_id = requests.instance_id(wrong, request.instance_id)
        paths = requests.paths(wrong, request)
        wrong.check()
        await self._visibility.check(instance_id)
        now = clock.now()
        details = await self._information.validate(instance_id, paths)
        return path_service_pb2.ValidationResult(
            overall_status=_status(all(detail.valid for detail in details)),
            details=map(_detail, details),
            timestamp=_timestamp(now),
        )

    async def GetProjectStructure(
        self, request: path_service_pb2.GetProjectStructureRequest, context: _Context
    ) -> path_service_pb2.ProjectStructure:
        """Return a page of what is in a workspace."""
        wrong = Violations()
        instance_id = requests.instance_id(wrong, request.instance_id)
        listing, question = requests.listing(wrong, request)
        wrong.check()
        await self._visibility.check(instance_id)
        now = clock.now()
        page = await self._files.page(instance_id, listing)
        return path_service_pb2.ProjectStructure(
            instance_id=instance_id,
            root=names.join(listing.path),
            entries=map(_entry, page.entries),
            next_page_token=tokens.write(question, page.resume) if page.resume else "",
            timestamp=_timestamp(now),
        )

    async def TestPaths(
        self, request: path_service_pb2.TestPathsRequest, context: _Context
    ) -> path_service_pb2.TestResult:
        """Test directories by using them."""
        wrong = Violations()
        instance_id = requests.instance_id(wrong, request.instance_id)
        path_types, size = requests.directories(wrong, request.test_config)
        wrong.check()
        await self._visibility.check(instance_id)
        now = clock.now()
        probes = await self._files.probe(
            instance_id, [layout.DIRECTORIES[each] for each in path_types], size
        )
        if any(probe.failed_step for probe in probes):
            await self._information.distrust(instance_id)
        root = self._files.location(instance_id)
        return path_service_pb2.TestResult(
            instance_id=instance_id,
            overall_status=_status(not any(probe.failed_step for probe in probes)),
            details=_tests(path_types, probes, root),
            timestamp=_timestamp(now),
        )


def _status(valid: bool) -> path_service_pb2.PathStatus:
    return _VALID if valid else _INVALID


def _detail(detail: Detail) -> path_service_pb2.PathDetail:
    return path_service_pb2.PathDetail(
        path_type=detail.path_type,
        path=detail.path,
        exists=detail.exists,
        accessible=detail.accessible,
        status=_status(detail.valid),
        message=detail.message,
    )


def _entry(entry: Entry) -> path_service_pb2.Entry:
    seconds, nanos = divmod(entry.modified_ns, _BILLION)
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        seconds, nanos = max(_FIRST_SECOND, min(seconds, _LAST_SECOND)), 0
    return path_service_pb2.Entry(
        path=names.join(entry.path),
        type=_KINDS[entry.kind],
        size=entry.size,
        modify_time=timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos),
        link_target=names.text(entry.link_target),
        link_outside=entry.link_outside,
        unreadable=entry.unreadable,
    )


def _tests(
    path_types: Sequence[str], probes: Sequence[Probe], root: str
) -> list[path_service_pb2.PathTest]:
    tests = []
    for path_type, probe in zip(path_types, probes, strict=True):
        if probe.failed_step:
            _FAILED.labels(path_type, probe.failed_step).inc()
        tests.append(
            path_service_pb2.PathTest(
                path_type=path_type,
                path=f"{root}/{layout.DIRECTORIES[path_type].decode()}",
                passed=not probe.failed_step,
                write_latency=_duration(probe.write_seconds),
                read_latency=_duration(probe.read_seconds),
                free_bytes=probe.free_bytes,
                message=f"{probe.failed_step}: {probe.reason}" if probe.failed_step else "",
            )
        )
    return tests


def _duration(seconds: float) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=int(seconds), nanos=int(seconds % 1 * _BILLION))


def _timestamp(moment: datetime.datetime) -> timestamp_pb2.Timestamp:
    timestamp = timestamp_pb2.Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
