"""Reading an instance: its whole record, and where it is in its life."""

import datetime
from collections.abc import Iterable

from codestudio import _instance_types as types
from codestudio import _messages
from codestudio.instance.v1 import instance_pb2, instance_service_pb2


class InstanceStatus(_messages.View[instance_service_pb2.InstanceStatus]):
    """Where an instance is in its life."""

    @property
    def id(self) -> str:
        """Its name."""
        return self.proto.id

    @property
    def state(self) -> types.InstanceState:
        """What it is."""
        return _state(self.proto.state)

    @property
    def desired_state(self) -> types.DesiredState:
        """What it is to be."""
        return _desired_state(self.proto.desired_state)

    @property
    def reconciling(self) -> bool:
        """Whether the control plane is at work on it."""
        return self.proto.reconciling

    @property
    def conditions(self) -> tuple[types.Condition, ...]:
        """Steps of the current or last start, in order."""
        return _conditions(self.proto.conditions)

    @property
    def failure(self) -> types.Failure | None:
        """Why the last start failed."""
        return _failure(self.proto.failure) if self.proto.HasField("failure") else None

    @property
    def stop_reason(self) -> types.StopReason:
        """Why it was stopped last."""
        return _stop_reason(self.proto.stop_reason)

    @property
    def scheduled_stop_time(self) -> datetime.datetime | None:
        """When it will be stopped unless it is used; None before the warning."""
        return _messages.time(self.proto, "scheduled_stop_time")

    @property
    def version(self) -> int:
        """Counts its changes, from 1."""
        return self.proto.version

    @property
    def update_time(self) -> datetime.datetime | None:
        """When it last changed."""
        return _messages.time(self.proto, "update_time")

    @classmethod
    def of(cls, instance: instance_pb2.Instance) -> "InstanceStatus":
        """Take it out of the whole record."""
        proto = instance_service_pb2.InstanceStatus(
            id=instance.id,
            state=instance.state,
            desired_state=instance.desired_state,
            reconciling=instance.reconciling,
            conditions=instance.conditions,
            stop_reason=instance.stop_reason,
            version=instance.version,
        )
        for field in ("failure", "update_time", "scheduled_stop_time"):
            if instance.HasField(field):
                getattr(proto, field).CopyFrom(getattr(instance, field))
        return cls(proto)


class InstanceView(_messages.View[instance_pb2.Instance]):
    """What is known of an instance: a snapshot of when it was last asked for."""

    def __init__(self, proto: instance_pb2.Instance, gateway: str) -> None:
        super().__init__(proto)
        self._gateway = gateway

    @property
    def id(self) -> str:
        """Its name, unique in the control plane."""
        return self.proto.id

    @property
    def namespace(self) -> str:
        """Namespace whose quota it counts against."""
        return self.proto.namespace

    @property
    def owner(self) -> str:
        """Subject of the user who created it."""
        return self.proto.owner

    @property
    def display_name(self) -> str:
        """Name for people."""
        return self.proto.display_name

    @property
    def labels(self) -> dict[str, str]:
        """Labels to filter by."""
        return dict(self.proto.labels)

    @property
    def resources(self) -> types.Resources:
        """What it may use."""
        resources = self.proto.resources
        return types.Resources(resources.cpu, resources.memory, resources.storage)

    @property
    def effective_resources(self) -> types.Resources | None:
        """What its process may use now; None while there is none."""
        if not self.proto.HasField("effective_resources"):
            return None
        resources = self.proto.effective_resources
        return types.Resources(resources.cpu, resources.memory, resources.storage)

    @property
    def pending_fields(self) -> tuple[str, ...]:
        """Fields that were changed since it was started and count from its next start."""
        return tuple(self.proto.pending_fields)

    @property
    def ports(self) -> types.Ports | None:
        """Its ports; None while none are allocated."""
        ports = self.proto.ports
        if not ports.web_port:
            return None
        callback = ports.callback_port_range
        return types.Ports(ports.web_port, range(callback.start, callback.end + 1))

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the editor and its terminals."""
        return dict(self.proto.environment)

    @property
    def state(self) -> types.InstanceState:
        """What it is."""
        return _state(self.proto.state)

    @property
    def desired_state(self) -> types.DesiredState:
        """What it is to be."""
        return _desired_state(self.proto.desired_state)

    @property
    def reconciling(self) -> bool:
        """Whether the control plane is at work to make `state` what `desired_state` says."""
        return self.proto.reconciling

    @property
    def conditions(self) -> tuple[types.Condition, ...]:
        """Steps of the current or last start, in order."""
        return _conditions(self.proto.conditions)

    @property
    def failure(self) -> types.Failure | None:
        """Why the last start failed."""
        return _failure(self.proto.failure) if self.proto.HasField("failure") else None

    @property
    def stop_reason(self) -> types.StopReason:
        """Why it was stopped last."""
        return _stop_reason(self.proto.stop_reason)

    @property
    def url(self) -> str:
        """Address of the editor, absolute; a browser needs to be signed in (`open_url`)."""
        return f"{self._gateway}{self.proto.url}" if self.proto.url else ""

    @property
    def create_time(self) -> datetime.datetime | None:
        """When it was created."""
        return _messages.time(self.proto, "create_time")

    @property
    def update_time(self) -> datetime.datetime | None:
        """When it last changed."""
        return _messages.time(self.proto, "update_time")

    @property
    def start_time(self) -> datetime.datetime | None:
        """When it last reached RUNNING."""
        return _messages.time(self.proto, "start_time")

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return self.proto.etag

    @property
    def version(self) -> int:
        """Counts its changes, from 1."""
        return self.proto.version

    @property
    def restarts(self) -> int:
        """Times the editor died by itself since the last start."""
        return self.proto.restarts

    @property
    def idle_timeout(self) -> datetime.timedelta | None:
        """Stop it after this long without use; 0 for never, None for the default."""
        return _messages.duration(self.proto, "idle_timeout")

    @property
    def max_lifetime(self) -> datetime.timedelta | None:
        """Stop it this long after its start; 0 for never, None for the default."""
        return _messages.duration(self.proto, "max_lifetime")

    @property
    def effective_idle_timeout(self) -> datetime.timedelta | None:
        """The one in force, its own or the default; None for never."""
        return _messages.duration(self.proto, "effective_idle_timeout") or None

    @property
    def effective_max_lifetime(self) -> datetime.timedelta | None:
        """The one in force, its own or the default; None for never."""
        return _messages.duration(self.proto, "effective_max_lifetime") or None

    @property
    def keep_alive_until(self) -> datetime.datetime | None:
        """Until when a lease says that it is used."""
        return _messages.time(self.proto, "keep_alive_until")

    @property
    def scheduled_stop_time(self) -> datetime.datetime | None:
        """When it will be stopped unless it is used; None before the warning."""
        return _messages.time(self.proto, "scheduled_stop_time")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id!r} {self.state}>"


def _state(number: int) -> types.InstanceState:
    return _messages.name(
        types.InstanceState, instance_pb2.InstanceState, "INSTANCE_STATE_", number
    )


def _desired_state(number: int) -> types.DesiredState:
    return _messages.name(types.DesiredState, instance_pb2.DesiredState, "DESIRED_STATE_", number)


def _stop_reason(number: int) -> types.StopReason:
    return _messages.name(types.StopReason, instance_pb2.StopReason, "STOP_REASON_", number)


def _step(number: int) -> types.Step:
    return _messages.name(types.Step, instance_pb2.ConditionType, "CONDITION_TYPE_", number)


def _conditions(messages: Iterable[instance_pb2.Condition]) -> tuple[types.Condition, ...]:
    return tuple(
        types.Condition(
            _step(each.type),
            each.status,
            each.reason,
            each.message,
            _messages.time(each, "last_transition_time"),
        )
        for each in messages
    )


def _failure(message: instance_pb2.Failure) -> types.Failure:
    # "class" is a word of Python's own.
    number = getattr(message, "class")
    kind = _messages.name(types.FailureClass, instance_pb2.FailureClass, "FAILURE_CLASS_", number)
    return types.Failure(
        kind, _step(message.step), message.code, message.message, _messages.time(message, "time")
    )
