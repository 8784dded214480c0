"""What the runtime remembers of each workload across its own death: one JSON file each."""

import dataclasses
import datetime
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from services.chassis import clock
from services.resource import names
from services.resource.runtimes.local.procfs import Identity
from services.resource.workload import Failure, Phase, Resources, Spec, Workload, fingerprint

_log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A workload and the process that runs it."""

    workload: Workload
    process: Identity | None = None
    """Its editor; None where there is none, or none was noted yet."""
    log_position: int = 0
    """Length of its log before that editor was started, in bytes."""


class Records:
    """``<container_root>/workloads``."""

    def __init__(self, container_root: Path) -> None:
        self._root = container_root.absolute() / "workloads"
        self._lock: int | None = None

    def try_lock(self) -> bool:
        """Become the only one that acts here; whether it worked. Held until `unlock` or death.

        Two services acting on one set of processes would each kill what the other starts.
        """
        if self._lock is None:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._lock = descriptor
        return True

    def unlock(self) -> None:
        """Let another one act."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self) -> dict[str, Record]:
        """Read all records; a broken one is left out and told in the log."""
        found = {}
        for path in sorted(self._root.glob("*.json")):
            if not names.is_valid(path.stem):
                continue
            try:
                found[path.stem] = _decode(json.loads(path.read_bytes()))
            except (OSError, ValueError, KeyError, TypeError) as error:
                # After a power failure: the processes are gone too, and what is wanted is
                # applied again.
                _log.warning("unreadable record", path=str(path), error=str(error))
        return found

    def save(self, record: Record) -> None:
        """Write a record, whole or not at all. Raises OSError.

        Not forced to disk: records matter while the processes live that they tell of.
        """
        path = self._path(record.workload.instance_id)
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps(_encode(record), indent=1))
        unfinished.replace(path)

    def remove(self, instance_id: str) -> None:
        """Forget a workload."""
        self._path(instance_id).unlink(missing_ok=True)

    def _path(self, instance_id: str) -> Path:
        return self._root / f"{instance_id}.json"


def _encode(record: Record) -> dict[str, Any]:
    workload = record.workload
    return {
        "instance_id": workload.instance_id,
        "phase": workload.phase.value,
        "spec": None if workload.spec is None else dataclasses.asdict(workload.spec),
        "spec_hash": "" if workload.spec is None else workload.spec.fingerprint,
        "start_time": _time(workload.start_time),
        "ready_time": _time(workload.ready_time),
        "exit_code": workload.exit_code,
        "started_environment": workload.started_environment,
        "failure": None
        if workload.failure is None
        else {
            "code": workload.failure.code,
            "message": workload.failure.message,
            "time": _time(workload.failure.time),
        },
        "process": None if record.process is None else dataclasses.asdict(record.process),
        "log_position": record.log_position,
    }


def _decode(fields: Mapping[str, Any]) -> Record:
    process = Identity(**fields["process"]) if fields["process"] else None
    spec = None
    if fields["spec"]:
        resources = Resources(**fields["spec"]["resources"])
        spec = Spec(**{**fields["spec"], "resources": resources})
    failure = None
    if fields["failure"]:
        told = fields["failure"]
        failure = Failure(told["code"], told["message"], clock.parse(told["time"]))
    return Record(
        Workload(
            instance_id=fields["instance_id"],
            phase=Phase(fields["phase"]),
            spec=spec,
            runtime_id="" if process is None else f"pid {process.pid}",
            start_time=_moment(fields["start_time"]),
            ready_time=_moment(fields["ready_time"]),
            exit_code=fields["exit_code"],
            failure=failure,
            started_environment=fields.get("started_environment", _environment(spec)),
        ),
        process,
        fields["log_position"],
    )


def _environment(spec: Spec | None) -> str:
    """Stand in for what records of earlier releases lack: what was asked for last."""
    return "" if spec is None else fingerprint(spec.environment)


def _time(moment: datetime.datetime | None) -> str | None:
    # In full: rounded, a workload would change by being remembered.
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime.datetime | None:
    return None if text is None else clock.parse(text)
