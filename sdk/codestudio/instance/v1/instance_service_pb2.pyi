import datetime

from codestudio.common.v1 import error_pb2 as _error_pb2
from codestudio.common.v1 import options_pb2 as _options_pb2
from codestudio.common.v1 import stream_pb2 as _stream_pb2
from codestudio.instance.v1 import instance_pb2 as _instance_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateInstanceRequest(_message.Message):
    __slots__ = ("config", "request_id", "validate_only")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    config: _instance_pb2.InstanceConfig
    request_id: str
    validate_only: bool
    def __init__(self, config: _Optional[_Union[_instance_pb2.InstanceConfig, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class GetInstanceRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListInstancesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "filter")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    filter: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ...) -> None: ...

class ListInstancesResponse(_message.Message):
    __slots__ = ("instances", "next_page_token")
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    instances: _containers.RepeatedCompositeFieldContainer[_instance_pb2.Instance]
    next_page_token: str
    def __init__(self, instances: _Optional[_Iterable[_Union[_instance_pb2.Instance, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateInstanceRequest(_message.Message):
    __slots__ = ("instance", "update_mask", "validate_only")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    instance: _instance_pb2.Instance
    update_mask: _field_mask_pb2.FieldMask
    validate_only: bool
    def __init__(self, instance: _Optional[_Union[_instance_pb2.Instance, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class DeleteInstanceRequest(_message.Message):
    __slots__ = ("id", "etag", "allow_missing")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    ALLOW_MISSING_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    allow_missing: bool
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ..., allow_missing: _Optional[bool] = ...) -> None: ...

class StartInstanceRequest(_message.Message):
    __slots__ = ("id", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class StopInstanceRequest(_message.Message):
    __slots__ = ("id", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class KeepInstanceAliveRequest(_message.Message):
    __slots__ = ("id", "duration")
    ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    id: str
    duration: _duration_pb2.Duration
    def __init__(self, id: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class BatchCreateInstancesRequest(_message.Message):
    __slots__ = ("configs", "request_id")
    CONFIGS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    configs: _containers.RepeatedCompositeFieldContainer[_instance_pb2.InstanceConfig]
    request_id: str
    def __init__(self, configs: _Optional[_Iterable[_Union[_instance_pb2.InstanceConfig, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class BatchCreateResult(_message.Message):
    __slots__ = ("instance", "error")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    instance: _instance_pb2.Instance
    error: _error_pb2.ErrorDetail
    def __init__(self, instance: _Optional[_Union[_instance_pb2.Instance, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class BatchCreateInstancesResponse(_message.Message):
    __slots__ = ("results", "created", "failed")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchCreateResult]
    created: int
    failed: int
    def __init__(self, results: _Optional[_Iterable[_Union[BatchCreateResult, _Mapping]]] = ..., created: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class GetInstanceStatusRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class InstanceStatus(_message.Message):
    __slots__ = ("id", "state", "desired_state", "reconciling", "conditions", "failure", "stop_reason", "version", "update_time", "scheduled_stop_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DESIRED_STATE_FIELD_NUMBER: _ClassVar[int]
    RECONCILING_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_STOP_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: _instance_pb2.InstanceState
    desired_state: _instance_pb2.DesiredState
    reconciling: bool
    conditions: _containers.RepeatedCompositeFieldContainer[_instance_pb2.Condition]
    failure: _instance_pb2.Failure
    stop_reason: _instance_pb2.StopReason
    version: int
    update_time: _timestamp_pb2.Timestamp
    scheduled_stop_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[_instance_pb2.InstanceState, str]] = ..., desired_state: _Optional[_Union[_instance_pb2.DesiredState, str]] = ..., reconciling: _Optional[bool] = ..., conditions: _Optional[_Iterable[_Union[_instance_pb2.Condition, _Mapping]]] = ..., failure: _Optional[_Union[_instance_pb2.Failure, _Mapping]] = ..., stop_reason: _Optional[_Union[_instance_pb2.StopReason, str]] = ..., version: _Optional[int] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scheduled_stop_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetInstanceLogsRequest(_message.Message):
    __slots__ = ("id", "tail_lines")
    ID_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    id: str
    tail_lines: int
    def __init__(self, id: _Optional[str] = ..., tail_lines: _Optional[int] = ...) -> None: ...

class InstanceLogs(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, lines: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchInstancesRequest(_message.Message):
    __slots__ = ("filter", "resume_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: str
    resume_token: str
    def __init__(self, filter: _Optional[str] = ..., resume_token: _Optional[str] = ...) -> None: ...

class InstanceEvent(_message.Message):
    __slots__ = ("type", "instance")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[InstanceEvent.Type]
        TYPE_ADDED: _ClassVar[InstanceEvent.Type]
        TYPE_MODIFIED: _ClassVar[InstanceEvent.Type]
        TYPE_REMOVED: _ClassVar[InstanceEvent.Type]
    TYPE_UNSPECIFIED: InstanceEvent.Type
    TYPE_ADDED: InstanceEvent.Type
    TYPE_MODIFIED: InstanceEvent.Type
    TYPE_REMOVED: InstanceEvent.Type
    TYPE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    type: InstanceEvent.Type
    instance: _instance_pb2.Instance
    def __init__(self, type: _Optional[_Union[InstanceEvent.Type, str]] = ..., instance: _Optional[_Union[_instance_pb2.Instance, _Mapping]] = ...) -> None: ...

class WatchInstancesResponse(_message.Message):
    __slots__ = ("event", "synced", "heartbeat", "error", "resume_token")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    event: InstanceEvent
    synced: Synced
    heartbeat: _stream_pb2.Heartbeat
    error: _error_pb2.ErrorDetail
    resume_token: str
    def __init__(self, event: _Optional[_Union[InstanceEvent, _Mapping]] = ..., synced: _Optional[_Union[Synced, _Mapping]] = ..., heartbeat: _Optional[_Union[_stream_pb2.Heartbeat, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.ErrorDetail, _Mapping]] = ..., resume_token: _Optional[str] = ...) -> None: ...

class Synced(_message.Message):
    __slots__ = ("instances",)
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    instances: int
    def __init__(self, instances: _Optional[int] = ...) -> None: ...
