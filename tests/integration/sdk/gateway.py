"""A small control plane behind a real gRPC server, whose faults a test can choose.

It keeps the instance service's contract (versions, etags, request ids, filters, watches that
resume) and nothing else: no Envoy, no database, no editor. The real one is tested end to end.
"""

import asyncio
import dataclasses
import datetime
import itertools
import re
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import grpc
import grpc.aio
from codestudio.common.v1 import error_pb2
from codestudio.config.v1 import config_service_pb2, config_service_pb2_grpc
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from codestudio.quota.v1 import quota_service_pb2, quota_service_pb2_grpc
from codestudio.resource.v1 import resource_service_pb2, resource_service_pb2_grpc
from google.protobuf import empty_pb2
from google.rpc import status_pb2

TOKEN = "the-token"
Value = TypeVar("Value")
Event = instance_service_pb2.InstanceEvent
Watched = instance_service_pb2.WatchInstancesResponse


@dataclasses.dataclass
class Fault:
    """How a call is to end instead."""

    status: grpc.StatusCode
    detail: error_pb2.ErrorDetail | None = None
    text: str = ""
    after: bool = False
    """Do what was asked, and lose the answer."""


class Gateway(
    instance_service_pb2_grpc.InstanceServiceServicer,
    quota_service_pb2_grpc.QuotaServiceServicer,
    resource_service_pb2_grpc.ResourceServiceServicer,
    config_service_pb2_grpc.ConfigServiceServicer,
):
    """The control plane; runs on a thread of its own so that any client can use it."""

    def __init__(self) -> None:
        self.instances: dict[str, instance_pb2.Instance] = {}
        self.calls: list[tuple[str, Any, dict[str, str]]] = []
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.fail_starts_with: instance_pb2.Failure | None = None
        self.stuck = False
        self.quota = quota_service_pb2.Amounts(instances=10, cpu="20", memory="40Gi", storage="1Ti")
        self.default_quota = quota_service_pb2.Amounts()
        self.default_quota.CopyFrom(self.quota)
        self.revisions = 0
        self._log: list[Event] = []
        self._epoch = 1
        self._by_request: dict[str, tuple[instance_pb2.InstanceConfig, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._watches: set[asyncio.Future[Fault]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: grpc.aio.Server | None = None
        self.port = 0

    # The test's side.

    def start(self) -> None:
        """Serve; on the port of before, if there was one."""
        if not self._thread.is_alive():
            self._thread.start()
        self._run(self._start())

    def stop(self) -> None:
        """Stop serving, as a gateway that dies: connections are cut."""
        self._run(self._stop())

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._run(self._drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def requests(self, method: str) -> list[Any]:
        """Give the requests a method has had."""
        return [request for name, request, _ in self.calls if name == method]

    def cut_watches(self, fault: Fault) -> None:
        """End every watch under way."""

        async def cut() -> None:
            for watch in self._watches:
                if not watch.done():
                    watch.set_result(fault)

        self._run(cut())

    def forget_log(self) -> None:
        """Make every resume token too old."""
        self._epoch += 1

    def change(self, id_: str, **fields: Any) -> None:
        """Change an instance, as the reconciler would."""

        async def change() -> None:
            self._change(id_, **fields)

        self._run(change())

    def remove(self, id_: str) -> None:
        """Make an instance be gone."""

        async def remove() -> None:
            self._remove(id_)

        self._run(remove())

    def silently(self, action: Callable[[], None]) -> None:
        """Do something no watch is told of: as if it happened in a log that is lost."""

        async def act() -> None:
            length = len(self._log)
            action()
            del self._log[length:]

        self._run(act())

    # InstanceService.

    async def CreateInstance(self, request: Any, context: Any) -> instance_pb2.Instance:
        async with self._call("CreateInstance", request, context) as fault:
            instance = await self._create(request, context)
            await _answer(context, fault)
            return instance

    async def GetInstance(self, request: Any, context: Any) -> instance_pb2.Instance:
        async with self._call("GetInstance", request, context):
            return await self._find(request.id, context)

    async def ListInstances(self, request: Any, context: Any) -> Any:
        async with self._call("ListInstances", request, context):
            size = request.page_size or 100
            matching = [
                instance
                for id_, instance in sorted(self.instances.items())
                if id_ > request.page_token and _matches(instance, request.filter)
            ]
            more = matching[size - 1].id if len(matching) > size else ""
            return instance_service_pb2.ListInstancesResponse(
                instances=matching[:size], next_page_token=more
            )

    async def UpdateInstance(self, request: Any, context: Any) -> instance_pb2.Instance:
        async with self._call("UpdateInstance", request, context):
            asked = request.instance
            instance = await self._find(asked.id, context)
            await _check_etag(instance, asked.etag, context)
            if request.validate_only:
                return instance
            changed = instance_pb2.Instance()
            changed.CopyFrom(instance)
            for name in ("labels", "environment"):
                if name in request.update_mask.paths:
                    changed.ClearField(name)
            request.update_mask.MergeMessage(asked, changed)
            self.instances[asked.id] = changed
            self._change(asked.id)
            return self.instances[asked.id]

    async def DeleteInstance(self, request: Any, context: Any) -> empty_pb2.Empty:
        async with self._call("DeleteInstance", request, context):
            if request.id not in self.instances and request.allow_missing:
                return empty_pb2.Empty()
            instance = await self._find(request.id, context)
            await _check_etag(instance, request.etag, context)
            self._change(
                request.id,
                desired_state=instance_pb2.DESIRED_STATE_DELETED,
                state=instance_pb2.INSTANCE_STATE_DELETING,
                reconciling=True,
            )
            self._later(self._delete(request.id))
            return empty_pb2.Empty()

    async def StartInstance(self, request: Any, context: Any) -> instance_pb2.Instance:
        async with self._call("StartInstance", request, context):
            instance = await self._find(request.id, context)
            await _check_etag(instance, request.etag, context)
            if instance.state != instance_pb2.INSTANCE_STATE_RUNNING:
                self._change(
                    request.id, desired_state=instance_pb2.DESIRED_STATE_RUNNING, reconciling=True
                )
                self._later(self._bring_up(request.id))
            return self.instances[request.id]

    async def StopInstance(self, request: Any, context: Any) -> instance_pb2.Instance:
        async with self._call("StopInstance", request, context):
            instance = await self._find(request.id, context)
            await _check_etag(instance, request.etag, context)
            self._change(
                request.id, desired_state=instance_pb2.DESIRED_STATE_STOPPED, reconciling=True
            )
            self._later(self._bring_down(request.id))
            return self.instances[request.id]

    async def KeepInstanceAlive(self, request: Any, context: Any) -> instance_pb2.Instance:
        async with self._call("KeepInstanceAlive", request, context):
            await self._find(request.id, context)
            now = datetime.datetime.now(datetime.UTC)
            self._change(request.id, keep_alive_until=now + request.duration.ToTimedelta())
            return self.instances[request.id]

    async def BatchCreateInstances(self, request: Any, context: Any) -> Any:
        async with self._call("BatchCreateInstances", request, context):
            response = instance_service_pb2.BatchCreateInstancesResponse()
            for config in request.configs:
                if config.id in self.instances:
                    response.results.add().error.CopyFrom(_exists(config.id))
                    response.failed += 1
                else:
                    response.results.add().instance.CopyFrom(self._add(config))
                    response.created += 1
            return response

    async def GetInstanceStatus(self, request: Any, context: Any) -> Any:
        async with self._call("GetInstanceStatus", request, context):
            instance = await self._find(request.id, context)
            status = instance_service_pb2.InstanceStatus(
                id=instance.id,
                state=instance.state,
                desired_state=instance.desired_state,
                reconciling=instance.reconciling,
                version=instance.version,
                conditions=instance.conditions,
            )
            if instance.HasField("failure"):
                status.failure.CopyFrom(instance.failure)
            return status

    async def GetInstanceLogs(self, request: Any, context: Any) -> Any:
        async with self._call("GetInstanceLogs", request, context):
            await self._find(request.id, context)
            return instance_service_pb2.InstanceLogs(lines=["first", "second"])

    async def WatchInstances(self, request: Any, context: Any) -> AsyncIterator[Watched]:
        async with self._call("WatchInstances", request, context):
            ended: asyncio.Future[Fault] = self._loop.create_future()
            self._watches.add(ended)
            try:
                async for message in self._watch(request, context, ended):
                    yield message
            finally:
                self._watches.discard(ended)

    # ResourceService.

    async def GetResourceUsage(self, request: Any, context: Any) -> Any:
        async with self._call("GetResourceUsage", request, context):
            answer = resource_service_pb2.ResourceUsage(port_ranges_used=1, port_ranges_total=100)
            one = answer.instances.add(instance_id="fox", namespace="default", processes=3)
            one.current.cpu_cores = 0.25
            one.current.memory_bytes = 3 * 2**29
            one.limits.cpu, one.limits.memory, one.limits.storage = "500m", "2Gi", "10Gi"
            one.enforcement.add(
                resource=resource_service_pb2.LIMITED_RESOURCE_STORAGE,
                means=resource_service_pb2.ENFORCEMENT_MEANS_PROCESS_LIMIT,
                limited=True,
                message="full",
            )
            one.limit_events.add(
                resource=resource_service_pb2.LIMITED_RESOURCE_MEMORY, message="ended python"
            )
            if request.include_history:
                one.history.add(cpu_cores=0.5, processes=2).time.FromSeconds(1_800_000_000)
            return answer

    async def OptimizeResourceAllocation(self, request: Any, context: Any) -> Any:
        async with self._call("OptimizeResourceAllocation", request, context):
            answer = resource_service_pb2.OptimizationResult()
            one = answer.optimizations.add(
                type=resource_service_pb2.OPTIMIZATION_TYPE_SCALE_UP_CPU,
                instance_id="fox",
                current=0.9,
                current_limit="500m",
                recommended_limit="700m",
                outcome=resource_service_pb2.OPTIMIZATION_OUTCOME_APPLIED
                if request.apply
                else resource_service_pb2.OPTIMIZATION_OUTCOME_RECOMMENDED,
            )
            one.evidence.samples = 4
            one.evidence.window.FromSeconds(60)
            answer.estimated_improvement.cpu_cores_freed = -0.2
            return answer

    async def AllocateResources(self, request: Any, context: Any) -> Any:
        async with self._call("AllocateResources", request, context):
            answer = resource_service_pb2.ResourceAllocation(
                instance_id=request.instance_id,
                namespace=request.namespace or "default",
                web_port=request.web_port or 8000,
                resources=request.resources,
            )
            answer.callback_port_range.start = answer.web_port + 50
            answer.callback_port_range.end = answer.web_port + 99
            return answer

    async def DeallocateResources(self, request: Any, context: Any) -> empty_pb2.Empty:
        async with self._call("DeallocateResources", request, context):
            return empty_pb2.Empty()

    # QuotaService.

    async def GetQuota(self, request: Any, context: Any) -> quota_service_pb2.Quota:
        async with self._call("GetQuota", request, context):
            return self._quota(request.namespace)

    async def UpdateQuota(self, request: Any, context: Any) -> quota_service_pb2.Quota:
        async with self._call("UpdateQuota", request, context):
            for path in request.update_mask.paths:
                field = path.removeprefix("limits.")
                setattr(self.quota, field, getattr(request.quota.limits, field))
            for field in request.reset:
                setattr(self.quota, field, getattr(self.default_quota, field))
            return self._quota(request.quota.namespace)

    async def ListQuotas(self, request: Any, context: Any) -> Any:
        async with self._call("ListQuotas", request, context):
            return quota_service_pb2.ListQuotasResponse(quotas=[self._quota("default")])

    async def CheckQuota(self, request: Any, context: Any) -> Any:
        async with self._call("CheckQuota", request, context):
            allowed = request.amounts.instances <= self.quota.instances
            response = quota_service_pb2.CheckQuotaResponse(allowed=allowed)
            if not allowed:
                response.shortages.add(
                    resource="instances",
                    limit=str(self.quota.instances),
                    used="0",
                    requested=str(request.amounts.instances),
                    exceeded_by=str(request.amounts.instances - self.quota.instances),
                    held="2" if request.instance_id else "",
                )
            return response

    async def ListRevisions(self, request: Any, context: Any) -> Any:
        async with self._call("ListRevisions", request, context):
            newest = int(request.page_token or self.revisions)
            oldest = max(0, newest - min(request.page_size or 100, 1000))
            return config_service_pb2.ListRevisionsResponse(
                revisions=[
                    config_service_pb2.ConfigurationRevision(revision=number)
                    for number in range(newest, oldest, -1)
                ],
                next_page_token=str(oldest or ""),
            )

    async def ReserveQuota(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def ReleaseQuota(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    # What it does.

    async def _create(self, request: Any, context: Any) -> instance_pb2.Instance:
        config = request.config
        violations = [
            error_pb2.FieldViolation(field=f"config.resources.{name}", description="is negative")
            for name in ("cpu", "memory", "storage")
            if getattr(config.resources, name).startswith("-")
        ]
        if violations:
            detail = error_pb2.ErrorDetail(
                code="INVALID_ARGUMENT", message="the request is wrong", violations=violations
            )
            await _abort(context, Fault(grpc.StatusCode.INVALID_ARGUMENT, detail))
        if known := self._by_request.get(request.request_id):
            if known[0] != config:
                detail = error_pb2.ErrorDetail(code="REQUEST_ID_REUSED", message="another body")
                await _abort(context, Fault(grpc.StatusCode.ALREADY_EXISTS, detail))
            return self.instances[known[1]]
        if config.id in self.instances:
            await _abort(context, Fault(grpc.StatusCode.ALREADY_EXISTS, _exists(config.id)))
        if len(self.instances) >= self.quota.instances:
            detail = error_pb2.ErrorDetail(
                code="QUOTA_EXCEEDED",
                message="the namespace may have 10 instances",
                metadata={"resource": "instances", "limit": str(self.quota.instances)},
            )
            await _abort(context, Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, detail))
        instance = self._add(config)
        if request.request_id:
            self._by_request[request.request_id] = (config, instance.id)
        return instance

    def _add(self, config: instance_pb2.InstanceConfig) -> instance_pb2.Instance:
        number = next(self._numbers)
        id_ = config.id or f"made-{number}"
        start = 8000 + 100 * (number - 1)
        instance = instance_pb2.Instance(
            id=id_,
            namespace=config.namespace or "default",
            owner="admin",
            display_name=config.display_name or id_,
            labels=config.labels,
            environment=config.environment,
            desired_state=config.desired_state or instance_pb2.DESIRED_STATE_RUNNING,
            state=instance_pb2.INSTANCE_STATE_PENDING,
            reconciling=True,
            url=f"/i/{id_}/",
            version=1,
            etag=f"{number}.1",
            conditions=[instance_pb2.Condition(type=each) for each in range(1, 6)],  # type: ignore[arg-type]
        )
        instance.resources.CopyFrom(config.resources)
        instance.ports.web_port = start
        instance.ports.callback_port = start + 50
        instance.ports.callback_port_range.start = start + 50
        instance.ports.callback_port_range.end = start + 99
        instance.create_time.FromNanoseconds(1_700_000_000_000_000_000 + number)
        self.instances[id_] = instance
        self._record(Event.TYPE_ADDED, instance)
        if instance.desired_state == instance_pb2.DESIRED_STATE_RUNNING:
            self._later(self._bring_up(id_))
        else:
            self._later(self._bring_down(id_))
        return instance

    async def _bring_up(self, id_: str) -> None:
        self._change(id_, state=instance_pb2.INSTANCE_STATE_STARTING)
        if self.stuck:
            return
        await asyncio.sleep(0.02)
        if id_ not in self.instances:
            return
        if self.fail_starts_with is not None:
            self._change(
                id_,
                state=instance_pb2.INSTANCE_STATE_FAILED,
                failure=self.fail_starts_with,
                reconciling=False,
            )
            return
        reached = [
            instance_pb2.Condition(type=each, status=True)  # type: ignore[arg-type]
            for each in range(1, 6)
        ]
        self._change(
            id_,
            state=instance_pb2.INSTANCE_STATE_RUNNING,
            reconciling=False,
            conditions=reached,
        )

    async def _bring_down(self, id_: str) -> None:
        self._change(id_, state=instance_pb2.INSTANCE_STATE_STOPPING)
        await asyncio.sleep(0.02)
        if id_ in self.instances:
            self._change(id_, state=instance_pb2.INSTANCE_STATE_STOPPED, reconciling=False)

    async def _delete(self, id_: str) -> None:
        await asyncio.sleep(0.02)
        self._remove(id_)

    def _remove(self, id_: str) -> None:
        if (instance := self.instances.pop(id_, None)) is not None:
            self._record(Event.TYPE_REMOVED, instance)

    def _change(self, id_: str, **fields: Any) -> None:
        instance = instance_pb2.Instance()
        instance.CopyFrom(self.instances[id_])
        for name, value in fields.items():
            if name == "conditions":
                del instance.conditions[:]
                instance.conditions.extend(value)
            elif name == "failure":
                instance.failure.CopyFrom(value)
            else:
                setattr(instance, name, value)
        instance.version += 1
        instance.etag = f"{instance.etag.split('.')[0]}.{instance.version}"
        self.instances[id_] = instance
        self._record(Event.TYPE_MODIFIED, instance)

    def _record(self, type_: Any, instance: instance_pb2.Instance) -> None:
        self._log.append(Event(type=type_, instance=instance))
        self._changed.set()
        self._changed = asyncio.Event()

    async def _watch(
        self, request: Any, context: Any, ended: "asyncio.Future[Fault]"
    ) -> AsyncIterator[Watched]:
        own_epoch = self._epoch
        if request.resume_token:
            epoch, position = map(int, request.resume_token.split(":"))
            if epoch != self._epoch:
                detail = error_pb2.ErrorDetail(code="WATCH_EXPIRED", message="too old")
                yield Watched(error=detail)
                return
            sent = {
                event.instance.id
                for event in self._log[:position]
                if _matches(event.instance, request.filter)
            }
        else:
            position = len(self._log)
            sent = set()
            for instance in [*self.instances.values()]:
                if _matches(instance, request.filter):
                    sent.add(instance.id)
                    yield Watched(event=Event(type=Event.TYPE_ADDED, instance=instance))
                    if ended.done():
                        await _abort(context, ended.result())
            token = f"{own_epoch}:{position}"
            synced = instance_service_pb2.Synced(instances=len(sent))
            yield Watched(synced=synced, resume_token=token)
        while True:
            changed = self._changed
            while position < len(self._log):
                event = self._log[position]
                position += 1
                token = f"{own_epoch}:{position}"
                id_ = event.instance.id
                if event.type != Event.TYPE_REMOVED and _matches(event.instance, request.filter):
                    type_ = Event.TYPE_MODIFIED if id_ in sent else Event.TYPE_ADDED
                    sent.add(id_)
                    told = Event(type=type_, instance=event.instance)
                    yield Watched(event=told, resume_token=token)
                elif id_ in sent:
                    sent.discard(id_)
                    told = Event(type=Event.TYPE_REMOVED, instance=event.instance)
                    yield Watched(event=told, resume_token=token)
            waiting: asyncio.Future[Any] = asyncio.ensure_future(changed.wait())
            either: tuple[asyncio.Future[Any], ...] = (waiting, ended)
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            if ended.done():
                fault = ended.result()
                if fault.status is grpc.StatusCode.OK:
                    if fault.detail is not None:
                        yield Watched(error=fault.detail)
                    return
                await _abort(context, fault)

    def _quota(self, namespace: str) -> quota_service_pb2.Quota:
        return quota_service_pb2.Quota(
            namespace=namespace,
            limits=self.quota,
            usage=quota_service_pb2.Amounts(
                instances=len(self.instances), cpu="0", memory="0", storage="0"
            ),
            is_default=True,
        )

    async def _find(self, id_: str, context: Any) -> instance_pb2.Instance:
        if id_ not in self.instances:
            detail = error_pb2.ErrorDetail(
                code="INSTANCE_NOT_FOUND",
                message=f"there is no instance {id_}",
                service="instance-service",
                instance_id=id_,
                request_id="the-services-request-id",
            )
            await _abort(context, Fault(grpc.StatusCode.NOT_FOUND, detail))
        return self.instances[id_]

    def _call(self, name: str, request: Any, context: Any) -> "_Call":
        return _Call(self, name, request, context)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self) -> None:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        instance_service_pb2_grpc.add_InstanceServiceServicer_to_server(self, server)
        quota_service_pb2_grpc.add_QuotaServiceServicer_to_server(self, server)
        resource_service_pb2_grpc.add_ResourceServiceServicer_to_server(self, server)
        config_service_pb2_grpc.add_ConfigServiceServicer_to_server(self, server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        await server.start()
        self._server = server

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop(0)

    async def _drain(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


class _Call:
    """Receives a call: records it, checks its token, ends it as the test wants."""

    def __init__(self, gateway: Gateway, name: str, request: Any, context: Any) -> None:
        self._gateway, self._name, self._request, self._context = gateway, name, request, context

    async def __aenter__(self) -> Fault | None:
        headers = dict(self._context.invocation_metadata())
        self._gateway.calls.append((self._name, self._request, headers))
        if headers.get("authorization") != f"Bearer {TOKEN}":
            fault = Fault(grpc.StatusCode.UNAUTHENTICATED, text="Jwt is missing")
            await _abort(self._context, fault)
        faults = self._gateway.faults[self._name]
        fault_ = faults.pop(0) if faults else None
        if fault_ and not fault_.after:
            await _abort(self._context, fault_)
        return fault_

    async def __aexit__(self, *_: object) -> None:
        pass


async def _answer(context: Any, fault: Fault | None) -> None:
    if fault is not None:
        await _abort(context, fault)


async def _check_etag(instance: instance_pb2.Instance, etag: str, context: Any) -> None:
    if etag and etag != instance.etag:
        detail = error_pb2.ErrorDetail(code="ETAG_MISMATCH", message="it has changed")
        await _abort(context, Fault(grpc.StatusCode.ABORTED, detail))


def _exists(id_: str) -> error_pb2.ErrorDetail:
    return error_pb2.ErrorDetail(
        code="INSTANCE_ALREADY_EXISTS", message=f"there is an instance {id_}", instance_id=id_
    )


async def _abort(context: Any, fault: Fault) -> None:
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    text = fault.text
    if fault.detail is not None:
        status = status_pb2.Status(code=fault.status.value[0], message=fault.detail.message)
        status.details.add().Pack(fault.detail)
        metadata = (("grpc-status-details-bin", status.SerializeToString()),)
        text = fault.detail.message
    await context.abort(fault.status, text, metadata)


def _matches(instance: instance_pb2.Instance, text: str) -> bool:
    values = {
        "namespace": instance.namespace,
        "state": instance_pb2.InstanceState.Name(instance.state).removeprefix("INSTANCE_STATE_"),
        "desired_state": instance_pb2.DesiredState.Name(instance.desired_state).removeprefix(
            "DESIRED_STATE_"
        ),
    }
    for term in text.split(" AND ") if text else []:
        name, operator, value = re.fullmatch(r'(\w+) (!?=) "?([\w-]+)"?', term).groups()  # type: ignore[union-attr]
        if (values[name] == value) != (operator == "="):
            return False
    return True
