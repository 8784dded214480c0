import datetime

from codestudio.common.v1 import error_pb2 as _error_pb2
from codestudio.common.v1 import options_pb2 as _options_pb2
from codestudio.common.v1 import stream_pb2 as _stream_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SettingEffect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SETTING_EFFECT_UNSPECIFIED: _ClassVar[SettingEffect]
    SETTING_EFFECT_LIVE: _ClassVar[SettingEffect]
    SETTING_EFFECT_AT_START: _ClassVar[SettingEffect]
    SETTING_EFFECT_FOLLOWS: _ClassVar[SettingEffect]
SETTING_EFFECT_UNSPECIFIED: SettingEffect
SETTING_EFFECT_LIVE: SettingEffect
SETTING_EFFECT_AT_START: SettingEffect
SETTING_EFFECT_FOLLOWS: SettingEffect

class Configuration(_message.Message):
    __slots__ = ("service", "values", "revision", "etag", "update_time", "sources")
    class SourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    service: str
    values: _struct_pb2.Struct
    revision: int
    etag: str
    update_time: _timestamp_pb2.Timestamp
    sources: _containers.ScalarMap[str, str]
    def __init__(self, service: _Optional[str] = ..., values: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., revision: _Optional[int] = ..., etag: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sources: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetConfigurationRequest(_message.Message):
    __slots__ = ("service", "revision")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    service: str
    revision: int
    def __init__(self, service: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class ListConfigurationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListConfigurationsResponse(_message.Message):
    __slots__ = ("configurations",)
    CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    configurations: _containers.RepeatedCompositeFieldContainer[Configuration]
    def __init__(self, configurations: _Optional[_Iterable[_Union[Configuration, _Mapping]]] = ...) -> None: ...

class Setting(_message.Message):
    __slots__ = ("path", "type", "description", "effect", "base", "minimum", "maximum", "allowed", "variable", "secret", "follows")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    VARIABLE_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    FOLLOWS_FIELD_NUMBER: _ClassVar[int]
    path: str
    type: str
    description: str
    effect: SettingEffect
    base: _struct_pb2.Value
    minimum: float
    maximum: float
    allowed: _containers.RepeatedScalarFieldContainer[str]
    variable: str
    secret: bool
    follows: str
    def __init__(self, path: _Optional[str] = ..., type: _Optional[str] = ..., description: _Optional[str] = ..., effect: _Optional[_Union[SettingEffect, str]] = ..., base: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., allowed: _Optional[_Iterable[str]] = ..., variable: _Optional[str] = ..., secret: _Optional[bool] = ..., follows: _Optional[str] = ...) -> None: ...

class GetConfigurationSchemaRequest(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    def __init__(self, service: _Optional[str] = ...) -> None: ...

class ConfigurationSchema(_message.Message):
    __slots__ = ("service", "settings")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    service: str
    settings: _containers.RepeatedCompositeFieldContainer[Setting]
    def __init__(self, service: _Optional[str] = ..., settings: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ...) -> None: ...

class UpdateConfigurationRequest(_message.Message):
    __slots__ = ("configuration", "update_mask", "reason")
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    configuration: Configuration
    update_mask: _field_mask_pb2.FieldMask
    reason: str
    def __init__(self, configuration: _Optional[_Union[Configuration, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class ValidateConfigurationRequest(_message.Message):
    __slots__ = ("service", "values")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    service: str
    values: _struct_pb2.Struct
    def __init__(self, service: _Optional[str] = ..., values: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ValidateConfigurationResponse(_message.Message):
    __slots__ = ("valid", "errors")
    VALID_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    errors: _containers.RepeatedCompositeFieldContainer[_error_pb2.FieldViolation]
    def __init__(self, valid: _Optional[bool] = ..., errors: _Optional[_Iterable[_Union[_error_pb2.FieldViolation, _Mapping]]] = ...) -> None: ...

class ConfigurationChange(_message.Message):
    __slots__ = ("path", "before", "after")
    PATH_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    path: str
    before: _struct_pb2.Value
    after: _struct_pb2.Value
    def __init__(self, path: _Optional[str] = ..., before: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., after: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...

class ConfigurationRevision(_message.Message):
    __slots__ = ("service", "revision", "author", "reason", "create_time", "changes", "rollback_of", "is_rollback")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_OF_FIELD_NUMBER: _ClassVar[int]
    IS_ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    service: str
    revision: int
    author: str
    reason: str
    create_time: _timestamp_pb2.Timestamp
    changes: _containers.RepeatedCompositeFieldContainer[ConfigurationChange]
    rollback_of: int
    is_rollback: bool
    def __init__(self, service: _Optional[str] = ..., revision: _Optional[int] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[ConfigurationChange, _Mapping]]] = ..., rollback_of: _Optional[int] = ..., is_rollback: _Optional[bool] = ...) -> None: ...

class ListRevisionsRequest(_message.Message):
    __slots__ = ("service", "page_size", "page_token")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    service: str
    page_size: int
    page_token: str
    def __init__(self, service: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRevisionsResponse(_message.Message):
    __slots__ = ("revisions", "next_page_token")
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedCompositeFieldContainer[ConfigurationRevision]
    next_page_token: str
    def __init__(self, revisions: _Optional[_Iterable[_Union[ConfigurationRevision, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RollbackConfigurationRequest(_message.Message):
    __slots__ = ("service", "revision", "reason", "etag")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    service: str
    revision: int
    reason: str
    etag: str
    def __init__(self, service: _Optional[str] = ..., revision: _Optional[int] = ..., reason: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class WatchConfigurationRequest(_message.Message):
    __slots__ = ("service", "resume_token")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    service: str
    resume_token: str
    def __init__(self, service: _Optional[str] = ..., resume_token: _Optional[str] = ...) -> None: ...

class WatchConfigurationResponse(_message.Message):
    __slots__ = ("configuration", "heartbeat", "error", "resume_token")
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    configuration: Configuration
    heartbeat: _stream_pb2.Heartbeat
    error: _error_pb2.ErrorDetail
    resume_token: str
    def __init__(self, configuration: _Optional[_Union[Configuration, _Mapping]] = ..., heartbeat: _Optional[_Union[_stream_pb2.Heartbeat, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.ErrorDetail, _Mapping]] = ..., resume_token: _Optional[str] = ...) -> None: ...
