import datetime

from codestudio.common.v1 import error_pb2 as _error_pb2
from codestudio.common.v1 import options_pb2 as _options_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
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

class Amounts(_message.Message):
    __slots__ = ("instances", "cpu", "memory", "storage")
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    STORAGE_FIELD_NUMBER: _ClassVar[int]
    instances: int
    cpu: str
    memory: str
    storage: str
    def __init__(self, instances: _Optional[int] = ..., cpu: _Optional[str] = ..., memory: _Optional[str] = ..., storage: _Optional[str] = ...) -> None: ...

class Quota(_message.Message):
    __slots__ = ("namespace", "limits", "usage", "reservations", "is_default", "update_time", "etag")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    limits: Amounts
    usage: Amounts
    reservations: int
    is_default: bool
    update_time: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, namespace: _Optional[str] = ..., limits: _Optional[_Union[Amounts, _Mapping]] = ..., usage: _Optional[_Union[Amounts, _Mapping]] = ..., reservations: _Optional[int] = ..., is_default: _Optional[bool] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class GetQuotaRequest(_message.Message):
    __slots__ = ("namespace",)
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    def __init__(self, namespace: _Optional[str] = ...) -> None: ...

class UpdateQuotaRequest(_message.Message):
    __slots__ = ("quota", "update_mask", "reset")
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    quota: Quota
    update_mask: _field_mask_pb2.FieldMask
    reset: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, quota: _Optional[_Union[Quota, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., reset: _Optional[_Iterable[str]] = ...) -> None: ...

class ListQuotasRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListQuotasResponse(_message.Message):
    __slots__ = ("quotas", "next_page_token")
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    quotas: _containers.RepeatedCompositeFieldContainer[Quota]
    next_page_token: str
    def __init__(self, quotas: _Optional[_Iterable[_Union[Quota, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CheckQuotaRequest(_message.Message):
    __slots__ = ("namespace", "amounts", "instance_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    amounts: Amounts
    instance_id: str
    def __init__(self, namespace: _Optional[str] = ..., amounts: _Optional[_Union[Amounts, _Mapping]] = ..., instance_id: _Optional[str] = ...) -> None: ...

class QuotaShortage(_message.Message):
    __slots__ = ("resource", "limit", "used", "requested", "exceeded_by", "held")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_FIELD_NUMBER: _ClassVar[int]
    EXCEEDED_BY_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    resource: str
    limit: str
    used: str
    requested: str
    exceeded_by: str
    held: str
    def __init__(self, resource: _Optional[str] = ..., limit: _Optional[str] = ..., used: _Optional[str] = ..., requested: _Optional[str] = ..., exceeded_by: _Optional[str] = ..., held: _Optional[str] = ...) -> None: ...

class CheckQuotaResponse(_message.Message):
    __slots__ = ("allowed", "shortages", "refusal")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    SHORTAGES_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    shortages: _containers.RepeatedCompositeFieldContainer[QuotaShortage]
    refusal: _error_pb2.ErrorDetail
    def __init__(self, allowed: _Optional[bool] = ..., shortages: _Optional[_Iterable[_Union[QuotaShortage, _Mapping]]] = ..., refusal: _Optional[_Union[_error_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class ReserveQuotaRequest(_message.Message):
    __slots__ = ("namespace", "instance_id", "amounts")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    instance_id: str
    amounts: Amounts
    def __init__(self, namespace: _Optional[str] = ..., instance_id: _Optional[str] = ..., amounts: _Optional[_Union[Amounts, _Mapping]] = ...) -> None: ...

class Reservation(_message.Message):
    __slots__ = ("namespace", "instance_id", "amounts", "create_time")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    instance_id: str
    amounts: Amounts
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, namespace: _Optional[str] = ..., instance_id: _Optional[str] = ..., amounts: _Optional[_Union[Amounts, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReleaseQuotaRequest(_message.Message):
    __slots__ = ("namespace", "instance_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    instance_id: str
    def __init__(self, namespace: _Optional[str] = ..., instance_id: _Optional[str] = ...) -> None: ...

class BatchReserveQuotaRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[ReserveQuotaRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[ReserveQuotaRequest, _Mapping]]] = ...) -> None: ...

class BatchReserveResult(_message.Message):
    __slots__ = ("reservation", "error")
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    reservation: Reservation
    error: _error_pb2.ErrorDetail
    def __init__(self, reservation: _Optional[_Union[Reservation, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class BatchReserveQuotaResponse(_message.Message):
    __slots__ = ("results", "reserved", "failed")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchReserveResult]
    reserved: int
    failed: int
    def __init__(self, results: _Optional[_Iterable[_Union[BatchReserveResult, _Mapping]]] = ..., reserved: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class BatchReleaseQuotaRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[ReleaseQuotaRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[ReleaseQuotaRequest, _Mapping]]] = ...) -> None: ...

class BatchReleaseResult(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: _error_pb2.ErrorDetail
    def __init__(self, error: _Optional[_Union[_error_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...

class BatchReleaseQuotaResponse(_message.Message):
    __slots__ = ("results", "released", "failed")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchReleaseResult]
    released: int
    failed: int
    def __init__(self, results: _Optional[_Iterable[_Union[BatchReleaseResult, _Mapping]]] = ..., released: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class ReconcileQuotaRequest(_message.Message):
    __slots__ = ("namespace", "validate_only")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    validate_only: bool
    def __init__(self, namespace: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class QuotaRepair(_message.Message):
    __slots__ = ("kind", "namespace", "instance_id", "before", "after", "reason", "applied", "withheld", "time")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[QuotaRepair.Kind]
        KIND_RELEASE: _ClassVar[QuotaRepair.Kind]
        KIND_RESERVE: _ClassVar[QuotaRepair.Kind]
        KIND_RESIZE: _ClassVar[QuotaRepair.Kind]
        KIND_RECOUNT: _ClassVar[QuotaRepair.Kind]
    KIND_UNSPECIFIED: QuotaRepair.Kind
    KIND_RELEASE: QuotaRepair.Kind
    KIND_RESERVE: QuotaRepair.Kind
    KIND_RESIZE: QuotaRepair.Kind
    KIND_RECOUNT: QuotaRepair.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    kind: QuotaRepair.Kind
    namespace: str
    instance_id: str
    before: Amounts
    after: Amounts
    reason: str
    applied: bool
    withheld: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[_Union[QuotaRepair.Kind, str]] = ..., namespace: _Optional[str] = ..., instance_id: _Optional[str] = ..., before: _Optional[_Union[Amounts, _Mapping]] = ..., after: _Optional[_Union[Amounts, _Mapping]] = ..., reason: _Optional[str] = ..., applied: _Optional[bool] = ..., withheld: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReconcileQuotaResponse(_message.Message):
    __slots__ = ("repairs", "applied", "instances", "reservations")
    REPAIRS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    repairs: _containers.RepeatedCompositeFieldContainer[QuotaRepair]
    applied: int
    instances: int
    reservations: int
    def __init__(self, repairs: _Optional[_Iterable[_Union[QuotaRepair, _Mapping]]] = ..., applied: _Optional[int] = ..., instances: _Optional[int] = ..., reservations: _Optional[int] = ...) -> None: ...

class ListQuotaRepairsRequest(_message.Message):
    __slots__ = ("namespace", "page_size")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    page_size: int
    def __init__(self, namespace: _Optional[str] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListQuotaRepairsResponse(_message.Message):
    __slots__ = ("repairs",)
    REPAIRS_FIELD_NUMBER: _ClassVar[int]
    repairs: _containers.RepeatedCompositeFieldContainer[QuotaRepair]
    def __init__(self, repairs: _Optional[_Iterable[_Union[QuotaRepair, _Mapping]]] = ...) -> None: ...
