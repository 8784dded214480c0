from codestudio.collaboration.v1 import document_pb2 as _document_pb2
from codestudio.common.v1 import error_pb2 as _error_pb2
from codestudio.common.v1 import stream_pb2 as _stream_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Join(_message.Message):
    __slots__ = ("name", "epoch", "state_vector", "client_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STATE_VECTOR_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    name: _document_pb2.DocumentName
    epoch: str
    state_vector: bytes
    client_id: int
    def __init__(self, name: _Optional[_Union[_document_pb2.DocumentName, _Mapping]] = ..., epoch: _Optional[str] = ..., state_vector: _Optional[bytes] = ..., client_id: _Optional[int] = ...) -> None: ...

class Leave(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Update(_message.Message):
    __slots__ = ("update", "sequence")
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    update: bytes
    sequence: int
    def __init__(self, update: _Optional[bytes] = ..., sequence: _Optional[int] = ...) -> None: ...

class Awareness(_message.Message):
    __slots__ = ("update",)
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    update: bytes
    def __init__(self, update: _Optional[bytes] = ...) -> None: ...

class CollaborateRequest(_message.Message):
    __slots__ = ("channel", "join", "update", "awareness", "leave", "heartbeat")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    JOIN_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    AWARENESS_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    channel: int
    join: Join
    update: Update
    awareness: Awareness
    leave: Leave
    heartbeat: _stream_pb2.Heartbeat
    def __init__(self, channel: _Optional[int] = ..., join: _Optional[_Union[Join, _Mapping]] = ..., update: _Optional[_Union[Update, _Mapping]] = ..., awareness: _Optional[_Union[Awareness, _Mapping]] = ..., leave: _Optional[_Union[Leave, _Mapping]] = ..., heartbeat: _Optional[_Union[_stream_pb2.Heartbeat, _Mapping]] = ...) -> None: ...

class Joined(_message.Message):
    __slots__ = ("document", "update", "state_vector", "awareness")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    STATE_VECTOR_FIELD_NUMBER: _ClassVar[int]
    AWARENESS_FIELD_NUMBER: _ClassVar[int]
    document: _document_pb2.Document
    update: bytes
    state_vector: bytes
    awareness: bytes
    def __init__(self, document: _Optional[_Union[_document_pb2.Document, _Mapping]] = ..., update: _Optional[bytes] = ..., state_vector: _Optional[bytes] = ..., awareness: _Optional[bytes] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("sequence", "revision")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    revision: int
    def __init__(self, sequence: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class Resync(_message.Message):
    __slots__ = ("state_vector",)
    STATE_VECTOR_FIELD_NUMBER: _ClassVar[int]
    state_vector: bytes
    def __init__(self, state_vector: _Optional[bytes] = ...) -> None: ...

class CollaborateResponse(_message.Message):
    __slots__ = ("channel", "joined", "update", "awareness", "ack", "resync", "heartbeat", "error")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    AWARENESS_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    RESYNC_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    channel: int
    joined: Joined
    update: Update
    awareness: Awareness
    ack: Ack
    resync: Resync
    heartbeat: _stream_pb2.Heartbeat
    error: _error_pb2.ErrorDetail
    def __init__(self, channel: _Optional[int] = ..., joined: _Optional[_Union[Joined, _Mapping]] = ..., update: _Optional[_Union[Update, _Mapping]] = ..., awareness: _Optional[_Union[Awareness, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., resync: _Optional[_Union[Resync, _Mapping]] = ..., heartbeat: _Optional[_Union[_stream_pb2.Heartbeat, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.ErrorDetail, _Mapping]] = ...) -> None: ...
