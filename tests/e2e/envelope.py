"""The one form of every error, and what must never be in it."""

import re
from collections.abc import Mapping
from typing import Any

from codestudio.common.v1 import error_pb2
from google.protobuf import json_format

_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SERVICE = re.compile(r"gateway|[a-z]+-service")
_ALWAYS = {"code", "message", "details", "timestamp", "request_id", "service", "instance_id"}
_SOMETIMES = {"metadata", "violations"}
_INSIDES = ("Traceback", 'File "', "site-packages", ".py:", ".lua:", "grpc.aio", "0x7f")


def check_detail(detail: error_pb2.ErrorDetail) -> None:
    """Check that an error tells what every error tells, and nothing of our insides."""
    assert _CODE.fullmatch(detail.code), detail
    assert detail.message, detail
    assert _TIME.fullmatch(detail.timestamp), detail
    assert detail.request_id, detail
    assert _SERVICE.fullmatch(detail.service), detail
    for violation in detail.violations:
        assert violation.field, detail
        assert violation.description, detail
    text = json_format.MessageToJson(detail)
    assert not [word for word in _INSIDES if word in text], detail


def read(body: Any, headers: Mapping[str, str]) -> error_pb2.ErrorDetail:
    """Read the body of a failed request; fails unless it is the whole envelope."""
    assert headers["content-type"] == "application/json", headers
    assert set(body) == {"success", "error", "trace_id"}, body
    assert body["success"] is False
    assert isinstance(body["trace_id"], str)
    assert _ALWAYS <= set(body["error"]) <= _ALWAYS | _SOMETIMES, body
    detail = json_format.ParseDict(body["error"], error_pb2.ErrorDetail())
    check_detail(detail)
    assert headers["x-request-id"] == detail.request_id, (headers, body)
    return detail


def named_fields(detail: error_pb2.ErrorDetail) -> str:
    """Give every text of an error in which a field can be named."""
    violations = " ".join(violation.field for violation in detail.violations)
    return f"{detail.message} {detail.details} {violations}"
