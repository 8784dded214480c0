import datetime

from codestudio.common.v1 import options_pb2 as _options_pb2
from codestudio.common.v1 import resources_pb2 as _resources_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LimitedResource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMITED_RESOURCE_UNSPECIFIED: _ClassVar[LimitedResource]
    LIMITED_RESOURCE_CPU: _ClassVar[LimitedResource]
    LIMITED_RESOURCE_MEMORY: _ClassVar[LimitedResource]
    LIMITED_RESOURCE_STORAGE: _ClassVar[LimitedResource]
    LIMITED_RESOURCE_PROCESSES: _ClassVar[LimitedResource]

class EnforcementMeans(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENFORCEMENT_MEANS_UNSPECIFIED: _ClassVar[EnforcementMeans]
    ENFORCEMENT_MEANS_CGROUP: _ClassVar[EnforcementMeans]
    ENFORCEMENT_MEANS_PROCESS_LIMIT: _ClassVar[EnforcementMeans]
    ENFORCEMENT_MEANS_MEASURED: _ClassVar[EnforcementMeans]
    ENFORCEMENT_MEANS_NONE: _ClassVar[EnforcementMeans]

class OptimizationType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPTIMIZATION_TYPE_UNSPECIFIED: _ClassVar[OptimizationType]
    OPTIMIZATION_TYPE_SCALE_UP_CPU: _ClassVar[OptimizationType]
    OPTIMIZATION_TYPE_SCALE_UP_MEMORY: _ClassVar[OptimizationType]
    OPTIMIZATION_TYPE_SCALE_DOWN_CPU: _ClassVar[OptimizationType]
    OPTIMIZATION_TYPE_SCALE_DOWN_MEMORY: _ClassVar[OptimizationType]

class OptimizationOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPTIMIZATION_OUTCOME_UNSPECIFIED: _ClassVar[OptimizationOutcome]
    OPTIMIZATION_OUTCOME_RECOMMENDED: _ClassVar[OptimizationOutcome]
    OPTIMIZATION_OUTCOME_APPLIED: _ClassVar[OptimizationOutcome]
    OPTIMIZATION_OUTCOME_AT_NEXT_START: _ClassVar[OptimizationOutcome]
    OPTIMIZATION_OUTCOME_REFUSED: _ClassVar[OptimizationOutcome]
LIMITED_RESOURCE_UNSPECIFIED: LimitedResource
LIMITED_RESOURCE_CPU: LimitedResource
LIMITED_RESOURCE_MEMORY: LimitedResource
LIMITED_RESOURCE_STORAGE: LimitedResource
LIMITED_RESOURCE_PROCESSES: LimitedResource
ENFORCEMENT_MEANS_UNSPECIFIED: EnforcementMeans
ENFORCEMENT_MEANS_CGROUP: EnforcementMeans
ENFORCEMENT_MEANS_PROCESS_LIMIT: EnforcementMeans
ENFORCEMENT_MEANS_MEASURED: EnforcementMeans
ENFORCEMENT_MEANS_NONE: EnforcementMeans
OPTIMIZATION_TYPE_UNSPECIFIED: OptimizationType
OPTIMIZATION_TYPE_SCALE_UP_CPU: OptimizationType
OPTIMIZATION_TYPE_SCALE_UP_MEMORY: OptimizationType
OPTIMIZATION_TYPE_SCALE_DOWN_CPU: OptimizationType
OPTIMIZATION_TYPE_SCALE_DOWN_MEMORY: OptimizationType
OPTIMIZATION_OUTCOME_UNSPECIFIED: OptimizationOutcome
OPTIMIZATION_OUTCOME_RECOMMENDED: OptimizationOutcome
OPTIMIZATION_OUTCOME_APPLIED: OptimizationOutcome
OPTIMIZATION_OUTCOME_AT_NEXT_START: OptimizationOutcome
OPTIMIZATION_OUTCOME_REFUSED: OptimizationOutcome

class AllocateResourcesRequest(_message.Message):
    __slots__ = ("instance_id", "namespace", "resources", "web_port", "unusable_web_port")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    WEB_PORT_FIELD_NUMBER: _ClassVar[int]
    UNUSABLE_WEB_PORT_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    namespace: str
    resources: _resources_pb2.Resources
    web_port: int
    unusable_web_port: int
    def __init__(self, instance_id: _Optional[str] = ..., namespace: _Optional[str] = ..., resources: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., web_port: _Optional[int] = ..., unusable_web_port: _Optional[int] = ...) -> None: ...

class ResourceAllocation(_message.Message):
    __slots__ = ("instance_id", "namespace", "web_port", "callback_port_range", "resources", "allocated_at")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WEB_PORT_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_PORT_RANGE_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_AT_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    namespace: str
    web_port: int
    callback_port_range: _resources_pb2.PortRange
    resources: _resources_pb2.Resources
    allocated_at: _timestamp_pb2.Timestamp
    def __init__(self, instance_id: _Optional[str] = ..., namespace: _Optional[str] = ..., web_port: _Optional[int] = ..., callback_port_range: _Optional[_Union[_resources_pb2.PortRange, _Mapping]] = ..., resources: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., allocated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DeallocateResourcesRequest(_message.Message):
    __slots__ = ("instance_id",)
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    def __init__(self, instance_id: _Optional[str] = ...) -> None: ...

class GetResourceUsageRequest(_message.Message):
    __slots__ = ("instance_id", "namespace", "include_history")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_HISTORY_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    namespace: str
    include_history: bool
    def __init__(self, instance_id: _Optional[str] = ..., namespace: _Optional[str] = ..., include_history: _Optional[bool] = ...) -> None: ...

class UsageSample(_message.Message):
    __slots__ = ("time", "cpu_cores", "memory_bytes", "storage_bytes", "processes")
    TIME_FIELD_NUMBER: _ClassVar[int]
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    cpu_cores: float
    memory_bytes: float
    storage_bytes: float
    processes: int
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cpu_cores: _Optional[float] = ..., memory_bytes: _Optional[float] = ..., storage_bytes: _Optional[float] = ..., processes: _Optional[int] = ...) -> None: ...

class InstanceUsage(_message.Message):
    __slots__ = ("instance_id", "namespace", "current", "limits", "cpu_ratio", "memory_ratio", "storage_ratio", "processes", "history", "enforcement", "limit_events", "storage_time")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    CPU_RATIO_FIELD_NUMBER: _ClassVar[int]
    MEMORY_RATIO_FIELD_NUMBER: _ClassVar[int]
    STORAGE_RATIO_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    ENFORCEMENT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_EVENTS_FIELD_NUMBER: _ClassVar[int]
    STORAGE_TIME_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    namespace: str
    current: UsageSample
    limits: _resources_pb2.Resources
    cpu_ratio: float
    memory_ratio: float
    storage_ratio: float
    processes: int
    history: _containers.RepeatedCompositeFieldContainer[UsageSample]
    enforcement: _containers.RepeatedCompositeFieldContainer[Enforcement]
    limit_events: _containers.RepeatedCompositeFieldContainer[LimitEvent]
    storage_time: _timestamp_pb2.Timestamp
    def __init__(self, instance_id: _Optional[str] = ..., namespace: _Optional[str] = ..., current: _Optional[_Union[UsageSample, _Mapping]] = ..., limits: _Optional[_Union[_resources_pb2.Resources, _Mapping]] = ..., cpu_ratio: _Optional[float] = ..., memory_ratio: _Optional[float] = ..., storage_ratio: _Optional[float] = ..., processes: _Optional[int] = ..., history: _Optional[_Iterable[_Union[UsageSample, _Mapping]]] = ..., enforcement: _Optional[_Iterable[_Union[Enforcement, _Mapping]]] = ..., limit_events: _Optional[_Iterable[_Union[LimitEvent, _Mapping]]] = ..., storage_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Enforcement(_message.Message):
    __slots__ = ("resource", "means", "limited", "message")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    MEANS_FIELD_NUMBER: _ClassVar[int]
    LIMITED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    resource: LimitedResource
    means: EnforcementMeans
    limited: bool
    message: str
    def __init__(self, resource: _Optional[_Union[LimitedResource, str]] = ..., means: _Optional[_Union[EnforcementMeans, str]] = ..., limited: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class LimitEvent(_message.Message):
    __slots__ = ("time", "resource", "message")
    TIME_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    resource: LimitedResource
    message: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resource: _Optional[_Union[LimitedResource, str]] = ..., message: _Optional[str] = ...) -> None: ...

class ResourceUsage(_message.Message):
    __slots__ = ("instances", "total", "port_ranges_used", "port_ranges_total", "resolution")
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PORT_RANGES_USED_FIELD_NUMBER: _ClassVar[int]
    PORT_RANGES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    instances: _containers.RepeatedCompositeFieldContainer[InstanceUsage]
    total: UsageSample
    port_ranges_used: int
    port_ranges_total: int
    resolution: _duration_pb2.Duration
    def __init__(self, instances: _Optional[_Iterable[_Union[InstanceUsage, _Mapping]]] = ..., total: _Optional[_Union[UsageSample, _Mapping]] = ..., port_ranges_used: _Optional[int] = ..., port_ranges_total: _Optional[int] = ..., resolution: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class OptimizeResourceAllocationRequest(_message.Message):
    __slots__ = ("namespace", "instance_id", "apply")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    APPLY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    instance_id: str
    apply: bool
    def __init__(self, namespace: _Optional[str] = ..., instance_id: _Optional[str] = ..., apply: _Optional[bool] = ...) -> None: ...

class Optimization(_message.Message):
    __slots__ = ("type", "instance_id", "current", "current_limit", "recommended_limit", "outcome", "evidence", "message")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    CURRENT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDED_LIMIT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    type: OptimizationType
    instance_id: str
    current: float
    current_limit: str
    recommended_limit: str
    outcome: OptimizationOutcome
    evidence: Evidence
    message: str
    def __init__(self, type: _Optional[_Union[OptimizationType, str]] = ..., instance_id: _Optional[str] = ..., current: _Optional[float] = ..., current_limit: _Optional[str] = ..., recommended_limit: _Optional[str] = ..., outcome: _Optional[_Union[OptimizationOutcome, str]] = ..., evidence: _Optional[_Union[Evidence, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("samples", "window", "lowest", "mean", "highest")
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    LOWEST_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_FIELD_NUMBER: _ClassVar[int]
    samples: int
    window: _duration_pb2.Duration
    lowest: float
    mean: float
    highest: float
    def __init__(self, samples: _Optional[int] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lowest: _Optional[float] = ..., mean: _Optional[float] = ..., highest: _Optional[float] = ...) -> None: ...

class OptimizationResult(_message.Message):
    __slots__ = ("optimizations", "estimated_improvement")
    OPTIMIZATIONS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_IMPROVEMENT_FIELD_NUMBER: _ClassVar[int]
    optimizations: _containers.RepeatedCompositeFieldContainer[Optimization]
    estimated_improvement: EstimatedImprovement
    def __init__(self, optimizations: _Optional[_Iterable[_Union[Optimization, _Mapping]]] = ..., estimated_improvement: _Optional[_Union[EstimatedImprovement, _Mapping]] = ...) -> None: ...

class EstimatedImprovement(_message.Message):
    __slots__ = ("cpu_cores_freed", "memory_bytes_freed", "utilization_before", "utilization_after")
    CPU_CORES_FREED_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FREED_FIELD_NUMBER: _ClassVar[int]
    UTILIZATION_BEFORE_FIELD_NUMBER: _ClassVar[int]
    UTILIZATION_AFTER_FIELD_NUMBER: _ClassVar[int]
    cpu_cores_freed: float
    memory_bytes_freed: float
    utilization_before: float
    utilization_after: float
    def __init__(self, cpu_cores_freed: _Optional[float] = ..., memory_bytes_freed: _Optional[float] = ..., utilization_before: _Optional[float] = ..., utilization_after: _Optional[float] = ...) -> None: ...
