"""The other services, as the reconciler uses them. Every call is idempotent by instance id."""

from typing import Protocol

from codestudio.common.v1 import resources_pb2
from codestudio.quota.v1 import quota_service_pb2, quota_service_pb2_grpc
from codestudio.resource.v1 import (
    resource_service_pb2,
    resource_service_pb2_grpc,
    workload_service_pb2,
    workload_service_pb2_grpc,
)

from services.chassis import errors, mesh
from services.instance.record import InForce, Ports, Quota, Record
from services.instance.reservations import Reservations
from services.instance.workload import Activity, Health, Phase, Workload

_PHASES = {
    workload_service_pb2.WORKLOAD_PHASE_STARTING: Phase.STARTING,
    workload_service_pb2.WORKLOAD_PHASE_READY: Phase.READY,
    workload_service_pb2.WORKLOAD_PHASE_STOPPING: Phase.STOPPING,
    workload_service_pb2.WORKLOAD_PHASE_STOPPED: Phase.STOPPED,
    workload_service_pb2.WORKLOAD_PHASE_EXITED: Phase.EXITED,
}


class Peers(Protocol):
    """What is asked of other services. Everything raises `errors.DomainError`."""

    async def reserve_quota(self, record: Record, level: Quota) -> None:
        """Make the ledger hold what is right for a level, in place of what it holds."""

    async def check_quota(self, record: Record, level: Quota) -> None:
        """Raise what `reserve_quota` would raise; reserve nothing."""

    async def release_quota(self, record: Record) -> None:
        """Make the ledger hold nothing for it."""

    async def allocate(self, record: Record) -> Ports:
        """Have ports allocated, or learn which it has."""

    async def deallocate(self, instance_id: str) -> None:
        """Give its ports back."""

    async def apply(self, record: Record) -> Workload:
        """Have its workload started."""

    async def stop(self, instance_id: str) -> Workload | None:
        """Have its workload stopped, its disk kept; None where there is none."""

    async def delete(self, instance_id: str) -> None:
        """Have its workload and its disk removed."""

    async def observe(self, instance_id: str) -> Workload | None:
        """Return its workload; None where there is none."""

    async def logs(self, instance_id: str, lines: int) -> list[str]:
        """Return the last lines its editor wrote; none where it never ran."""

    async def notify(self, instance_id: str, message: str, *, offer_to_keep: bool) -> None:
        """Show something to whoever has its editor open; an empty message takes it back."""


def amounts(record: Record, level: Quota) -> quota_service_pb2.Amounts:
    """Return what an instance counts for: all while it is to run, its disk while it is not."""
    if level is Quota.STOPPED:
        return quota_service_pb2.Amounts(instances=1, storage=record.storage)
    return quota_service_pb2.Amounts(
        instances=1, cpu=record.cpu, memory=record.memory, storage=record.storage
    )


def workload(message: workload_service_pb2.Workload) -> Workload | None:
    """Read a workload; None for one of a phase we do not know."""
    phase = _PHASES.get(message.phase)
    if phase is None:
        return None
    return Workload(
        phase=phase,
        runtime_id=message.runtime_id,
        start_time=message.start_time.ToMilliseconds() if message.HasField("start_time") else 0,
        exit_code=message.exit_code,
        error_code=message.error.code,
        error_message=message.error.message,
        paths_ready=message.paths_ready,
        in_force=InForce(
            message.resources.cpu,
            message.resources.memory,
            message.resources.storage,
            tuple(message.at_next_start),
        ),
        activity=_activity(message.activity) if message.HasField("activity") else None,
        health=Health(message.health.responding, message.health.since_time.ToMilliseconds())
        if message.HasField("health")
        else None,
    )


class MeshPeers:
    """The real ones, over the mesh."""

    def __init__(self, *, mesh: mesh.Mesh, stop_seconds: float, reserve_seconds: float) -> None:
        self._mesh = mesh
        self._reservations = Reservations(mesh=mesh, seconds=reserve_seconds)
        self._stop_seconds = stop_seconds

    async def reserve_quota(self, record: Record, level: Quota) -> None:
        """Make the ledger hold what is right for a level."""
        await self._reservations.reserve(
            quota_service_pb2.ReserveQuotaRequest(
                namespace=record.namespace, instance_id=record.id, amounts=amounts(record, level)
            )
        )

    async def check_quota(self, record: Record, level: Quota) -> None:
        """Raise QUOTA_EXCEEDED if a reservation would."""
        answer = await self._quota.CheckQuota(
            quota_service_pb2.CheckQuotaRequest(
                namespace=record.namespace, amounts=amounts(record, level), instance_id=record.id
            )
        )
        if not answer.allowed:
            raise errors.from_detail(answer.refusal, errors.ResourceExhausted)

    async def release_quota(self, record: Record) -> None:
        """Make the ledger hold nothing for it, nor get anything by a call under way."""
        await self._reservations.settled(record.id)
        await self._quota.ReleaseQuota(
            quota_service_pb2.ReleaseQuotaRequest(namespace=record.namespace, instance_id=record.id)
        )

    async def allocate(self, record: Record) -> Ports:
        """Have ports allocated, or learn which it has."""
        answer = await self._resources.AllocateResources(
            resource_service_pb2.AllocateResourcesRequest(
                instance_id=record.id,
                namespace=record.namespace,
                resources=_resources(record),
                web_port=record.wanted_web_port,
                unusable_web_port=record.unusable_port,
            )
        )
        span = answer.callback_port_range
        return Ports(answer.web_port, span.start, span.end)

    async def deallocate(self, instance_id: str) -> None:
        """Give its ports back."""
        await self._resources.DeallocateResources(
            resource_service_pb2.DeallocateResourcesRequest(instance_id=instance_id)
        )

    async def apply(self, record: Record) -> Workload:
        """Have its workload started.

        Raises:
            errors.DomainError: As told, or WORKLOAD_UNKNOWN for a phase of another release.
        """
        answer = await self._workloads.ApplyWorkload(
            workload_service_pb2.ApplyWorkloadRequest(
                instance_id=record.id,
                namespace=record.namespace,
                web_port=record.ports.web,
                callback_port=record.ports.callback_first,
                resources=_resources(record),
                environment=record.environment,
            )
        )
        started = workload(answer)
        if started is None:
            raise errors.Internal("WORKLOAD_UNKNOWN", "The workload is in a phase we do not know")
        return started

    async def stop(self, instance_id: str) -> Workload | None:
        """Have its workload stopped, its disk kept."""
        try:
            answer = await self._workloads.StopWorkload(
                workload_service_pb2.StopWorkloadRequest(instance_id=instance_id),
                timeout=self._stop_seconds,
            )
        except errors.NotFound:
            return None
        return workload(answer)

    async def delete(self, instance_id: str) -> None:
        """Have its workload and its disk removed."""
        await self._workloads.DeleteWorkload(
            workload_service_pb2.DeleteWorkloadRequest(instance_id=instance_id),
            timeout=self._stop_seconds,
        )

    async def observe(self, instance_id: str) -> Workload | None:
        """Return its workload; None where there is none."""
        try:
            answer = await self._workloads.GetWorkload(
                workload_service_pb2.GetWorkloadRequest(instance_id=instance_id)
            )
        except errors.NotFound:
            return None
        return workload(answer)

    async def logs(self, instance_id: str, lines: int) -> list[str]:
        """Return the last lines its editor wrote."""
        try:
            answer = await self._workloads.GetWorkloadLogs(
                workload_service_pb2.GetWorkloadLogsRequest(
                    instance_id=instance_id, tail_lines=lines
                )
            )
        except errors.NotFound:
            return []
        return list(answer.lines)

    async def notify(self, instance_id: str, message: str, *, offer_to_keep: bool) -> None:
        """Show something to whoever has its editor open."""
        await self._workloads.NotifyWorkload(
            workload_service_pb2.NotifyWorkloadRequest(
                instance_id=instance_id, message=message, offer_to_keep=offer_to_keep
            )
        )

    @property
    def _quota(self) -> "quota_service_pb2_grpc.QuotaServiceAsyncStub":
        return self._mesh.stub(quota_service_pb2_grpc.QuotaServiceStub)

    @property
    def _resources(self) -> "resource_service_pb2_grpc.ResourceServiceAsyncStub":
        return self._mesh.stub(resource_service_pb2_grpc.ResourceServiceStub)

    @property
    def _workloads(self) -> "workload_service_pb2_grpc.WorkloadServiceAsyncStub":
        return self._mesh.stub(workload_service_pb2_grpc.WorkloadServiceStub)


def _activity(message: workload_service_pb2.WorkloadActivity) -> Activity:
    # An unset time is 1970, our 0.
    return Activity(
        observed_since=message.observed_since.ToMilliseconds(),
        observed_at=message.observe_time.ToMilliseconds(),
        last_input=message.last_input_time.ToMilliseconds(),
        last_busy=message.last_busy_time.ToMilliseconds(),
    )


def _resources(record: Record) -> resources_pb2.Resources:
    return resources_pb2.Resources(cpu=record.cpu, memory=record.memory, storage=record.storage)
