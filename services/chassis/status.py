"""Our error detail inside google.rpc.Status, as gRPC carries it in trailing metadata."""

from collections.abc import Iterable

import grpc
from codestudio.common.v1 import error_pb2
from google.protobuf import message
from google.rpc import error_details_pb2, status_pb2

KEY = "grpc-status-details-bin"
"""Metadata key of a packed google.rpc.Status (gRPC's "richer error model")."""

MAX_BYTES = 4096
"""Largest packed status. gRPC refuses more than 8 KiB of metadata, and base64
and the message beside it need their share."""

MAX_MESSAGE = 512
"""Longest message in characters, since it travels twice."""


def pack(code: grpc.StatusCode, detail: error_pb2.ErrorDetail) -> bytes:
    """Pack the detail first, then google.rpc.BadRequest where fields are at fault.

    What does not fit in `MAX_BYTES` is left out, the least needed first: the
    BadRequest (a copy), violations from the last, details, metadata. May
    shorten the detail given.
    """
    detail.message = shorten(detail.message, MAX_MESSAGE)
    packed = _status(code, detail, with_bad_request=bool(detail.violations))
    if len(packed) > MAX_BYTES:
        packed = _status(code, detail, with_bad_request=False)
    while len(packed) > MAX_BYTES and detail.violations:
        del detail.violations[len(detail.violations) // 2 :]
        packed = _status(code, detail, with_bad_request=False)
    if len(packed) > MAX_BYTES:
        detail.details = shorten(detail.details, MAX_MESSAGE)
        packed = _status(code, detail, with_bad_request=False)
    if len(packed) > MAX_BYTES:
        detail.metadata.clear()
        packed = _status(code, detail, with_bad_request=False)
    return packed


def unpack(metadata: Iterable[tuple[str, str | bytes]] | None) -> error_pb2.ErrorDetail | None:
    """Return our detail out of trailing metadata, or None where there is none."""
    for key, value in metadata or ():
        if key != KEY or not isinstance(value, bytes):
            continue
        try:
            packed = status_pb2.Status.FromString(value)
            for one in packed.details:
                detail = error_pb2.ErrorDetail()
                if one.Unpack(detail):
                    return detail
        except message.DecodeError:
            return None
    return None


def shorten(text: str, limit: int) -> str:
    """Cut a text to a number of characters, showing that it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _status(
    code: grpc.StatusCode, detail: error_pb2.ErrorDetail, *, with_bad_request: bool
) -> bytes:
    packed = status_pb2.Status(code=code.value[0], message=detail.message)
    packed.details.add().Pack(detail)
    if with_bad_request:
        packed.details.add().Pack(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=one.field, description=one.description
                    )
                    for one in detail.violations
                ]
            )
        )
    return bytes(packed.SerializeToString())
