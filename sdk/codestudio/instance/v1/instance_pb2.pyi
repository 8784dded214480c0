import datetime

from codestudio.common.v1 import resources_pb2 as _resources_pb2
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

class InstanceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INSTANCE_STATE_UNSPECIFIED: _ClassVar[InstanceState]
    INSTANCE_STATE_PENDING: _ClassVar[InstanceState]
    INSTANCE_STATE_STARTING: _ClassVar[InstanceState]
    INSTANCE_STATE_RUNNING: _ClassVar[InstanceState]
    INSTANCE_STATE_STOPPING: _ClassVar[InstanceState]
    INSTANCE_STATE_STOPPED: _ClassVar[InstanceState]
    INSTANCE_STATE_DELETING: _ClassVar[InstanceState]
    INSTANCE_STATE_FAILING: _ClassVar[InstanceState]
    INSTANCE_STATE_FAILED: _ClassVar[InstanceState]

class DesiredState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DESIRED_STATE_UNSPECIFIED: _ClassVar[DesiredState]
    DESIRED_STATE_RUNNING: _ClassVar[DesiredState]
    DESIRED_STATE_STOPPED: _ClassVar[DesiredState]
    DESIRED_STATE_DELETED: _ClassVar[DesiredState]

class StopReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STOP_REASON_UNSPECIFIED: _ClassVar[StopReason]
    STOP_REASON_USER: _ClassVar[StopReason]
    STOP_REASON_IDLE: _ClassVar[StopReason]
    STOP_REASON_MAX_LIFETIME: _ClassVar[StopReason]
    STOP_REASON_FAILED: _ClassVar[StopReason]
    STOP_REASON_EXITED: _ClassVar[StopReason]

class FailureClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_CLASS_UNSPECIFIED: _ClassVar[FailureClass]
    FAILURE_CLASS_USER: _ClassVar[FailureClass]
    FAILURE_CLASS_CAPACITY: _ClassVar[FailureClass]
    FAILURE_CLASS_RUNTIME: _ClassVar[FailureClass]
    FAILURE_CLASS_INTERNAL: _ClassVar[FailureClass]

class ConditionType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONDITION_TYPE_UNSPECIFIED: _ClassVar[ConditionType]
    CONDITION_TYPE_QUOTA_RESERVED: _ClassVar[ConditionType]
    CONDITION_TYPE_RESOURCES_ALLOCATED: _ClassVar[ConditionType]
    CONDITION_TYPE_PATHS_READY: _ClassVar[ConditionType]
    CONDITION_TYPE_WORKLOAD_CREATED: _ClassVar[ConditionType]
    CONDITION_TYPE_EDITOR_READY: _ClassVar[ConditionType]
    CONDITION_TYPE_IN_USE: _ClassVar[ConditionType]
    CONDITION_TYPE_RESPONDING: _ClassVar[ConditionType]
INSTANCE_STATE_UNSPECIFIED: InstanceState
INSTANCE_STATE_PENDING: InstanceState
INSTANCE_STATE_STARTING: InstanceState
INSTANCE_STATE_RUNNING: InstanceState
INSTANCE_STATE_STOPPING: InstanceState
INSTANCE_STATE_STOPPED: InstanceState
INSTANCE_STATE_DELETING: InstanceState
INSTANCE_STATE_FAILING: InstanceState
INSTANCE_STATE_FAILED: InstanceState
DESIRED_STATE_UNSPECIFIED: DesiredState
DESIRED_STATE_RUNNING: DesiredState
DESIRED_STATE_STOPPED: DesiredState
DESIRED_STATE_DELETED: DesiredState
STOP_REASON_UNSPECIFIED: StopReason
STOP_REASON_USER: StopReason
STOP_REASON_IDLE: StopReason
STOP_REASON_MAX_LIFETIME: StopReason
STOP_REASON_FAILED: StopReason
STOP_REASON_EXITED: StopReason
FAILURE_CLASS_UNSPECIFIED: FailureClass
FAILURE_CLASS_USER: FailureClass
FAILURE_CLASS_CAPACITY: FailureClass
FAILURE_CLASS_RUNTIME: FailureClass
FAILURE_CLASS_INTERNAL: FailureClass
CONDITION_TYPE_UNSPECIFIED: ConditionType
CONDITION_TYPE_QUOTA_RESERVED: ConditionType
CONDITION_TYPE_RESOURCES_ALLOCATED: ConditionType
CONDITION_TYPE_PATHS_READY: ConditionType
CONDITION_TYPE_WORKLOAD_CREATED: ConditionType
CONDITION_TYPE_EDITOR_READY: ConditionType
CONDITION_TYPE_IN_USE: ConditionType
CONDITION_TYPE_RESPONDING: ConditionType

class Condition(_message.Message):
    __slots__ = ("type", "status", "reason", "message", "last_transition_time")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LAST_TRANSITION_TIME_FIELD_NUMBER: _ClassVar[int]
    type: ConditionType
    status: bool
    reason: str
    message: str
    last_transition_time: _timestamp_pb2.Timestamp
    def __init__(self, type: _Optional[_Union[ConditionType, str]] = ..., status: _Optional[bool] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., last_transition_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("step", "code", "message", "time")
    CLASS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    step: ConditionType
    code: str
    message: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, step: _Optional[_Union[ConditionType, str]] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class PortRequest(_message.Message):
    __slots__ = ("web_port", "callback_port")
    WEB_PORT_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_PORT_FIELD_NUMBER: _ClassVar[int]
    web_port: int
    callback_port: int
    def __init__(self, web_port: _Optional[int] = ..., callback_port: _Optional[int] = ...) -> None: ...

class Ports(_message.Message):
    __slots__ = ("web_port", "callback_port", "callback_port_range")
    WEB_PORT_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_PORT_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_PORT_RANGE_FIELD_NUMBER: _ClassVar[int]
    web_port: int
    callback_port: int
    callback_port_range: _resources_pb2.PortRange
    def __init__(self, web_port: _Optional[int] = ..., callback_port: _Optional[int] = ..., callback_port_range: _Optional[_Union[_resources_pb2.PortRange, _Mapping]] = ...) -> None: ...

class InstanceConfig(_message.Message):
    __slots__ = ("id", "namespace", "resources", "ports", "environment", "display_name", "labels", "desired_state", "idle_timeout", "max_lifetime")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DESIRED_STATE_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_LIFETIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    namespace: str
    resources: _resources_pb2.Resources
    ports: PortRequest
    environment: _containers.ScalarMap[str, str]
    display_name: str
    labels: _containers.ScalarMap[str, str]
    desired_state: DesiredState
    idle_timeout: _duration_pb2.Duration
    max_lifetime: _duration_pb2.Duration
    def __init__(self, id: _Optional[str] = ..., namespace: _Optional[str] = ..., resources: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., ports: _Optional[_Union[PortRequest, _Mapping]] = ..., environment: _Optional[_Mapping[str, str]] = ..., display_name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., desired_state: _Optional[_Union[DesiredState, str]] = ..., idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_lifetime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Instance(_message.Message):
    __slots__ = ("id", "namespace", "owner", "display_name", "labels", "resources", "ports", "environment", "desired_state", "state", "reconciling", "conditions", "failure", "stop_reason", "url", "create_time", "update_time", "start_time", "etag", "version", "restarts", "idle_timeout", "max_lifetime", "effective_idle_timeout", "effective_max_lifetime", "keep_alive_until", "scheduled_stop_time", "effective_resources", "pending_fields")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    DESIRED_STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RECONCILING_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_LIFETIME_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_MAX_LIFETIME_FIELD_NUMBER: _ClassVar[int]
    KEEP_ALIVE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_STOP_TIME_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_RESOURCES_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    namespace: str
    owner: str
    display_name: str
    labels: _containers.ScalarMap[str, str]
    resources: _resources_pb2.Resources
    ports: Ports
    environment: _containers.ScalarMap[str, str]
    desired_state: DesiredState
    state: InstanceState
    reconciling: bool
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    failure: Failure
    stop_reason: StopReason
    url: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    etag: str
    version: int
    restarts: int
    idle_timeout: _duration_pb2.Duration
    max_lifetime: _duration_pb2.Duration
    effective_idle_timeout: _duration_pb2.Duration
    effective_max_lifetime: _duration_pb2.Duration
    keep_alive_until: _timestamp_pb2.Timestamp
    scheduled_stop_time: _timestamp_pb2.Timestamp
    effective_resources: _resources_pb2.Resources
    pending_fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., namespace: _Optional[str] = ..., owner: _Optional[str] = ..., display_name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., resources: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., ports: _Optional[_Union[Ports, _Mapping]] = ..., environment: _Optional[_Mapping[str, str]] = ..., desired_state: _Optional[_Union[DesiredState, str]] = ..., state: _Optional[_Union[InstanceState, str]] = ..., reconciling: _Optional[bool] = ..., conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., stop_reason: _Optional[_Union[StopReason, str]] = ..., url: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., version: _Optional[int] = ..., restarts: _Optional[int] = ..., idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_lifetime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., effective_idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., effective_max_lifetime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., keep_alive_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scheduled_stop_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., effective_resources: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., pending_fields: _Optional[_Iterable[str]] = ...) -> None: ...
