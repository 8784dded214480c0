"""The words of an instance's life, and what is asked for when one is created."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

from codestudio import _errors, _messages
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2

Handle = TypeVar("Handle", covariant=True)


class InstanceState(enum.StrEnum):
    """Where an instance is in its life."""

    UNSPECIFIED = "UNSPECIFIED"
    PENDING = "PENDING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    DELETING = "DELETING"
    FAILING = "FAILING"
    FAILED = "FAILED"


class DesiredState(enum.StrEnum):
    """What the owner wants an instance to be."""

    UNSPECIFIED = "UNSPECIFIED"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    DELETED = "DELETED"


class StopReason(enum.StrEnum):
    """Why an instance was stopped last."""

    UNSPECIFIED = "UNSPECIFIED"
    USER = "USER"
    IDLE = "IDLE"
    MAX_LIFETIME = "MAX_LIFETIME"
    FAILED = "FAILED"
    EXITED = "EXITED"


class FailureClass(enum.StrEnum):
    """Who can do something about a failure."""

    UNSPECIFIED = "UNSPECIFIED"
    USER = "USER"
    CAPACITY = "CAPACITY"
    RUNTIME = "RUNTIME"
    INTERNAL = "INTERNAL"


class Step(enum.StrEnum):
    """What a condition is about: the steps of a start, in order, then its use and its editor."""

    UNSPECIFIED = "UNSPECIFIED"
    QUOTA_RESERVED = "QUOTA_RESERVED"
    RESOURCES_ALLOCATED = "RESOURCES_ALLOCATED"
    PATHS_READY = "PATHS_READY"
    WORKLOAD_CREATED = "WORKLOAD_CREATED"
    EDITOR_READY = "EDITOR_READY"
    IN_USE = "IN_USE"
    """Only after a warning that it will be stopped: false from then on, true when it was used."""
    RESPONDING = "RESPONDING"
    """Only after its editor, which runs, did not answer: false from then on, true when it does."""


class EventType(enum.StrEnum):
    """What happened to an instance."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    REMOVED = "REMOVED"


class Condition(NamedTuple):
    """How far one step has come."""

    step: Step
    """Which."""
    reached: bool
    """Whether it is reached."""
    reason: str
    """Why it is as it is: CamelCase, stable."""
    message: str
    """The same for people."""
    since: datetime.datetime | None
    """When `reached` last changed."""


class Failure(NamedTuple):
    """Why a start failed."""

    failure_class: FailureClass
    """Who can do something about it."""
    step: Step
    """The step that failed."""
    code: str
    """Stable code, such as "EDITOR_NOT_INSTALLED"."""
    message: str
    """What happened and what to do."""
    time: datetime.datetime | None
    """When."""


class Ports(NamedTuple):
    """Ports of an instance."""

    web: int
    """Port of the editor."""
    callback: range
    """Ports free for the developer's own servers."""


class Resources(NamedTuple):
    """CPU, memory and disk, as Kubernetes quantities such as "500m" and "2Gi"."""

    cpu: str | float = ""
    """CPU; a number counts cores."""
    memory: str | int = ""
    """Memory; a number counts bytes."""
    storage: str | int = ""
    """Disk; a number counts bytes."""

    def to_proto(self) -> resources_pb2.Resources:
        """Give it as the services know it."""
        return resources_pb2.Resources(
            cpu=_messages.cpu(self.cpu),
            memory=_messages.size(self.memory),
            storage=_messages.size(self.storage),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstanceConfig:
    """What to create. Everything may be left out.

    >>> InstanceConfig(id="blue-fox", resources=Resources(cpu=0.5, memory="2Gi")).to_proto().id
    'blue-fox'
    """

    id: str = ""
    """Its name: 1 to 40 lower-case letters, digits and hyphens. Left out: one is made."""
    namespace: str = ""
    """Whose quota it counts against. Left out: "default"."""
    resources: Resources | Mapping[str, str] | None = None
    """What it may use. Left out: the gateway's defaults."""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Environment of the editor and its terminals."""
    display_name: str = ""
    """Name for people."""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Labels to filter by."""
    web_port: int = 0
    """Port of the editor; 0 to have one allocated."""
    callback_port: int = 0
    """First port of the callback range; 0 to have one allocated."""
    desired_state: DesiredState = DesiredState.UNSPECIFIED
    """RUNNING (also if left out) to start it at once, STOPPED to only reserve it."""
    idle_timeout: _messages.Seconds | None = None
    """Stop it after this long without use; 0: never; left out: the namespace's default."""
    max_lifetime: _messages.Seconds | None = None
    """Stop it this long after its start; 0: never; left out: the namespace's default."""

    def to_proto(self) -> instance_pb2.InstanceConfig:
        """Give it as the services know it.

        Raises TypeError for a resource that is not cpu, memory or storage.
        """
        config = instance_pb2.InstanceConfig(
            id=self.id,
            namespace=self.namespace,
            environment=dict(self.environment),
            display_name=self.display_name,
            labels=dict(self.labels),
            desired_state=f"DESIRED_STATE_{self.desired_state}",
            idle_timeout=_messages.to_duration(self.idle_timeout),
            max_lifetime=_messages.to_duration(self.max_lifetime),
        )
        if self.resources is not None:
            resources = self.resources
            if not isinstance(resources, Resources):
                resources = Resources(**resources)
            config.resources.CopyFrom(resources.to_proto())
        if self.web_port or self.callback_port:
            config.ports.web_port = self.web_port
            config.ports.callback_port = self.callback_port
        return config


@dataclasses.dataclass(frozen=True)
class InstanceEvent(Generic[Handle]):
    """One thing that happened to an instance."""

    type: EventType
    """What happened."""
    instance: Handle
    """The instance after it; of one that was removed, as it was last."""
    resume_token: str
    """Give it to `watch` to go on after this event; empty until all there is has been sent."""


@dataclasses.dataclass(frozen=True)
class BatchResult(Generic[Handle]):
    """What became of one item of a batch: one of the two is None."""

    instance: Handle | None
    """The instance that was created."""
    error: _errors.CodeStudioError | None
    """Why it was not."""

    def unwrap(self) -> Handle:
        """Give the instance, or raise the error."""
        if self.instance is None:
            raise self.error or _errors.Internal("the gateway sent neither instance nor error")
        return self.instance
