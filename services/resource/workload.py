"""What runs the editor of one instance, whatever runtime runs it."""

import dataclasses
import datetime
import enum
import hashlib
import json
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """What an instance may use."""

    cpu: int
    """Millicores."""
    memory: int
    """Bytes."""
    storage: int
    """Bytes."""


class Phase(enum.Enum):
    """Where a workload is in its life; the contract's WorkloadPhase."""

    STARTING = "STARTING"
    """Its process or pod is there, or about to be; the editor does not answer yet."""
    READY = "READY"
    """The editor answers."""
    STOPPING = "STOPPING"
    """It has been told to stop."""
    STOPPED = "STOPPED"
    """It was stopped, or never started; its directories may be there."""
    EXITED = "EXITED"
    """It ended by itself, or could not be started."""

    @property
    def is_alive(self) -> bool:
        """Whether there is, or is about to be, a process or pod."""
        return self in {Phase.STARTING, Phase.READY, Phase.STOPPING}


@dataclasses.dataclass(frozen=True, slots=True)
class Spec:
    """What is asked of a workload."""

    instance_id: str
    namespace: str
    web_port: int
    callback_port: int
    resources: Resources
    environment: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change when anything asked for changes."""
        return fingerprint(dataclasses.asdict(self))


def fingerprint(fields: Mapping[str, Any]) -> str:
    """Give 16 hex digits that change when anything in a mapping does."""
    text = json.dumps(dict(fields), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Why a workload could not be started, or how it ended by itself."""

    code: str
    """Stable, such as EDITOR_EXITED."""
    message: str
    """For people."""
    time: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Workload:
    """What runs the editor of one instance, as it is now."""

    instance_id: str
    phase: Phase
    spec: Spec | None = None
    """What was asked for last; None where nothing ever was."""
    runtime_id: str = ""
    """Name of the process or pod, such as ``pid 4711``; empty while there is none."""
    start_time: datetime.datetime | None = None
    """When the process or pod was started last."""
    ready_time: datetime.datetime | None = None
    """When the editor first answered after that."""
    exit_code: int = 0
    """Exit status, or minus the signal's number; 0 also where nobody knows."""
    failure: Failure | None = None
    """Only where phase is EXITED."""
    paths_ready: bool = False
    """Whether its directories are there."""
    started_environment: str = ""
    """Fingerprint of the environment it was started with."""

    @property
    def at_next_start(self) -> tuple[str, ...]:
        """Fields that were changed since it was started and count from its next start."""
        if self.spec is None or not self.phase.is_alive:
            return ()
        same = self.started_environment == fingerprint(self.spec.environment)
        return () if same else ("environment",)

    @property
    def endpoint(self) -> str:
        """Host and port of the editor; empty while there is none."""
        if self.spec is None or not self.phase.is_alive:
            return ""
        return f"127.0.0.1:{self.spec.web_port}"


@dataclasses.dataclass(frozen=True, slots=True)
class Activity:
    """When a workload was last used; the contract's WorkloadActivity."""

    observed_since: datetime.datetime
    """Since when nothing of it was missed."""
    observed_at: datetime.datetime
    """Until when: the last look."""
    last_input: datetime.datetime | None = None
    """When somebody last did something in its editor; None where that was not seen."""
    last_busy: datetime.datetime | None = None
    """When its processes last did something of their own; None where that was not seen."""


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    """Whether an editor that was ready still answers; the contract's WorkloadHealth."""

    responding: bool
    """False after several checks in a row that it did not answer."""
    since: datetime.datetime
    """From when: of an editor that does not answer, the first of these checks."""


@dataclasses.dataclass(frozen=True, slots=True)
class Measurement:
    """What one workload uses at one moment."""

    cpu_cores: float
    """CPU since the measurement before, in cores."""
    memory: int
    """Bytes."""
    storage: int
    """Bytes on disk, as of `storage_at`."""
    storage_at: datetime.datetime | None
    """When its files were looked at; None while the first look goes on, and `storage` is what it
    has counted so far."""
    processes: int
    """How many it has."""
