"""Documents as the contract has them."""

import datetime

from codestudio.collaboration.v1 import collaboration_service_pb2, document_pb2
from google.protobuf import timestamp_pb2

from services.collaboration.names import Name
from services.collaboration.room import Room
from services.collaboration.store import Summary
from services.collaboration.syncing import Result


def name(given: Name) -> document_pb2.DocumentName:
    """Return a document's name."""
    return document_pb2.DocumentName(
        namespace=given.namespace, project=given.project, path=given.path
    )


def document(room: Room, *, writes: bool) -> document_pb2.Document:
    """Return a document that is loaded, without text and state."""
    return document_pb2.Document(
        name=name(room.name),
        epoch=room.epoch,
        revision=room.revision,
        length=len(room.text),
        role=role(writes=writes),
        create_time=timestamp(room.created_at),
        update_time=timestamp(room.updated_at),
    )


def summary(found: Summary, *, writes: bool) -> document_pb2.Document:
    """Return a document that is not loaded."""
    return document_pb2.Document(
        name=name(found.name),
        epoch=found.epoch,
        revision=found.revision,
        length=found.length,
        role=role(writes=writes),
        create_time=timestamp(found.created_at),
        update_time=timestamp(found.updated_at),
    )


def result(found: Result) -> collaboration_service_pb2.ChangeResult:
    """Return what became of an edit."""
    answer = collaboration_service_pb2.ChangeResult(
        name=name(found.name), revision=found.revision, rebased=found.rebased
    )
    if found.start is not None:
        answer.applied.start = found.start
        answer.applied.length = found.length
    return answer


def role(*, writes: bool) -> document_pb2.Role:
    """Return what somebody may do."""
    return document_pb2.ROLE_EDITOR if writes else document_pb2.ROLE_VIEWER


def timestamp(milliseconds: int) -> timestamp_pb2.Timestamp:
    """Return a time given in milliseconds since 1970."""
    found = timestamp_pb2.Timestamp()
    found.FromDatetime(datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC))
    return found
