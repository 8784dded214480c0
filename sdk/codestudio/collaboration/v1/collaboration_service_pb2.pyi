import datetime

from codestudio.collaboration.v1 import collaborate_pb2 as _collaborate_pb2
from codestudio.collaboration.v1 import document_pb2 as _document_pb2
from codestudio.common.v1 import error_pb2 as _error_pb2
from codestudio.common.v1 import options_pb2 as _options_pb2
from codestudio.common.v1 import stream_pb2 as _stream_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConflictResolution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONFLICT_RESOLUTION_UNSPECIFIED: _ClassVar[ConflictResolution]
    CONFLICT_RESOLUTION_AUTO: _ClassVar[ConflictResolution]
    CONFLICT_RESOLUTION_REJECT: _ClassVar[ConflictResolution]

class EventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_TYPE_UNSPECIFIED: _ClassVar[EventType]
    EVENT_TYPE_STATE: _ClassVar[EventType]
    EVENT_TYPE_MESSAGE: _ClassVar[EventType]
    EVENT_TYPE_CODE: _ClassVar[EventType]
CONFLICT_RESOLUTION_UNSPECIFIED: ConflictResolution
CONFLICT_RESOLUTION_AUTO: ConflictResolution
CONFLICT_RESOLUTION_REJECT: ConflictResolution
EVENT_TYPE_UNSPECIFIED: EventType
EVENT_TYPE_STATE: EventType
EVENT_TYPE_MESSAGE: EventType
EVENT_TYPE_CODE: EventType

class Position(_message.Message):
    __slots__ = ("line", "column")
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    line: int
    column: int
    def __init__(self, line: _Optional[int] = ..., column: _Optional[int] = ...) -> None: ...

class Range(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: Position
    end: Position
    def __init__(self, start: _Optional[_Union[Position, _Mapping]] = ..., end: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class OffsetRange(_message.Message):
    __slots__ = ("start", "length")
    START_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    start: int
    length: int
    def __init__(self, start: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class CodeChange(_message.Message):
    __slots__ = ("name", "range", "offset", "text", "base_revision", "epoch")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BASE_REVISION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    name: _document_pb2.DocumentName
    range: Range
    offset: OffsetRange
    text: str
    base_revision: int
    epoch: str
    def __init__(self, name: _Optional[_Union[_document_pb2.DocumentName, _Mapping]] = ..., range: _Optional[_Union[Range, _Mapping]] = ..., offset: _Optional[_Union[OffsetRange, _Mapping]] = ..., text: _Optional[str] = ..., base_revision: _Optional[int] = ..., epoch: _Optional[str] = ...) -> None: ...

class SyncCodeRequest(_message.Message):
    __slots__ = ("instance_id", "changes", "unit", "conflict_resolution", "request_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    changes: _containers.RepeatedCompositeFieldContainer[CodeChange]
    unit: _document_pb2.OffsetUnit
    conflict_resolution: ConflictResolution
    request_id: str
    def __init__(self, instance_id: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[CodeChange, _Mapping]]] = ..., unit: _Optional[_Union[_document_pb2.OffsetUnit, str]] = ..., conflict_resolution: _Optional[_Union[ConflictResolution, str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class ChangeResult(_message.Message):
    __slots__ = ("name", "revision", "applied", "rebased")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    REBASED_FIELD_NUMBER: _ClassVar[int]
    name: _document_pb2.DocumentName
    revision: int
    applied: OffsetRange
    rebased: bool
    def __init__(self, name: _Optional[_Union[_document_pb2.DocumentName, _Mapping]] = ..., revision: _Optional[int] = ..., applied: _Optional[_Union[OffsetRange, _Mapping]] = ..., rebased: _Optional[bool] = ...) -> None: ...

class SyncResult(_message.Message):
    __slots__ = ("results", "timestamp")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ChangeResult]
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, results: _Optional[_Iterable[_Union[ChangeResult, _Mapping]]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class InstanceState(_message.Message):
    __slots__ = ("current_file", "cursor_position", "status", "updated_at")
    CURRENT_FILE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_POSITION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    current_file: str
    cursor_position: Position
    status: str
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, current_file: _Optional[str] = ..., cursor_position: _Optional[_Union[Position, _Mapping]] = ..., status: _Optional[str] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ShareStateRequest(_message.Message):
    __slots__ = ("instance_id", "state")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    state: InstanceState
    def __init__(self, instance_id: _Optional[str] = ..., state: _Optional[_Union[InstanceState, _Mapping]] = ...) -> None: ...

class ShareStateResponse(_message.Message):
    __slots__ = ("updated_at",)
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    updated_at: _timestamp_pb2.Timestamp
    def __init__(self, updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("type", "payload")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    type: str
    payload: _struct_pb2.Struct
    def __init__(self, type: _Optional[str] = ..., payload: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class SendMessageRequest(_message.Message):
    __slots__ = ("to", "message", "request_id")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    to: str
    message: Message
    request_id: str
    def __init__(self, to: _Optional[str] = ..., message: _Optional[_Union[Message, _Mapping]] = ..., request_id: _Optional[str] = ..., **kwargs) -> None: ...

class BroadcastMessageRequest(_message.Message):
    __slots__ = ("message", "request_id")
    FROM_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    message: Message
    request_id: str
    def __init__(self, message: _Optional[_Union[Message, _Mapping]] = ..., request_id: _Optional[str] = ..., **kwargs) -> None: ...

class MessageReceipt(_message.Message):
    __slots__ = ("message_id", "timestamp")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, message_id: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class OpenDocumentRequest(_message.Message):
    __slots__ = ("name", "initial_content", "include_state")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INITIAL_CONTENT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_STATE_FIELD_NUMBER: _ClassVar[int]
    name: _document_pb2.DocumentName
    initial_content: str
    include_state: bool
    def __init__(self, name: _Optional[_Union[_document_pb2.DocumentName, _Mapping]] = ..., initial_content: _Optional[str] = ..., include_state: _Optional[bool] = ...) -> None: ...

class GetDocumentRequest(_message.Message):
    __slots__ = ("name", "include_state")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_STATE_FIELD_NUMBER: _ClassVar[int]
    name: _document_pb2.DocumentName
    include_state: bool
    def __init__(self, name: _Optional[_Union[_document_pb2.DocumentName, _Mapping]] = ..., include_state: _Optional[bool] = ...) -> None: ...

class DeleteDocumentRequest(_message.Message):
    __slots__ = ("name", "revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: _document_pb2.DocumentName
    revision: int
    def __init__(self, name: _Optional[_Union[_document_pb2.DocumentName, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class ListDocumentsRequest(_message.Message):
    __slots__ = ("namespace", "project", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    project: str
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., project: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDocumentsResponse(_message.Message):
    __slots__ = ("documents", "next_page_token")
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    documents: _containers.RepeatedCompositeFieldContainer[_document_pb2.Document]
    next_page_token: str
    def __init__(self, documents: _Optional[_Iterable[_Union[_document_pb2.Document, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListRevisionsRequest(_message.Message):
    __slots__ = ("namespace", "project", "path", "page_size", "page_token", "follow_renames")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_RENAMES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    project: str
    path: str
    page_size: int
    page_token: str
    follow_renames: bool
    def __init__(self, namespace: _Optional[str] = ..., project: _Optional[str] = ..., path: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., follow_renames: _Optional[bool] = ...) -> None: ...

class ListRevisionsResponse(_message.Message):
    __slots__ = ("revisions", "next_page_token")
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedCompositeFieldContainer[_document_pb2.Revision]
    next_page_token: str
    def __init__(self, revisions: _Optional[_Iterable[_Union[_document_pb2.Revision, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetRevisionRequest(_message.Message):
    __slots__ = ("name", "revision_id", "former_path")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_ID_FIELD_NUMBER: _ClassVar[int]
    FORMER_PATH_FIELD_NUMBER: _ClassVar[int]
    name: _document_pb2.DocumentName
    revision_id: str
    former_path: str
    def __init__(self, name: _Optional[_Union[_document_pb2.DocumentName, _Mapping]] = ..., revision_id: _Optional[str] = ..., former_path: _Optional[str] = ...) -> None: ...

class GetRevisionResponse(_message.Message):
    __slots__ = ("revision", "text")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    revision: _document_pb2.Revision
    text: str
    def __init__(self, revision: _Optional[_Union[_document_pb2.Revision, _Mapping]] = ..., text: _Optional[str] = ...) -> None: ...

class RestoreRevisionRequest(_message.Message):
    __slots__ = ("name", "revision_id", "former_path")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_ID_FIELD_NUMBER: _ClassVar[int]
    FORMER_PATH_FIELD_NUMBER: _ClassVar[int]
    name: _document_pb2.DocumentName
    revision_id: str
    former_path: str
    def __init__(self, name: _Optional[_Union[_document_pb2.DocumentName, _Mapping]] = ..., revision_id: _Optional[str] = ..., former_path: _Optional[str] = ...) -> None: ...

class SubscribeRequest(_message.Message):
    __slots__ = ("instance_id", "types", "project", "resume_token", "namespace")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    types: _containers.RepeatedScalarFieldContainer[EventType]
    project: str
    resume_token: str
    namespace: str
    def __init__(self, instance_id: _Optional[str] = ..., types: _Optional[_Iterable[_Union[EventType, str]]] = ..., project: _Optional[str] = ..., resume_token: _Optional[str] = ..., namespace: _Optional[str] = ...) -> None: ...

class StateEvent(_message.Message):
    __slots__ = ("instance_id", "state")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    state: InstanceState
    def __init__(self, instance_id: _Optional[str] = ..., state: _Optional[_Union[InstanceState, _Mapping]] = ...) -> None: ...

class MessageEvent(_message.Message):
    __slots__ = ("message_id", "to", "message")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    to: str
    message: Message
    def __init__(self, message_id: _Optional[str] = ..., to: _Optional[str] = ..., message: _Optional[_Union[Message, _Mapping]] = ..., **kwargs) -> None: ...

class CodeEvent(_message.Message):
    __slots__ = ("name", "revision", "source_instance", "author", "deleted")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    name: _document_pb2.DocumentName
    revision: int
    source_instance: str
    author: _document_pb2.Author
    deleted: bool
    def __init__(self, name: _Optional[_Union[_document_pb2.DocumentName, _Mapping]] = ..., revision: _Optional[int] = ..., source_instance: _Optional[str] = ..., author: _Optional[_Union[_document_pb2.Author, _Mapping]] = ..., deleted: _Optional[bool] = ...) -> None: ...

class SubscribeResponse(_message.Message):
    __slots__ = ("state", "message_event", "code", "heartbeat", "error", "resume_token", "timestamp")
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_EVENT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    state: StateEvent
    message_event: MessageEvent
    code: CodeEvent
    heartbeat: _stream_pb2.Heartbeat
    error: _error_pb2.ErrorDetail
    resume_token: str
    timestamp: _timestamp_pb2.Timestamp
    def __init__(self, state: _Optional[_Union[StateEvent, _Mapping]] = ..., message_event: _Optional[_Union[MessageEvent, _Mapping]] = ..., code: _Optional[_Union[CodeEvent, _Mapping]] = ..., heartbeat: _Optional[_Union[_stream_pb2.Heartbeat, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.ErrorDetail, _Mapping]] = ..., resume_token: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
