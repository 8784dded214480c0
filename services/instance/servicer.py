"""The contract of the Instance service, in terms of its parts."""

import uuid
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
import structlog
from codestudio.instance.v1 import (
    instance_pb2,
    instance_service_pb2,
    instance_service_pb2_grpc,
)
from google.protobuf import empty_pb2

from services.chassis import errors, identity, validation
from services.instance import admission, batch, listing, names, revisions, translation
from services.instance.desires import Desires
from services.instance.lifetimes import Lifetimes
from services.instance.reading import Reading
from services.instance.specification import Reader
from services.instance.store import Store
from services.instance.updates import Updates
from services.instance.watch import Watches

_log = structlog.get_logger(__name__)

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_MOST_LINES = 10_000
_LINES = 200


class InstanceServicer(instance_service_pb2_grpc.InstanceServiceServicer):
    """Lifecycle of instances."""

    def __init__(
        self,
        *,
        admission: admission.Admission,
        desires: Desires,
        updates: Updates,
        reading: Reading,
        store: Store,
        watches: Watches,
        reader: Reader,
        lifetimes: Lifetimes,
    ) -> None:
        self._admission = admission
        self._desires = desires
        self._updates = updates
        self._reading = reading
        self._store = store
        self._watches = watches
        self._reader = reader
        self._lifetimes = lifetimes

    async def CreateInstance(
        self, request: instance_service_pb2.CreateInstanceRequest, context: _Context
    ) -> instance_pb2.Instance:
        """Create an instance, or check whether that would work."""
        wrong = validation.Violations()
        asked = self._reader.read(request.config, wrong, "config")
        request_id = _request_id(request.request_id, wrong)
        wrong.check()
        of = admission.request(identity.current(), request_id, request.config)
        create = self._admission.rehearse if request.validate_only else self._admission.create
        return translation.instance(await create(asked, of))

    async def GetInstance(
        self, request: instance_service_pb2.GetInstanceRequest, context: _Context
    ) -> instance_pb2.Instance:
        """Return one instance."""
        return await self._reading.instance(_id(request.id))

    async def ListInstances(
        self, request: instance_service_pb2.ListInstancesRequest, context: _Context
    ) -> instance_service_pb2.ListInstancesResponse:
        """List the instances the caller may see."""
        page = await listing.page(
            self._store, size=request.page_size, token=request.page_token, text=request.filter
        )
        return instance_service_pb2.ListInstancesResponse(
            instances=map(translation.instance, page.records), next_page_token=page.next_token
        )

    async def UpdateInstance(
        self, request: instance_service_pb2.UpdateInstanceRequest, context: _Context
    ) -> instance_pb2.Instance:
        """Change an instance, or check whether that would work."""
        wrong = validation.Violations()
        asked = request.instance
        if not names.valid(asked.id):
            wrong.add("instance.id", names.RULE)
        values = revisions.read(request, wrong, self._reader)
        wrong.check()
        update = self._updates.rehearse if request.validate_only else self._updates.update
        return translation.instance(await update(asked.id, values, asked.etag))

    async def DeleteInstance(
        self, request: instance_service_pb2.DeleteInstanceRequest, context: _Context
    ) -> empty_pb2.Empty:
        """Delete an instance and its disk."""
        try:
            await self._desires.delete(_id(request.id), request.etag)
        except errors.NotFound:
            if not request.allow_missing:
                raise
        return empty_pb2.Empty()

    async def StartInstance(
        self, request: instance_service_pb2.StartInstanceRequest, context: _Context
    ) -> instance_pb2.Instance:
        """Start an instance."""
        return translation.instance(await self._desires.start(_id(request.id), request.etag))

    async def StopInstance(
        self, request: instance_service_pb2.StopInstanceRequest, context: _Context
    ) -> instance_pb2.Instance:
        """Stop an instance and keep its disk."""
        return translation.instance(await self._desires.stop(_id(request.id), request.etag))

    async def KeepInstanceAlive(
        self, request: instance_service_pb2.KeepInstanceAliveRequest, context: _Context
    ) -> instance_pb2.Instance:
        """Have an instance count as used for a while."""
        wrong, longest = validation.Violations(), self._lifetimes.longest_lease
        length = translation.milliseconds(request.duration)
        given = request.duration.seconds or request.duration.nanos
        if not request.HasField("duration") or (given and not 1000 <= length <= longest):
            wrong.add("duration", f"must be 1s to {longest // 1000}s, or 0s to end the lease")
        if not names.valid(request.id):
            wrong.add("id", names.RULE)
        wrong.check()
        return translation.instance(await self._desires.keep_alive(request.id, length))

    async def BatchCreateInstances(
        self, request: instance_service_pb2.BatchCreateInstancesRequest, context: _Context
    ) -> instance_service_pb2.BatchCreateInstancesResponse:
        """Create many instances."""
        wrong = validation.Violations()
        if not 1 <= len(request.configs) <= batch.MOST:
            wrong.add("configs", f"must be 1 to {batch.MOST}, are {len(request.configs)}")
        request_id = _request_id(request.request_id, wrong)
        wrong.check()
        results = await batch.create(
            request.configs, request_id, admit=self._admission, reader=self._reader
        )
        failed = sum(isinstance(one, errors.DomainError) for one in results)
        return instance_service_pb2.BatchCreateInstancesResponse(
            results=[
                instance_service_pb2.BatchCreateResult(error=errors.to_detail(one))
                if isinstance(one, errors.DomainError)
                else instance_service_pb2.BatchCreateResult(instance=translation.instance(one))
                for one in results
            ],
            created=len(results) - failed,
            failed=failed,
        )

    async def GetInstanceStatus(
        self, request: instance_service_pb2.GetInstanceStatusRequest, context: _Context
    ) -> instance_service_pb2.InstanceStatus:
        """Return where an instance is in its life."""
        return translation.status(await self._reading.status(_id(request.id)))

    async def GetInstanceLogs(
        self, request: instance_service_pb2.GetInstanceLogsRequest, context: _Context
    ) -> instance_service_pb2.InstanceLogs:
        """Return the last lines the editor of an instance wrote."""
        wrong = validation.Violations()
        if not 0 <= request.tail_lines <= _MOST_LINES:
            problem = f"must be 1 to {_MOST_LINES}, or 0 for {_LINES}, is {request.tail_lines}"
            wrong.add("tail_lines", problem)
        wrong.check()
        lines = await self._reading.logs(_id(request.id), request.tail_lines or _LINES)
        return instance_service_pb2.InstanceLogs(lines=lines)

    async def WatchInstances(
        self, request: instance_service_pb2.WatchInstancesRequest, context: _Context
    ) -> AsyncIterator[instance_service_pb2.WatchInstancesResponse]:
        """Stream the instances the caller may see and every change to them.

        A request that cannot be answered is refused before the first message, with a status like
        any other. After that it ends in-band: a JSON stream has no place for a status.
        """
        try:
            async for answer in self._watches.watch(request.filter, request.resume_token):
                yield answer
        except Exception as error:
            if isinstance(error, grpc.aio.AbortError | errors.InvalidArgument):
                raise
            known = errors.from_exception(error)
            if isinstance(known, errors.Internal):
                _log.error("watch failed", exc_info=error)
            yield instance_service_pb2.WatchInstancesResponse(error=errors.to_detail(known))


def _id(instance_id: str) -> str:
    if not names.valid(instance_id):
        raise errors.InvalidArgument(
            "INVALID_ARGUMENT",
            f"id: {names.RULE}",
            violations=[errors.Violation("id", names.RULE)],
        )
    return instance_id


def _request_id(request_id: str, wrong: validation.Violations) -> str:
    if request_id:
        try:
            # UUID() also takes braces, "urn:uuid:" and no hyphens.
            if len(request_id) == 36 and uuid.UUID(request_id):
                return request_id
        except ValueError:
            pass
        wrong.add("request_id", "must be a UUID, such as 123e4567-e89b-12d3-a456-426614174000")
    return ""
