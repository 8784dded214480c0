import datetime

from codestudio.common.v1 import options_pb2 as _options_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PathStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PATH_STATUS_UNSPECIFIED: _ClassVar[PathStatus]
    PATH_STATUS_VALID: _ClassVar[PathStatus]
    PATH_STATUS_INVALID: _ClassVar[PathStatus]

class EntryType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_TYPE_UNSPECIFIED: _ClassVar[EntryType]
    ENTRY_TYPE_FILE: _ClassVar[EntryType]
    ENTRY_TYPE_DIRECTORY: _ClassVar[EntryType]
    ENTRY_TYPE_SYMLINK: _ClassVar[EntryType]
    ENTRY_TYPE_OTHER: _ClassVar[EntryType]
PATH_STATUS_UNSPECIFIED: PathStatus
PATH_STATUS_VALID: PathStatus
PATH_STATUS_INVALID: PathStatus
ENTRY_TYPE_UNSPECIFIED: EntryType
ENTRY_TYPE_FILE: EntryType
ENTRY_TYPE_DIRECTORY: EntryType
ENTRY_TYPE_SYMLINK: EntryType
ENTRY_TYPE_OTHER: EntryType

class PathConfiguration(_message.Message):
    __slots__ = ("project_root", "user_data", "extensions", "workspace", "logs", "temp")
    PROJECT_ROOT_FIELD_NUMBER: _ClassVar[int]
    USER_DATA_FIELD_NUMBER: _ClassVar[int]
    EXTENSIONS_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    TEMP_FIELD_NUMBER: _ClassVar[int]
    project_root: str
    user_data: str
    extensions: str
    workspace: str
    logs: str
    temp: str
    def __init__(self, project_root: _Optional[str] = ..., user_data: _Optional[str] = ..., extensions: _Optional[str] = ..., workspace: _Optional[str] = ..., logs: _Optional[str] = ..., temp: _Optional[str] = ...) -> None: ...

class PathDetail(_message.Message):
    __slots__ = ("path_type", "path", "exists", "accessible", "status", "message")
    PATH_TYPE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    EXISTS_FIELD_NUMBER: _ClassVar[int]
    ACCESSIBLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    path_type: str
    path: str
    exists: bool
    accessible: bool
    status: PathStatus
    message: str
    def __init__(self, path_type: _Optional[str] = ..., path: _Optional[str] = ..., exists: _Optional[bool] = ..., accessible: _Optional[bool] = ..., status: _Optional[_Union[PathStatus, str]] = ..., message: _Optional[str] = ...) -> None: ...

class GetPathInfoRequest(_message.Message):
    __slots__ = ("instance_id", "refresh")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    REFRESH_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    refresh: bool
    def __init__(self, instance_id: _Optional[str] = ..., refresh: _Optional[bool] = ...) -> None: ...

class PathInfo(_message.Message):
    __slots__ = ("instance_id", "paths", "overall_status", "details", "timestamp", "cached")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    OVERALL_STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    paths: PathConfiguration
    overall_status: PathStatus
    details: _containers.RepeatedCompositeFieldContainer[PathDetail]
    timestamp: _timestamp_pb2.Timestamp
    cached: bool
    def __init__(self, instance_id: _Optional[str] = ..., paths: _Optional[_Union[PathConfiguration, _Mapping]] = ..., overall_status: _Optional[_Union[PathStatus, str]] = ..., details: _Optional[_Iterable[_Union[PathDetail, _Mapping]]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cached: _Optional[bool] = ...) -> None: ...

class ValidatePathsRequest(_message.Message):
    __slots__ = ("instance_id", "paths")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, instance_id: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ...) -> None: ...

class ValidationResult(_message.Message):
    __slots__ = ("overall_status", "details", "timestamp")
    OVERALL_STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    overall_status: PathStatus
    details: _containers.RepeatedCompositeFieldContainer[PathDetail]
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, overall_status: _Optional[_Union[PathStatus, str]] = ..., details: _Optional[_Iterable[_Union[PathDetail, _Mapping]]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetProjectStructureRequest(_message.Message):
    __slots__ = ("instance_id", "path", "depth", "ignore", "include_ignored", "page_size", "page_token")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    IGNORE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_IGNORED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    path: str
    depth: int
    ignore: _containers.RepeatedScalarFieldContainer[str]
    include_ignored: bool
    page_size: int
    page_token: str
    def __init__(self, instance_id: _Optional[str] = ..., path: _Optional[str] = ..., depth: _Optional[int] = ..., ignore: _Optional[_Iterable[str]] = ..., include_ignored: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("path", "type", "size", "modify_time", "link_target", "link_outside", "unreadable")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MODIFY_TIME_FIELD_NUMBER: _ClassVar[int]
    LINK_TARGET_FIELD_NUMBER: _ClassVar[int]
    LINK_OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_FIELD_NUMBER: _ClassVar[int]
    path: str
    type: EntryType
    size: float
    modify_time: _timestamp_pb2.Timestamp
    link_target: str
    link_outside: bool
    unreadable: bool
    def __init__(self, path: _Optional[str] = ..., type: _Optional[_Union[EntryType, str]] = ..., size: _Optional[float] = ..., modify_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., link_target: _Optional[str] = ..., link_outside: _Optional[bool] = ..., unreadable: _Optional[bool] = ...) -> None: ...

class ProjectStructure(_message.Message):
    __slots__ = ("instance_id", "root", "entries", "next_page_token", "timestamp")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    root: str
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_page_token: str
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, instance_id: _Optional[str] = ..., root: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PathTestConfig(_message.Message):
    __slots__ = ("path_types", "probe_size")
    PATH_TYPES_FIELD_NUMBER: _ClassVar[int]
    PROBE_SIZE_FIELD_NUMBER: _ClassVar[int]
    path_types: _containers.RepeatedScalarFieldContainer[str]
    probe_size: int
    def __init__(self, path_types: _Optional[_Iterable[str]] = ..., probe_size: _Optional[int] = ...) -> None: ...

class TestPathsRequest(_message.Message):
    __slots__ = ("instance_id", "test_config")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TEST_CONFIG_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    test_config: PathTestConfig
    def __init__(self, instance_id: _Optional[str] = ..., test_config: _Optional[_Union[PathTestConfig, _Mapping]] = ...) -> None: ...

class PathTest(_message.Message):
    __slots__ = ("path_type", "path", "passed", "write_latency", "read_latency", "free_bytes", "message")
    PATH_TYPE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    WRITE_LATENCY_FIELD_NUMBER: _ClassVar[int]
    READ_LATENCY_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    path_type: str
    path: str
    passed: bool
    write_latency: _duration_pb2.Duration
    read_latency: _duration_pb2.Duration
    free_bytes: float
    message: str
    def __init__(self, path_type: _Optional[str] = ..., path: _Optional[str] = ..., passed: _Optional[bool] = ..., write_latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., read_latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., free_bytes: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class TestResult(_message.Message):
    __slots__ = ("instance_id", "overall_status", "details", "timestamp")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    OVERALL_STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    overall_status: PathStatus
    details: _containers.RepeatedCompositeFieldContainer[PathTest]
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, instance_id: _Optional[str] = ..., overall_status: _Optional[_Union[PathStatus, str]] = ..., details: _Optional[_Iterable[_Union[PathTest, _Mapping]]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
