"""Runtimes: the only code that knows whether editors are processes or pods."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from services.resource.changes import Changes
from services.resource.limits import Enforcement, Event
from services.resource.workload import Activity, Health, Measurement, Resources, Spec, Workload


class Runtime(Protocol):
    """Runs editors.

    Every call is idempotent by instance id and serialised with the others of the same
    instance; a caller that gives up does not interrupt what it began.

    All but the properties raise errors.Unavailable (RUNTIME_NOT_READY) until the runtime has
    taken over what runs already.
    """

    @property
    def changes(self) -> Changes:
        """Announces the ids of instances whose workload changed."""

    async def apply(self, spec: Spec) -> Workload:
        """Make the workload be there and be started, with its directories.

        One that runs goes on unless its web port is another: a new environment or new resources
        never cost a developer their running terminals. What can be changed while it runs is,
        the rest counts from the next start: the workload's `at_next_start` tells which.

        Raises errors.FailedPrecondition when it cannot be started, with the code the workload,
        then EXITED, also shows: EDITOR_NOT_INSTALLED, PORT_IN_USE, PATHS_UNAVAILABLE,
        EDITOR_NOT_STARTED.
        """

    async def stop(self, instance_id: str) -> Workload:
        """Stop the workload and return when nothing of it runs; its directories stay."""

    async def delete(self, instance_id: str) -> None:
        """Stop the workload and remove its directories."""

    def get(self, instance_id: str) -> Workload | None:
        """Give the workload; None where there is none."""

    def list(self) -> Sequence[Workload]:
        """List all workloads in order of instance id."""

    async def logs(self, instance_id: str, lines: int) -> Sequence[str]:
        """Give the last lines the editor wrote, oldest first."""

    async def notify(self, instance_id: str, message: str, *, offer_to_keep: bool) -> None:
        """Show something to whoever has the editor open; nothing takes back what was shown.

        `offer_to_keep` adds a button that counts as input.
        """

    async def measure(self) -> Mapping[str, Measurement]:
        """Measure all workloads that run and the disk of those that do not.

        CPU is the mean since the last call.
        """

    async def measure_new(self, instance_ids: Collection[str]) -> Mapping[str, Measurement]:
        """Measure workloads that no `measure` saw yet, for which it changes nothing.

        CPU is the mean since their processes began.
        """

    def activity(self, instance_id: str) -> Activity | None:
        """Give when the workload was last used, as of the last `measure`; None if unknown."""

    def health(self, instance_id: str) -> Health | None:
        """Tell whether an editor that was ready still answers; None if unknown.

        A change is announced as one of its workload.
        """

    def announce_activity(self) -> None:
        """Announce the workloads that were seen to be used since last called, as changes."""

    def enforcement(self, instance_id: str, resources: Resources) -> Sequence[Enforcement]:
        """Tell how an instance that runs is held to its limits, which are `resources`."""

    def limit_events(self, instance_id: str) -> Sequence[Event]:
        """Tell what was done lately to hold an instance to its limits, oldest first."""

    def port_is_free(self, port: int) -> bool:
        """Tell whether an editor could listen on `port` now."""
