"""WorkloadService: proto ↔ domain."""

import asyncio
from collections.abc import AsyncIterator, Callable

from codestudio.common.v1 import error_pb2, stream_pb2
from codestudio.resource.v1 import workload_service_pb2 as pb
from codestudio.resource.v1 import workload_service_pb2_grpc
from google.protobuf import empty_pb2
from grpc.aio import ServicerContext

from services.chassis import clock, context, errors, lifecycle
from services.chassis.validation import Violations
from services.resource import names
from services.resource.runtimes import Runtime
from services.resource.translation import read_resources, write_resources
from services.resource.usage import Usage
from services.resource.workload import Activity, Failure, Health, Phase, Resources, Spec, Workload

_HEARTBEAT_SECONDS = 15.0
_DEFAULT_LINES = 200
_MOST_LINES = 10_000
_LONGEST_NOTICE = 1000
_FIRST_PORT = 1024
_LAST_PORT = 65535
_PHASES = {
    Phase.STARTING: pb.WORKLOAD_PHASE_STARTING,
    Phase.READY: pb.WORKLOAD_PHASE_READY,
    Phase.STOPPING: pb.WORKLOAD_PHASE_STOPPING,
    Phase.STOPPED: pb.WORKLOAD_PHASE_STOPPED,
    Phase.EXITED: pb.WORKLOAD_PHASE_EXITED,
}


class WorkloadServicer(workload_service_pb2_grpc.WorkloadServiceServicer):
    """Serves WorkloadService."""

    def __init__(
        self, *, runtime: Runtime, usage: Usage, default_resources: Callable[[], Resources]
    ) -> None:
        self._runtime = runtime
        self._usage = usage
        self._default_resources = default_resources

    async def ApplyWorkload(
        self,
        request: pb.ApplyWorkloadRequest,
        context: ServicerContext[pb.ApplyWorkloadRequest, pb.Workload],
    ) -> pb.Workload:
        """See the contract.

        One that runs is restarted only for another web port, so that nobody loses a running
        terminal: new resources are in force at once, a new environment from its next start.
        """
        wrong = Violations()
        spec = Spec(
            instance_id=names.check(wrong, "instance_id", request.instance_id),
            namespace=names.check(wrong, "namespace", request.namespace),
            web_port=_port(wrong, "web_port", request.web_port),
            callback_port=_port(wrong, "callback_port", request.callback_port),
            resources=read_resources(wrong, request.resources, self._default_resources()),
            environment=_environment(wrong, dict(request.environment)),
        )
        wrong.check()
        return self._message(await self._runtime.apply(spec))

    async def StopWorkload(
        self,
        request: pb.StopWorkloadRequest,
        context: ServicerContext[pb.StopWorkloadRequest, pb.Workload],
    ) -> pb.Workload:
        """See the contract. One that never was is answered as stopped."""
        return self._message(await self._runtime.stop(_instance_id(request.instance_id)))

    async def DeleteWorkload(
        self,
        request: pb.DeleteWorkloadRequest,
        context: ServicerContext[pb.DeleteWorkloadRequest, empty_pb2.Empty],
    ) -> empty_pb2.Empty:
        """See the contract."""
        instance_id = _instance_id(request.instance_id)
        await self._runtime.delete(instance_id)
        await self._usage.forget(instance_id)
        return empty_pb2.Empty()

    async def GetWorkload(
        self,
        request: pb.GetWorkloadRequest,
        context: ServicerContext[pb.GetWorkloadRequest, pb.Workload],
    ) -> pb.Workload:
        """See the contract. Raises errors.NotFound (WORKLOAD_NOT_FOUND)."""
        return self._message(self._existing(_instance_id(request.instance_id)))

    async def ListWorkloads(
        self,
        request: pb.ListWorkloadsRequest,
        context: ServicerContext[pb.ListWorkloadsRequest, pb.ListWorkloadsResponse],
    ) -> pb.ListWorkloadsResponse:
        """See the contract."""
        return pb.ListWorkloadsResponse(workloads=map(self._message, self._runtime.list()))

    async def WatchWorkloads(
        self,
        request: pb.WatchWorkloadsRequest,
        context: ServicerContext[pb.WatchWorkloadsRequest, pb.WatchWorkloadsResponse],
    ) -> AsyncIterator[pb.WatchWorkloadsResponse]:
        """See the contract. Changes that come faster than they are read are told as one."""
        draining = lifecycle.draining()
        with self._runtime.changes.watch() as watcher:
            for workload in self._runtime.list():
                yield pb.WatchWorkloadsResponse(workload=self._message(workload))
            yield pb.WatchWorkloadsResponse(synced=True)
            leaving = asyncio.create_task(draining.wait())
            try:
                while not leaving.done():
                    waiting = asyncio.create_task(watcher.wait(_HEARTBEAT_SECONDS))
                    try:
                        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        waiting.cancel()
                    if not waiting.done():
                        return
                    changed = waiting.result()
                    for instance_id in changed:
                        yield self._change(instance_id)
                    if not changed:
                        yield _heartbeat()
            finally:
                leaving.cancel()

    async def NotifyWorkload(
        self,
        request: pb.NotifyWorkloadRequest,
        context: ServicerContext[pb.NotifyWorkloadRequest, empty_pb2.Empty],
    ) -> empty_pb2.Empty:
        """See the contract."""
        wrong = Violations()
        instance_id = names.check(wrong, "instance_id", request.instance_id)
        if len(request.message) > _LONGEST_NOTICE:
            wrong.add("message", f"must be at most {_LONGEST_NOTICE} characters")
        wrong.check()
        await self._runtime.notify(
            instance_id, request.message, offer_to_keep=request.offer_to_keep
        )
        return empty_pb2.Empty()

    async def GetWorkloadLogs(
        self,
        request: pb.GetWorkloadLogsRequest,
        context: ServicerContext[pb.GetWorkloadLogsRequest, pb.WorkloadLogs],
    ) -> pb.WorkloadLogs:
        """See the contract. Raises errors.NotFound (WORKLOAD_NOT_FOUND)."""
        wrong = Violations()
        instance_id = names.check(wrong, "instance_id", request.instance_id)
        if not 0 <= request.tail_lines <= _MOST_LINES:
            wrong.add("tail_lines", f"must be 1 to {_MOST_LINES}, or 0 for {_DEFAULT_LINES}")
        wrong.check()
        self._existing(instance_id)
        lines = await self._runtime.logs(instance_id, request.tail_lines or _DEFAULT_LINES)
        return pb.WorkloadLogs(lines=lines)

    def _message(self, workload: Workload) -> pb.Workload:
        name = workload.instance_id
        return _workload(workload, self._runtime.activity(name), self._runtime.health(name))

    def _existing(self, instance_id: str) -> Workload:
        workload = self._runtime.get(instance_id)
        if workload is None:
            raise errors.NotFound(
                "WORKLOAD_NOT_FOUND",
                f"Instance {instance_id} has no workload",
                instance_id=instance_id,
            )
        return workload

    def _change(self, instance_id: str) -> pb.WatchWorkloadsResponse:
        workload = self._runtime.get(instance_id)
        if workload is None:
            return pb.WatchWorkloadsResponse(removed_instance_id=instance_id)
        return pb.WatchWorkloadsResponse(workload=self._message(workload))


def _instance_id(text: str) -> str:
    wrong = Violations()
    names.check(wrong, "instance_id", text)
    wrong.check()
    return text


def _port(wrong: Violations, field: str, port: int) -> int:
    if not _FIRST_PORT <= port <= _LAST_PORT:
        wrong.add(field, f"must be {_FIRST_PORT} to {_LAST_PORT}, is {port}")
    return port


def _environment(wrong: Violations, environment: dict[str, str]) -> dict[str, str]:
    for name, value in environment.items():
        # The system's own limits; which names and sizes are wanted, the Instance service says.
        if not name or "=" in name or "\0" in name or "\0" in value:
            wrong.add("environment", f"{name[:40]!r} cannot be set")
    return environment


def _workload(workload: Workload, activity: Activity | None, health: Health | None) -> pb.Workload:
    message = pb.Workload(
        instance_id=workload.instance_id,
        phase=_PHASES[workload.phase],
        endpoint=workload.endpoint,
        runtime_id=workload.runtime_id,
        exit_code=workload.exit_code,
        paths_ready=workload.paths_ready,
        spec_hash="" if workload.spec is None else workload.spec.fingerprint,
    )
    if workload.spec is not None and workload.phase.is_alive:
        message.resources.CopyFrom(write_resources(workload.spec.resources))
        message.at_next_start.extend(workload.at_next_start)
    if workload.start_time is not None:
        message.start_time.FromDatetime(workload.start_time)
    if workload.ready_time is not None:
        message.ready_time.FromDatetime(workload.ready_time)
    if workload.failure is not None:
        message.error.CopyFrom(_detail(workload.instance_id, workload.failure))
    if activity is not None and workload.phase.is_alive:
        message.activity.observed_since.FromDatetime(activity.observed_since)
        message.activity.observe_time.FromDatetime(activity.observed_at)
        if activity.last_input is not None:
            message.activity.last_input_time.FromDatetime(activity.last_input)
        if activity.last_busy is not None:
            message.activity.last_busy_time.FromDatetime(activity.last_busy)
    if health is not None and workload.phase is Phase.READY:
        message.health.responding = health.responding
        message.health.since_time.FromDatetime(health.since)
    return message


def _detail(instance_id: str, failure: Failure) -> error_pb2.ErrorDetail:
    return error_pb2.ErrorDetail(
        code=failure.code,
        message=failure.message,
        timestamp=clock.iso(failure.time),
        service=context.current().service,
        instance_id=instance_id,
    )


def _heartbeat() -> pb.WatchWorkloadsResponse:
    heartbeat = stream_pb2.Heartbeat()
    heartbeat.time.FromDatetime(clock.now())
    return pb.WatchWorkloadsResponse(heartbeat=heartbeat)
