"""Records as documents of the database, and back.

Kept to what both MongoDB and the Mongo-wire server of the local stack (nx-27017 0.8) do the
same way, as tried out: only whole top-level fields are written; flags are 0 or 1 and times are
integers, since ``$set`` there turns booleans into integers and dates into text; no binary
values; nothing is queried by a path into a document, so labels are repeated as ``key=value``.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from services.instance.record import (
    Condition,
    Desired,
    Failure,
    FailureClass,
    Held,
    InForce,
    Limits,
    Notice,
    NoticeReason,
    Pending,
    Ports,
    Quota,
    Record,
    Response,
    State,
    Step,
    StopReason,
)

Document = dict[str, Any]

_DEFAULT = -1
"""Stands for a limit that is not the instance's own."""


def label_term(key: str, value: str) -> str:
    """Return a label as it is searched for."""
    return f"{key}={value}"


def encode(record: Record) -> Document:
    """Write a record as a document."""
    document: Document = {
        "_id": record.id,
        # _id cannot be part of a compound index in nx-27017, and sorting by it reads everything.
        "name": record.id,
        "uid": record.uid,
        "owner": record.owner,
        "namespace": record.namespace,
        "display_name": record.display_name,
        "labels": dict(record.labels),
        "label_terms": [label_term(*one) for one in record.labels.items()],
        "environment": dict(record.environment),
        "resources": {"cpu": record.cpu, "memory": record.memory, "storage": record.storage},
        "wanted_web_port": record.wanted_web_port,
        "idle_timeout": _number(record.idle_timeout),
        "max_lifetime": _number(record.max_lifetime),
        "limits": [record.limits.idle, record.limits.lifetime],
        "desired": record.desired.value,
        "state": record.state.value,
        "conditions": [
            {
                "step": one.step.value,
                "status": int(one.status),
                "reason": one.reason,
                "message": one.message,
                "at": one.at,
            }
            for one in record.conditions
        ],
        "failure": _failure(record.failure),
        "stop_reason": record.stop_reason.value if record.stop_reason else "",
        "ports": [record.ports.web, record.ports.callback_first, record.ports.callback_last],
        "revision": record.revision,
        "applied": record.applied,
        "in_force": {
            "cpu": record.in_force.cpu,
            "memory": record.in_force.memory,
            "storage": record.in_force.storage,
            "at_next_start": list(record.in_force.at_next_start),
        },
        "restarts": record.restarts,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "started_at": record.started_at,
        "run_since": record.run_since,
        "keep_alive_until": record.keep_alive_until,
        "notice": _notice(record.notice),
        "response": dataclasses.asdict(record.response) if record.response else {},
        "version": record.version,
        "rev": record.rev,
        "claim": record.claim,
        "claimed_at": record.claimed_at,
        "request_hash": record.request_hash,
        "quota": record.quota.value,
        "start_mark": record.start_mark,
        "resize_mark": record.resize_mark,
        "held": sorted(record.held),
        "progress_at": record.progress_at,
        "hold_until": record.hold_until,
        "exits": list(record.exits),
        "unusable_port": record.unusable_port,
        "gone": int(record.gone),
        "visible": int(record.visible),
        "active": int(record.active),
        "outbox": [
            {
                "created_at": one.created_at,
                "version": one.version,
                "kind": one.kind,
                "previous_state": one.previous_state,
                "previous_desired": one.previous_desired,
                "body": one.body,
                "previous_labels": one.previous_labels,
            }
            for one in record.outbox
        ],
    }
    if record.request_key:
        # Absent where there is none: the index on it is unique and sparse.
        document["request_key"] = record.request_key
    return document


def decode(document: Mapping[str, Any]) -> Record:
    """Read a record from its document; the outbox may have been left out of it."""
    resources = document["resources"]
    failure = document["failure"]
    return Record(
        id=document["_id"],
        uid=document["uid"],
        owner=document["owner"],
        namespace=document["namespace"],
        display_name=document["display_name"],
        labels=document["labels"],
        environment=document["environment"],
        cpu=resources["cpu"],
        memory=resources["memory"],
        storage=resources["storage"],
        wanted_web_port=document["wanted_web_port"],
        idle_timeout=_limit(document["idle_timeout"]),
        max_lifetime=_limit(document["max_lifetime"]),
        # Absent in records of releases that did not have it.
        limits=Limits(*document.get("limits", ())),
        desired=Desired(document["desired"]),
        state=State(document["state"]),
        conditions=tuple(
            Condition(
                Step(one["step"]), bool(one["status"]), one["reason"], one["message"], one["at"]
            )
            for one in document["conditions"]
        ),
        failure=Failure(
            FailureClass(failure["kind"]),
            Step(failure["step"]),
            failure["code"],
            failure["message"],
            failure["at"],
        )
        if failure
        else None,
        stop_reason=StopReason(document["stop_reason"]) if document["stop_reason"] else None,
        ports=Ports(*document["ports"]),
        # Documents of releases before UpdateInstance have none of these.
        revision=document.get("revision", 0),
        applied=document.get("applied", 0),
        in_force=_in_force(document.get("in_force", {})),
        restarts=document["restarts"],
        created_at=document["created_at"],
        updated_at=document["updated_at"],
        started_at=document["started_at"],
        run_since=_run_since(document),
        keep_alive_until=document.get("keep_alive_until", 0),
        notice=_read_notice(document.get("notice")),
        response=_response(document.get("response")),
        version=document["version"],
        rev=document["rev"],
        claim=document["claim"],
        claimed_at=document["claimed_at"],
        request_key=document.get("request_key", ""),
        request_hash=document["request_hash"],
        quota=Quota(document["quota"]),
        start_mark=document["start_mark"],
        resize_mark=document.get("resize_mark", 0),
        held=frozenset(Held(one) for one in document["held"]),
        progress_at=document["progress_at"],
        hold_until=document["hold_until"],
        exits=tuple(document["exits"]),
        unusable_port=document["unusable_port"],
        gone=bool(document["gone"]),
        outbox=tuple(
            Pending(
                one["created_at"],
                one["version"],
                one["kind"],
                one["previous_state"],
                one["previous_desired"],
                one["body"],
                # Absent in records of releases that did not have it.
                one.get("previous_labels", ""),
            )
            for one in document.get("outbox", ())
        ),
    )


def difference(before: Record, after: Record) -> Document:
    """Return the update that makes one document the other: whole top-level fields only."""
    old, new = encode(before), encode(after)
    update: Document = {
        "$set": {name: value for name, value in new.items() if old.get(name) != value}
    }
    if removed := {name: "" for name in old if name not in new}:
        update["$unset"] = removed
    return update


def _in_force(document: Mapping[str, Any]) -> InForce:
    return InForce(
        cpu=document.get("cpu", ""),
        memory=document.get("memory", ""),
        storage=document.get("storage", ""),
        at_next_start=tuple(document.get("at_next_start", ())),
    )


def _run_since(document: Mapping[str, Any]) -> int:
    """Read when a run began; documents of releases that did not have it tell its last start."""
    # Of one that does not run, that start may be of the run before.
    running = document["state"] == State.RUNNING.value
    since: int = document.get("run_since", document["started_at"] if running else 0)
    return since


def _number(limit: int | None) -> int:
    return _DEFAULT if limit is None else limit


def _limit(number: int) -> int | None:
    return None if number == _DEFAULT else number


def _notice(notice: Notice | None) -> Document:
    return {**dataclasses.asdict(notice), "reason": notice.reason.value} if notice else {}


def _read_notice(document: Mapping[str, Any] | None) -> Notice | None:
    if not document:
        return None
    return Notice(**{**document, "reason": NoticeReason(document["reason"])})


def _response(document: Mapping[str, Any] | None) -> Response | None:
    # A flag in a document inside another comes back as it was written, or as a number.
    return (
        Response(bool(document["responding"]), document["message"], document["at"])
        if document
        else None
    )


def _failure(failure: Failure | None) -> Document:
    if failure is None:
        return {}
    return {
        "kind": failure.kind.value,
        "step": failure.step.value,
        "code": failure.code,
        "message": failure.message,
        "at": failure.at,
    }
