"""Small honest servers of the Quota and Resource contracts, for tests of what the reconciler does.

They keep what they were asked for, so that a test can see what is held; and they fail when a
test says so. The real services are met in tests/e2e and tests/chaos.
"""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import asyncio
import collections
import contextlib
import time
from collections.abc import AsyncIterator

import grpc
from codestudio.common.v1 import error_pb2, stream_pb2
from codestudio.quota.v1 import quota_service_pb2, quota_service_pb2_grpc
from codestudio.resource.v1 import (
    resource_service_pb2,
    resource_service_pb2_grpc,
    workload_service_pb2,
    workload_service_pb2_grpc,
)
from google.protobuf import empty_pb2

from services.chassis import status

Phase = workload_service_pb2.WorkloadPhase
STARTING = workload_service_pb2.WORKLOAD_PHASE_STARTING
READY = workload_service_pb2.WORKLOAD_PHASE_READY
STOPPED = workload_service_pb2.WORKLOAD_PHASE_STOPPED
EXITED = workload_service_pb2.WORKLOAD_PHASE_EXITED


class World(
    quota_service_pb2_grpc.QuotaServiceServicer,
    resource_service_pb2_grpc.ResourceServiceServicer,
    workload_service_pb2_grpc.WorkloadServiceServicer,
):
    """Everything an instance has outside its record."""

    def __init__(self) -> None:
        self.reservations: dict[str, quota_service_pb2.Amounts] = {}
        self.instances_limit = 1000
        self.ports: dict[str, int] = {}
        self.workloads: dict[str, workload_service_pb2.Workload] = {}
        self.disks: set[str] = set()
        self.environments: dict[str, dict[str, str]] = {}
        """What each workload was started with."""
        self.calls: collections.Counter[str] = collections.Counter()
        self.faults: dict[str, tuple[grpc.StatusCode, str]] = {}
        """By method: what it answers instead."""
        self.ready_after: float | None = 0.0
        """Seconds from start to READY; None for never."""
        self._watchers: set[asyncio.Queue[workload_service_pb2.WatchWorkloadsResponse]] = set()
        self._starts: set[asyncio.Task[None]] = set()
        self.started = 0
        """Processes started."""

    def put(self, instance_id: str, phase: Phase.ValueType, **fields: object) -> None:
        """Make something happen to a workload."""
        workload = self.workloads[instance_id]
        workload.phase = phase
        for name, value in fields.items():
            if isinstance(value, error_pb2.ErrorDetail):
                workload.error.CopyFrom(value)
            else:
                setattr(workload, name, value)
        self._tell(workload_service_pb2.WatchWorkloadsResponse(workload=workload))

    @property
    def leftovers(self) -> tuple[set[str], set[str], set[str], set[str]]:
        """Ids that hold quota, ports, a workload, a disk."""
        return set(self.reservations), set(self.ports), set(self.workloads), set(self.disks)

    async def ReserveQuota(
        self, request: quota_service_pb2.ReserveQuotaRequest, context: grpc.aio.ServicerContext
    ) -> quota_service_pb2.Reservation:
        await self._meet("ReserveQuota", request.instance_id, context)
        held = set(self.reservations) | {request.instance_id}
        if len(held) > self.instances_limit:
            await refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
        self.reservations[request.instance_id] = request.amounts
        return quota_service_pb2.Reservation(instance_id=request.instance_id)

    async def BatchReserveQuota(
        self,
        request: quota_service_pb2.BatchReserveQuotaRequest,
        context: grpc.aio.ServicerContext,
    ) -> quota_service_pb2.BatchReserveQuotaResponse:
        await self._meet("BatchReserveQuota", "", context)
        answer = quota_service_pb2.BatchReserveQuotaResponse()
        for one in request.requests:
            result = answer.results.add()
            if len(set(self.reservations) | {one.instance_id}) > self.instances_limit:
                result.error.code = "QUOTA_EXCEEDED"
            else:
                self.reservations[one.instance_id] = one.amounts
                result.reservation.instance_id = one.instance_id
        await self._meet("BatchReserveQuota answered", "", context)
        return answer

    async def CheckQuota(
        self, request: quota_service_pb2.CheckQuotaRequest, context: grpc.aio.ServicerContext
    ) -> quota_service_pb2.CheckQuotaResponse:
        await self._meet("CheckQuota", request.instance_id, context)
        answer = quota_service_pb2.CheckQuotaResponse(allowed=True)
        if len(set(self.reservations) | {request.instance_id}) > self.instances_limit:
            answer.allowed = False
            answer.refusal.code = "QUOTA_EXCEEDED"
        return answer

    async def ReleaseQuota(
        self, request: quota_service_pb2.ReleaseQuotaRequest, context: grpc.aio.ServicerContext
    ) -> empty_pb2.Empty:
        await self._meet("ReleaseQuota", request.instance_id, context)
        self.reservations.pop(request.instance_id, None)
        return empty_pb2.Empty()

    async def AllocateResources(
        self,
        request: resource_service_pb2.AllocateResourcesRequest,
        context: grpc.aio.ServicerContext,
    ) -> resource_service_pb2.ResourceAllocation:
        await self._meet("AllocateResources", request.instance_id, context)
        port = self.ports.get(request.instance_id)
        if port is None or port == request.unusable_web_port:
            taken = {*self.ports.values(), request.unusable_web_port}
            port = next(one for one in range(8000, 60000, 100) if one not in taken)
        self.ports[request.instance_id] = port
        answer = resource_service_pb2.ResourceAllocation(web_port=port)
        answer.callback_port_range.start, answer.callback_port_range.end = port + 50, port + 99
        return answer

    async def DeallocateResources(
        self,
        request: resource_service_pb2.DeallocateResourcesRequest,
        context: grpc.aio.ServicerContext,
    ) -> empty_pb2.Empty:
        await self._meet("DeallocateResources", request.instance_id, context)
        self.ports.pop(request.instance_id, None)
        return empty_pb2.Empty()

    async def ApplyWorkload(
        self, request: workload_service_pb2.ApplyWorkloadRequest, context: grpc.aio.ServicerContext
    ) -> workload_service_pb2.Workload:
        await self._meet("ApplyWorkload", request.instance_id, context)
        known = self.workloads.get(request.instance_id)
        if known is not None and known.phase in (STARTING, READY):
            known.resources.CopyFrom(request.resources)
            started = self.environments[request.instance_id]
            pending = started != dict(request.environment)
            known.at_next_start[:] = ["environment"] if pending else []
            return known
        self.started += 1
        self.environments[request.instance_id] = dict(request.environment)
        workload = workload_service_pb2.Workload(
            instance_id=request.instance_id,
            phase=STARTING,
            runtime_id=f"pid {self.started}",
            endpoint=f"127.0.0.1:{request.web_port}",
            paths_ready=True,
            resources=request.resources,
        )
        workload.start_time.FromNanoseconds(time.time_ns())
        self.workloads[request.instance_id] = workload
        self.disks.add(request.instance_id)
        self._tell(workload_service_pb2.WatchWorkloadsResponse(workload=workload))
        if self.ready_after is not None:
            start = asyncio.create_task(self._become_ready(workload, self.ready_after))
            self._starts.add(start)
            start.add_done_callback(self._starts.discard)
        return workload

    async def StopWorkload(
        self, request: workload_service_pb2.StopWorkloadRequest, context: grpc.aio.ServicerContext
    ) -> workload_service_pb2.Workload:
        await self._meet("StopWorkload", request.instance_id, context)
        if request.instance_id not in self.workloads:
            await refuse(context, grpc.StatusCode.NOT_FOUND, "WORKLOAD_NOT_FOUND")
        self.put(request.instance_id, STOPPED)
        return self.workloads[request.instance_id]

    async def DeleteWorkload(
        self, request: workload_service_pb2.DeleteWorkloadRequest, context: grpc.aio.ServicerContext
    ) -> empty_pb2.Empty:
        await self._meet("DeleteWorkload", request.instance_id, context)
        self.disks.discard(request.instance_id)
        if self.workloads.pop(request.instance_id, None) is not None:
            gone = request.instance_id
            self._tell(workload_service_pb2.WatchWorkloadsResponse(removed_instance_id=gone))
        return empty_pb2.Empty()

    async def GetWorkload(
        self, request: workload_service_pb2.GetWorkloadRequest, context: grpc.aio.ServicerContext
    ) -> workload_service_pb2.Workload:
        await self._meet("GetWorkload", request.instance_id, context)
        if request.instance_id not in self.workloads:
            await refuse(context, grpc.StatusCode.NOT_FOUND, "WORKLOAD_NOT_FOUND")
        return self.workloads[request.instance_id]

    async def GetWorkloadLogs(
        self,
        request: workload_service_pb2.GetWorkloadLogsRequest,
        context: grpc.aio.ServicerContext,
    ) -> workload_service_pb2.WorkloadLogs:
        await self._meet("GetWorkloadLogs", request.instance_id, context)
        return workload_service_pb2.WorkloadLogs(lines=["one", "two"][-request.tail_lines :])

    async def WatchWorkloads(
        self,
        request: workload_service_pb2.WatchWorkloadsRequest,
        context: grpc.aio.ServicerContext,
    ) -> AsyncIterator[workload_service_pb2.WatchWorkloadsResponse]:
        await self._meet("WatchWorkloads", "", context)
        changes: asyncio.Queue[workload_service_pb2.WatchWorkloadsResponse] = asyncio.Queue()
        self._watchers.add(changes)
        try:
            for workload in list(self.workloads.values()):
                yield workload_service_pb2.WatchWorkloadsResponse(workload=workload)
            yield workload_service_pb2.WatchWorkloadsResponse(synced=True)
            while True:
                try:
                    yield await asyncio.wait_for(changes.get(), 15)
                except TimeoutError:
                    yield workload_service_pb2.WatchWorkloadsResponse(
                        heartbeat=stream_pb2.Heartbeat()
                    )
        finally:
            self._watchers.discard(changes)

    async def _become_ready(self, workload: workload_service_pb2.Workload, after: float) -> None:
        await asyncio.sleep(after)
        if workload.phase == STARTING and self.workloads.get(workload.instance_id) is workload:
            self.put(workload.instance_id, READY)

    def _tell(self, message: workload_service_pb2.WatchWorkloadsResponse) -> None:
        copy = workload_service_pb2.WatchWorkloadsResponse()
        copy.CopyFrom(message)
        for changes in self._watchers:
            changes.put_nowait(copy)

    async def _meet(self, method: str, instance_id: str, context: grpc.aio.ServicerContext) -> None:
        self.calls[method] += 1
        if method in self.faults:
            await refuse(context, *self.faults[method])


async def refuse(context: grpc.aio.ServicerContext, code: grpc.StatusCode, name: str) -> None:
    """Answer an error as our services do."""
    detail = error_pb2.ErrorDetail(code=name, message=f"{name} as the test wants it")
    await context.abort(code, detail.message, ((status.KEY, status.pack(code, detail)),))


@contextlib.asynccontextmanager
async def serving(world: World, port: int = 0) -> AsyncIterator[int]:
    """Serve it; gives the port."""
    server = grpc.aio.server()
    quota_service_pb2_grpc.add_QuotaServiceServicer_to_server(world, server)
    resource_service_pb2_grpc.add_ResourceServiceServicer_to_server(world, server)
    workload_service_pb2_grpc.add_WorkloadServiceServicer_to_server(world, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(0)
