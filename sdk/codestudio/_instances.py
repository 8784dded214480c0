"""All instances: create, find, follow."""

import builtins
import itertools
import uuid
from collections.abc import Iterable, Mapping

from codestudio import _errors, _instance_update, _messages, _waiting
from codestudio._instance import AsyncInstance
from codestudio._instance_types import BatchResult, DesiredState, InstanceConfig, Resources
from codestudio._instance_view import InstanceStatus
from codestudio._instances_context import Context
from codestudio._pager import AsyncPager
from codestudio._services import InstanceService
from codestudio._transport import Transport
from codestudio._watch import AsyncWatch
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

_BATCH = 100
"""Most items the service takes at once."""


class AsyncInstances:
    """The instances of a control plane; `client.instances`.

    All methods raise CodeStudioError; `timeout` is in seconds.
    """

    def __init__(self, transport: Transport, service: InstanceService) -> None:
        self._context = Context(transport, service)
        self._service = service

    async def create(
        self,
        id: str = "",  # noqa: A002 - the contract's word
        *,
        namespace: str = "",
        resources: Resources | Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        display_name: str = "",
        labels: Mapping[str, str] | None = None,
        web_port: int = 0,
        callback_port: int = 0,
        desired_state: DesiredState = DesiredState.UNSPECIFIED,
        idle_timeout: _messages.Seconds | None = None,
        max_lifetime: _messages.Seconds | None = None,
        wait: bool = False,
        wait_timeout: _messages.Seconds = _waiting.DEFAULT_TIMEOUT,
        validate_only: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> AsyncInstance:
        """Create an instance and, unless `desired_state` is STOPPED, start it.

        What the fields mean stands at InstanceConfig. `wait` waits until it runs, or is
        stopped if that is desired. `validate_only` checks everything and creates nothing.
        A repetition with the same `request_id` (a UUID; by default a new one) within 24 hours
        returns the same instance.

        Raises AlreadyExists, QuotaExceeded, InvalidArgument; with `wait` also what
        `wait_until_running` does.
        """
        config = InstanceConfig(
            id=id,
            namespace=namespace,
            resources=resources,
            environment=environment or {},
            display_name=display_name,
            labels=labels or {},
            web_port=web_port,
            callback_port=callback_port,
            desired_state=desired_state,
            idle_timeout=idle_timeout,
            max_lifetime=max_lifetime,
        )
        request = instance_service_pb2.CreateInstanceRequest(
            config=config.to_proto(),
            request_id=request_id or str(uuid.uuid4()),
            validate_only=validate_only,
        )
        instance = self._handle(await self._service.create_instance(request, timeout=timeout))
        if wait and not validate_only:
            if instance.desired_state is DesiredState.STOPPED:
                await instance.wait_until_stopped(timeout=wait_timeout)
            else:
                await instance.wait_until_running(timeout=wait_timeout)
        return instance

    async def batch_create(
        self,
        configs: Iterable[InstanceConfig],
        *,
        request_id: str = "",
        timeout: float | None = None,
    ) -> builtins.list[BatchResult[AsyncInstance]]:
        """Create many instances; each succeeds or fails by itself.

        Gives one result an item, in the same order. More than 100 are sent in several
        requests, `timeout` seconds each; a `request_id` is then derived for each from yours.
        """
        batch_id = uuid.UUID(request_id) if request_id else uuid.uuid4()
        protos = iter([config.to_proto() for config in configs])
        results: builtins.list[BatchResult[AsyncInstance]] = []
        for number in itertools.count():
            chunk = list(itertools.islice(protos, _BATCH))
            if not chunk:
                return results
            # The first keeps the caller's own id, which is what the service's log then shows.
            chunk_id = batch_id if number == 0 else uuid.uuid5(batch_id, str(number))
            request = instance_service_pb2.BatchCreateInstancesRequest(
                configs=chunk, request_id=str(chunk_id)
            )
            response = await self._service.batch_create_instances(request, timeout=timeout)
            results += [self._result(each) for each in response.results]
        raise AssertionError("unreachable: the loop ends with the configs")

    async def get(self, id: str, *, timeout: float | None = None) -> AsyncInstance:  # noqa: A002
        """Give one instance. Raises NotFound."""
        request = instance_service_pb2.GetInstanceRequest(id=id)
        return self._handle(await self._service.get_instance(request, timeout=timeout))

    def list(
        self,
        *,
        filter: str = "",  # noqa: A002 - the contract's word
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> AsyncPager[AsyncInstance]:
        """List the instances one may see, in order of id.

        `filter` is terms joined by AND: namespace, owner, state, desired_state and
        labels.<key>, each with = or !=, such as `state = RUNNING AND labels.course = "cs101"`.
        `page_size` is 1 to 1000, by default 100; `timeout` counts for each page.
        """

        async def fetch(token: str) -> instance_service_pb2.ListInstancesResponse:
            request = instance_service_pb2.ListInstancesRequest(
                filter=filter, page_size=page_size, page_token=token or page_token
            )
            return await self._service.list_instances(request, timeout=timeout)

        return AsyncPager(fetch, "instances", self._handle)

    def watch(
        self,
        *,
        filter: str = "",  # noqa: A002 - the contract's word
        resume_token: str = "",
    ) -> AsyncWatch[AsyncInstance]:
        """Follow the instances one may see: all there are, then every change.

        `filter` as in `list`; one that no longer matches is REMOVED. With the `resume_token` of
        an event, begins after that event.
        """
        return AsyncWatch(
            self._service.watch_instances,
            self._handle,
            filter=filter,
            resume_token=resume_token,
            retry=self._context.transport.retry,
        )

    async def status(self, id: str, *, timeout: float | None = None) -> InstanceStatus:  # noqa: A002
        """Tell where an instance is in its life: less than `get`, and cheaper."""
        request = instance_service_pb2.GetInstanceStatusRequest(id=id)
        return InstanceStatus(await self._service.get_instance_status(request, timeout=timeout))

    async def logs(
        self,
        id: str,  # noqa: A002
        *,
        tail_lines: int = 0,
        timeout: float | None = None,
    ) -> builtins.list[str]:
        """Give the last lines an instance's editor wrote: 1 to 10000, by default 200."""
        request = instance_service_pb2.GetInstanceLogsRequest(id=id, tail_lines=tail_lines)
        response = await self._service.get_instance_logs(request, timeout=timeout)
        return [*response.lines]

    async def update(
        self,
        id: str,  # noqa: A002
        *,
        resources: Resources | Mapping[str, str] | None = None,
        display_name: str | None = None,
        labels: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        idle_timeout: _messages.Seconds | None = None,
        max_lifetime: _messages.Seconds | None = None,
        etag: str = "",
        validate_only: bool = False,
        timeout: float | None = None,
    ) -> AsyncInstance:
        """Change an instance.

        Only what is given changes; `labels` and `environment` are replaced as a whole, a timeout
        of 0 is never. What runs is resized at once; a new environment counts from the next start
        and is among `pending_fields` until then. `validate_only` checks everything and changes
        nothing.

        Raises QuotaExceeded, and changes nothing, where the quota does not allow new resources.
        With an `etag`, raises Aborted when it has changed since.
        """
        request = _instance_update.request(
            id,
            resources=resources,
            display_name=display_name,
            labels=labels,
            environment=environment,
            idle_timeout=idle_timeout,
            max_lifetime=max_lifetime,
            etag=etag,
            validate_only=validate_only,
        )
        return self._handle(await self._service.update_instance(request, timeout=timeout))

    async def start(
        self,
        id: str,  # noqa: A002
        *,
        etag: str = "",
        timeout: float | None = None,
    ) -> AsyncInstance:
        """Ask for an instance to run; returns before it does. One that runs stays as it is."""
        request = instance_service_pb2.StartInstanceRequest(id=id, etag=etag)
        return self._handle(await self._service.start_instance(request, timeout=timeout))

    async def stop(
        self,
        id: str,  # noqa: A002
        *,
        etag: str = "",
        timeout: float | None = None,
    ) -> AsyncInstance:
        """Ask for an instance to stop and keep its disk; returns before it has."""
        request = instance_service_pb2.StopInstanceRequest(id=id, etag=etag)
        return self._handle(await self._service.stop_instance(request, timeout=timeout))

    async def keep_alive(
        self,
        id: str,  # noqa: A002
        duration: _messages.Seconds,
        *,
        timeout: float | None = None,
    ) -> AsyncInstance:
        """Have an instance count as used for so long from now, at most a day.

        A lease that lasts longer stays as it is; a duration of 0 ends it. Its `max_lifetime`
        counts all the same. Raises FailedPrecondition when it is not up.
        """
        request = instance_service_pb2.KeepInstanceAliveRequest(
            id=id, duration=_messages.to_duration(duration)
        )
        return self._handle(await self._service.keep_instance_alive(request, timeout=timeout))

    async def delete(
        self,
        id: str,  # noqa: A002
        *,
        etag: str = "",
        allow_missing: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Ask for an instance and its disk to be deleted; returns before they are.

        Raises NotFound when there is none, unless `allow_missing`.
        """
        request = instance_service_pb2.DeleteInstanceRequest(
            id=id, etag=etag, allow_missing=allow_missing
        )
        await self._service.delete_instance(request, timeout=timeout)

    def _handle(self, proto: instance_pb2.Instance) -> AsyncInstance:
        return AsyncInstance(self._context, proto)

    def _result(self, result: instance_service_pb2.BatchCreateResult) -> BatchResult[AsyncInstance]:
        if result.HasField("instance"):
            return BatchResult(self._handle(result.instance), None)
        return BatchResult(None, _errors.from_detail(result.error))
