"""Reads requests about states, messages and events: what is wrong is told at once, by field."""

from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from google.protobuf import json_format

from services.chassis.validation import Violations
from services.collaboration import names, requests
from services.collaboration.activity import Kind
from services.collaboration.subscriptions import ALL, Asked

WORD_MOST = 100
"""Characters of a status or of a kind of message at most (contract)."""
PAYLOAD_MOST = 256 * 1024
"""Bytes of a message's payload as JSON at most (contract)."""

_KINDS = {
    pb.EVENT_TYPE_STATE: Kind.STATE,
    pb.EVENT_TYPE_MESSAGE: Kind.MESSAGE,
    pb.EVENT_TYPE_CODE: Kind.CODE,
}


def state(wrong: Violations, request: pb.ShareStateRequest) -> pb.InstanceState:
    """Read what an instance is doing."""
    given = request.state
    if not request.HasField("state"):
        wrong.add("state", "must be given")
    if given.current_file:
        names.path(wrong, "state.current_file", given.current_file)
    for name in ("line", "column"):
        value = getattr(given.cursor_position, name)
        if value < 0:
            wrong.add(f"state.cursor_position.{name}", f"must not be negative, is {value}")
    _word(wrong, "state.status", given.status)
    return given


def message(wrong: Violations, given: pb.Message) -> pb.Message:
    """Read what a message says."""
    if not given.type:
        wrong.add("message.type", "must not be empty")
    _word(wrong, "message.type", given.type)
    try:
        text = json_format.MessageToJson(given.payload, indent=None, ensure_ascii=False)
    except (json_format.Error, ValueError, RecursionError) as error:
        # Such as infinity: no subscriber by REST could be told of it.
        wrong.add("message.payload", f"cannot be written as JSON: {str(error)[:100]}")
        return given
    if (size := len(text.encode())) > PAYLOAD_MOST:
        wrong.add("message.payload", f"must be at most {PAYLOAD_MOST} bytes as JSON, is {size}")
    return given


def asked(wrong: Violations, request: pb.SubscribeRequest) -> Asked:
    """Read what somebody wants to be told."""
    kinds: set[Kind] = set()
    for number in request.types:
        if number == pb.EVENT_TYPE_UNSPECIFIED:
            kinds.update(ALL)
        elif number in _KINDS:
            kinds.add(_KINDS[number])
        else:
            wrong.add("types", f"{number} is no EventType")
    namespace = ""
    if request.instance_id:
        requests.instance_id(wrong, "instance_id", request.instance_id)
    else:
        namespace = names.namespace(wrong, "namespace", request.namespace)
        if kinds - {Kind.CODE} and set(request.types) != {pb.EVENT_TYPE_UNSPECIFIED}:
            wrong.add("types", "only EVENT_TYPE_CODE can be told without an instance_id")
        kinds = {Kind.CODE}
    if request.project or not request.instance_id:
        names.project(wrong, "project", request.project)
    return Asked(
        instance_id=request.instance_id,
        namespace=namespace,
        kinds=frozenset(kinds) or ALL,
        project=request.project,
        resume_token=request.resume_token,
    )


def _word(wrong: Violations, field: str, text: str) -> None:
    if len(text) > WORD_MOST:
        wrong.add(field, f"must be at most {WORD_MOST} characters, has {len(text)}")
