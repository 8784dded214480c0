import datetime

from codestudio.common.v1 import options_pb2 as _options_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
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
    __slots__ = ("quota", "update_mask")
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    quota: Quota
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, quota: _Optional[_Union[Quota, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

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
    __slots__ = ("resource", "limit", "used", "requested", "exceeded_by")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_FIELD_NUMBER: _ClassVar[int]
    EXCEEDED_BY_FIELD_NUMBER: _ClassVar[int]
    resource: str
    limit: str
    used: str
    requested: str
    exceeded_by: str
    def __init__(self, resource: _Optional[str] = ..., limit: _Optional[str] = ..., used: _Optional[str] = ..., requested: _Optional[str] = ..., exceeded_by: _Optional[str] = ...) -> None: ...

class CheckQuotaResponse(_message.Message):
    __slots__ = ("allowed", "shortages")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    SHORTAGES_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    shortages: _containers.RepeatedCompositeFieldContainer[QuotaShortage]
    def __init__(self, allowed: _Optional[bool] = ..., shortages: _Optional[_Iterable[_Union[QuotaShortage, _Mapping]]] = ...) -> None: ...

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
