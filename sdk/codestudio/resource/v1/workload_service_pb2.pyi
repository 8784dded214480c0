import datetime

from codestudio.common.v1 import error_pb2 as _error_pb2
from codestudio.common.v1 import options_pb2 as _options_pb2
from codestudio.common.v1 import resources_pb2 as _resources_pb2
from codestudio.common.v1 import stream_pb2 as _stream_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkloadPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKLOAD_PHASE_UNSPECIFIED: _ClassVar[WorkloadPhase]
    WORKLOAD_PHASE_STARTING: _ClassVar[WorkloadPhase]
    WORKLOAD_PHASE_READY: _ClassVar[WorkloadPhase]
    WORKLOAD_PHASE_STOPPING: _ClassVar[WorkloadPhase]
    WORKLOAD_PHASE_STOPPED: _ClassVar[WorkloadPhase]
    WORKLOAD_PHASE_EXITED: _ClassVar[WorkloadPhase]
WORKLOAD_PHASE_UNSPECIFIED: WorkloadPhase
WORKLOAD_PHASE_STARTING: WorkloadPhase
WORKLOAD_PHASE_READY: WorkloadPhase
WORKLOAD_PHASE_STOPPING: WorkloadPhase
WORKLOAD_PHASE_STOPPED: WorkloadPhase
WORKLOAD_PHASE_EXITED: WorkloadPhase

class Workload(_message.Message):
    __slots__ = ("instance_id", "phase", "endpoint", "runtime_id", "start_time", "ready_time", "exit_code", "error", "paths_ready", "spec_hash", "activity", "health", "resources", "at_next_start")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    READY_TIME_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PATHS_READY_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    AT_NEXT_START_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    phase: WorkloadPhase
    endpoint: str
    runtime_id: str
    start_time: _timestamp_pb2.Timestamp
    ready_time: _timestamp_pb2.Timestamp
    exit_code: int
    error: _error_pb2.ErrorDetail
    paths_ready: bool
    spec_hash: str
    activity: WorkloadActivity
    health: WorkloadHealth
    resources: _resources_pb2.Resources
    at_next_start: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, instance_id: _Optional[str] = ..., phase: _Optional[_Union[WorkloadPhase, str]] = ..., endpoint: _Optional[str] = ..., runtime_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ready_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., exit_code: _Optional[int] = ..., error: _Optional[_Union[_error_pb2.ErrorDetail, _Mapping]] = ..., paths_ready: _Optional[bool] = ..., spec_hash: _Optional[str] = ..., activity: _Optional[_Union[WorkloadActivity, _Mapping]] = ..., health: _Optional[_Union[WorkloadHealth, _Mapping]] = ..., resources: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., at_next_start: _Optional[_Iterable[str]] = ...) -> None: ...

class WorkloadHealth(_message.Message):
    __slots__ = ("responding", "since_time")
    RESPONDING_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    responding: bool
    since_time: _timestamp_pb2.Timestamp
    def __init__(self, responding: _Optional[bool] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkloadActivity(_message.Message):
    __slots__ = ("observed_since", "observe_time", "last_input_time", "last_busy_time")
    OBSERVED_SINCE_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_INPUT_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_BUSY_TIME_FIELD_NUMBER: _ClassVar[int]
    observed_since: _timestamp_pb2.Timestamp
    observe_time: _timestamp_pb2.Timestamp
    last_input_time: _timestamp_pb2.Timestamp
    last_busy_time: _timestamp_pb2.Timestamp
    def __init__(self, observed_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_input_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_busy_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ApplyWorkloadRequest(_message.Message):
    __slots__ = ("instance_id", "namespace", "web_port", "callback_port", "resources", "environment")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WEB_PORT_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_PORT_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    namespace: str
    web_port: int
    callback_port: int
    resources: _resources_pb2.Resources
    environment: _containers.ScalarMap[str, str]
    def __init__(self, instance_id: _Optional[str] = ..., namespace: _Optional[str] = ..., web_port: _Optional[int] = ..., callback_port: _Optional[int] = ..., resources: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., environment: _Optional[_Mapping[str, str]] = ...) -> None: ...

class StopWorkloadRequest(_message.Message):
    __slots__ = ("instance_id",)
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    def __init__(self, instance_id: _Optional[str] = ...) -> None: ...

class DeleteWorkloadRequest(_message.Message):
    __slots__ = ("instance_id",)
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    def __init__(self, instance_id: _Optional[str] = ...) -> None: ...

class GetWorkloadRequest(_message.Message):
    __slots__ = ("instance_id",)
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    def __init__(self, instance_id: _Optional[str] = ...) -> None: ...

class ListWorkloadsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWorkloadsResponse(_message.Message):
    __slots__ = ("workloads",)
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    workloads: _containers.RepeatedCompositeFieldContainer[Workload]
    def __init__(self, workloads: _Optional[_Iterable[_Union[Workload, _Mapping]]] = ...) -> None: ...

class WatchWorkloadsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchWorkloadsResponse(_message.Message):
    __slots__ = ("workload", "removed_instance_id", "synced", "heartbeat")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    REMOVED_INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    workload: Workload
    removed_instance_id: str
    synced: bool
    heartbeat: _stream_pb2.Heartbeat
    def __init__(self, workload: _Optional[_Union[Workload, _Mapping]] = ..., removed_instance_id: _Optional[str] = ..., synced: _Optional[bool] = ..., heartbeat: _Optional[_Union[_stream_pb2.Heartbeat, _Mapping]] = ...) -> None: ...

class NotifyWorkloadRequest(_message.Message):
    __slots__ = ("instance_id", "message", "offer_to_keep")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    OFFER_TO_KEEP_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    message: str
    offer_to_keep: bool
    def __init__(self, instance_id: _Optional[str] = ..., message: _Optional[str] = ..., offer_to_keep: _Optional[bool] = ...) -> None: ...

class GetWorkloadLogsRequest(_message.Message):
    __slots__ = ("instance_id", "tail_lines")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    tail_lines: int
    def __init__(self, instance_id: _Optional[str] = ..., tail_lines: _Optional[int] = ...) -> None: ...

class WorkloadLogs(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, lines: _Optional[_Iterable[str]] = ...) -> None: ...
