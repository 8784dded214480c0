"""Records as messages of the contract."""

from typing import Any

from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from google.protobuf import duration_pb2, timestamp_pb2

from services.instance.record import (
    Condition,
    Desired,
    Failure,
    FailureClass,
    Notice,
    Record,
    Response,
    State,
    Step,
    StopReason,
)


def _number(kind: Any, name: str) -> Any:
    """Return the number of an enum's value: the stubs' own type of it is not what Value gives."""
    return kind.Value(name)


STATES: dict[State, instance_pb2.InstanceState] = {
    one: _number(instance_pb2.InstanceState, f"INSTANCE_STATE_{one}") for one in State
}
DESIRED: dict[Desired, instance_pb2.DesiredState] = {
    one: _number(instance_pb2.DesiredState, f"DESIRED_STATE_{one}") for one in Desired
}
_STEPS: dict[Step, instance_pb2.ConditionType] = {
    one: _number(instance_pb2.ConditionType, f"CONDITION_TYPE_{one}") for one in Step
}
_CLASSES: dict[FailureClass, instance_pb2.FailureClass] = {
    one: _number(instance_pb2.FailureClass, f"FAILURE_CLASS_{one}") for one in FailureClass
}
_REASONS: dict[StopReason, instance_pb2.StopReason] = {
    one: _number(instance_pb2.StopReason, f"STOP_REASON_{one}") for one in StopReason
}


def url(instance_id: str) -> str:
    """Return where the gateway serves an instance's editor."""
    return f"/i/{instance_id}/"


def instance(record: Record) -> instance_pb2.Instance:
    """Return a record as its clients see it."""
    runs = record.state is State.RUNNING
    message = instance_pb2.Instance(
        id=record.id,
        namespace=record.namespace,
        owner=record.owner,
        display_name=record.display_name or record.id,
        labels=record.labels,
        resources=resources_pb2.Resources(
            cpu=record.cpu, memory=record.memory, storage=record.storage
        ),
        environment=record.environment,
        desired_state=DESIRED[record.desired],
        state=STATES[record.state],
        reconciling=not record.settled,
        conditions=[
            *map(_condition, record.conditions),
            *([_in_use(record.notice)] if record.notice else ()),
            *([_responding(record.response)] if record.response and runs else ()),
        ],
        url=url(record.id),
        create_time=timestamp(record.created_at),
        update_time=timestamp(record.updated_at),
        etag=record.etag,
        version=record.version,
        restarts=record.restarts,
        ports=instance_pb2.Ports(),
        effective_idle_timeout=_duration(record.limits.idle),
        effective_max_lifetime=_duration(record.limits.lifetime),
    )
    if record.ports.web:
        message.ports.web_port = record.ports.web
        message.ports.callback_port = record.ports.callback_first
        message.ports.callback_port_range.start = record.ports.callback_first
        message.ports.callback_port_range.end = record.ports.callback_last
    if record.in_force.cpu:
        message.effective_resources.cpu = record.in_force.cpu
        message.effective_resources.memory = record.in_force.memory
        message.effective_resources.storage = record.in_force.storage
    message.pending_fields.extend(record.in_force.at_next_start)
    if record.failure:
        message.failure.CopyFrom(_failure(record.failure))
    if record.stop_reason:
        message.stop_reason = _REASONS[record.stop_reason]
    if record.started_at:
        message.start_time.CopyFrom(timestamp(record.started_at))
    if record.idle_timeout is not None:
        message.idle_timeout.CopyFrom(_duration(record.idle_timeout))
    if record.max_lifetime is not None:
        message.max_lifetime.CopyFrom(_duration(record.max_lifetime))
    if record.keep_alive_until:
        message.keep_alive_until.CopyFrom(timestamp(record.keep_alive_until))
    if record.notice is not None and record.notice.warns:
        message.scheduled_stop_time.CopyFrom(timestamp(record.notice.stop_at))
    return message


def status(message: instance_pb2.Instance) -> instance_service_pb2.InstanceStatus:
    """Return the part of an instance that tells where it is in its life."""
    answer = instance_service_pb2.InstanceStatus(
        id=message.id,
        state=message.state,
        desired_state=message.desired_state,
        reconciling=message.reconciling,
        conditions=message.conditions,
        stop_reason=message.stop_reason,
        version=message.version,
        update_time=message.update_time,
    )
    if message.HasField("failure"):
        answer.failure.CopyFrom(message.failure)
    if message.HasField("scheduled_stop_time"):
        answer.scheduled_stop_time.CopyFrom(message.scheduled_stop_time)
    return answer


def timestamp(milliseconds: int) -> timestamp_pb2.Timestamp:
    """Return a time as the contract writes it."""
    return timestamp_pb2.Timestamp(
        seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000
    )


def milliseconds(duration: duration_pb2.Duration) -> int:
    """Read a duration as milliseconds."""
    return duration.seconds * 1000 + duration.nanos // 1_000_000


def _duration(length: int) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=length // 1000, nanos=length % 1000 * 1_000_000)


def _condition(condition: Condition) -> instance_pb2.Condition:
    return instance_pb2.Condition(
        type=_STEPS[condition.step],
        status=condition.status,
        reason=condition.reason,
        message=condition.message,
        last_transition_time=timestamp(condition.at),
    )


def _in_use(notice: Notice) -> instance_pb2.Condition:
    return instance_pb2.Condition(
        type=instance_pb2.CONDITION_TYPE_IN_USE,
        status=notice.in_use,
        reason=notice.reason.value,
        message=notice.message,
        last_transition_time=timestamp(notice.at),
    )


def _responding(response: Response) -> instance_pb2.Condition:
    return instance_pb2.Condition(
        type=instance_pb2.CONDITION_TYPE_RESPONDING,
        status=response.responding,
        reason="AnswersAgain" if response.responding else "NoAnswer",
        message=response.message,
        last_transition_time=timestamp(response.at),
    )


def _failure(failure: Failure) -> instance_pb2.Failure:
    message = instance_pb2.Failure(
        step=_STEPS[failure.step],
        code=failure.code,
        message=failure.message,
        time=timestamp(failure.at),
    )
    # `class` is a word of Python, so it has no attribute.
    setattr(message, "class", _CLASSES[failure.kind])
    return message
