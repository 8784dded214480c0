"""Answers of Collaborate, as bytes.

A frame of edits is the same for all its receivers but for the number of their channel, which
comes first: so it is made once, and each stream puts its number before it.
https://protobuf.dev/programming-guides/encoding/
"""

from codestudio.collaboration.v1 import collaborate_pb2

from services.chassis import clock, errors
from services.collaboration import ywire

_CHANNEL = b"\x08"
_UPDATE = b"\x1a"
_AWARENESS = b"\x22"
_CONTENT = b"\x0a"

Response = collaborate_pb2.CollaborateResponse


def channel(number: int) -> bytes:
    """Return the beginning of every frame of a channel."""
    return _CHANNEL + ywire.write_uint(number) if number else b""


def update(content: bytes) -> bytes:
    """Return a frame of edits, without its channel."""
    inner = _CONTENT + ywire.write_bytes(content)
    return _UPDATE + ywire.write_bytes(inner)


def awareness(content: bytes) -> bytes:
    """Return a frame of who is where, without its channel."""
    inner = _CONTENT + ywire.write_bytes(content)
    return _AWARENESS + ywire.write_bytes(inner)


def ack(number: int, sequence: int, revision: int) -> bytes:
    """Return an acknowledgement."""
    said = collaborate_pb2.Ack(sequence=sequence, revision=revision)
    return Response(channel=number, ack=said).SerializeToString()


def resync(number: int, state_vector: bytes) -> bytes:
    """Return what has a client join again."""
    said = collaborate_pb2.Resync(state_vector=state_vector)
    return Response(channel=number, resync=said).SerializeToString()


def error(number: int, what: errors.DomainError) -> bytes:
    """Return a refusal."""
    return Response(channel=number, error=errors.to_detail(what)).SerializeToString()


def heartbeat() -> bytes:
    """Return a sign of life."""
    answer = Response()
    answer.heartbeat.time.FromDatetime(clock.now())
    return answer.SerializeToString()
