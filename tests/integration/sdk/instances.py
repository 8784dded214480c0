"""Instances of the small control plane: versions, etags, request ids and what becomes of them."""

import asyncio
import datetime
import itertools
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from google.protobuf import empty_pb2

from tests.integration.sdk.faulty import Fault, abort, answer
from tests.integration.sdk.log import Event, Log, Watched, matches
from tests.integration.sdk.quotas import Quotas


class Instances(Log, Quotas, instance_service_pb2_grpc.InstanceServiceServicer):
    """Instances that come up by themselves, or as a test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.fail_starts_with: instance_pb2.Failure | None = None
        self.stuck = False
        self._by_request: dict[str, tuple[instance_pb2.InstanceConfig, str]] = {}
        self._numbers = itertools.count(1)

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

    async def CreateInstance(self, request: Any, context: Any) -> instance_pb2.Instance:
        async with self._call("CreateInstance", request, context) as fault:
            instance = await self._create(request, context)
            await answer(context, fault)
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
                if id_ > request.page_token and matches(instance, request.filter)
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
            await abort(context, Fault(grpc.StatusCode.INVALID_ARGUMENT, detail))
        if known := self._by_request.get(request.request_id):
            if known[0] != config:
                detail = error_pb2.ErrorDetail(code="REQUEST_ID_REUSED", message="another body")
                await abort(context, Fault(grpc.StatusCode.ALREADY_EXISTS, detail))
            return self.instances[known[1]]
        if config.id in self.instances:
            await abort(context, Fault(grpc.StatusCode.ALREADY_EXISTS, _exists(config.id)))
        if len(self.instances) >= self.quota.instances:
            detail = error_pb2.ErrorDetail(
                code="QUOTA_EXCEEDED",
                message="the namespace may have 10 instances",
                metadata={"resource": "instances", "limit": str(self.quota.instances)},
            )
            await abort(context, Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, detail))
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

    async def _find(self, id_: str, context: Any) -> instance_pb2.Instance:
        if id_ not in self.instances:
            detail = error_pb2.ErrorDetail(
                code="INSTANCE_NOT_FOUND",
                message=f"there is no instance {id_}",
                service="instance-service",
                instance_id=id_,
                request_id="the-services-request-id",
            )
            await abort(context, Fault(grpc.StatusCode.NOT_FOUND, detail))
        return self.instances[id_]


async def _check_etag(instance: instance_pb2.Instance, etag: str, context: Any) -> None:
    if etag and etag != instance.etag:
        detail = error_pb2.ErrorDetail(code="ETAG_MISMATCH", message="it has changed")
        await abort(context, Fault(grpc.StatusCode.ABORTED, detail))


def _exists(id_: str) -> error_pb2.ErrorDetail:
    return error_pb2.ErrorDetail(
        code="INSTANCE_ALREADY_EXISTS", message=f"there is an instance {id_}", instance_id=id_
    )
