"""One instance, as something to hold and act on."""

from collections.abc import Mapping

from codestudio import _instance_update, _keep_alive, _links, _messages, _waiting
from codestudio._instance_types import Resources
from codestudio._instance_view import InstanceStatus, InstanceView
from codestudio._instances_context import Context
from codestudio._waiting import Goal
from codestudio.instance.v1 import instance_pb2, instance_service_pb2


class AsyncInstance(InstanceView):
    """A handle on one instance.

    Its properties tell what was known when it was last asked for: by `refresh`, by `start` and
    `stop`, or by waiting. All methods raise CodeStudioError; `timeout` is in seconds.
    """

    def __init__(self, context: Context, proto: instance_pb2.Instance) -> None:
        super().__init__(proto, context.transport.connection.gateway)
        self._context = context

    async def refresh(self, *, timeout: float | None = None) -> None:
        """Ask for it anew. Raises NotFound when it is gone."""
        request = instance_service_pb2.GetInstanceRequest(id=self.id)
        self._proto = await self._context.service.get_instance(request, timeout=timeout)

    async def update(
        self,
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
    ) -> None:
        """Change it.

        Only what is given changes; `labels` and `environment` are replaced as a whole, a timeout
        of 0 is never. What runs is resized at once; a new environment counts from the next start
        and is among `pending_fields` until then. `validate_only` checks everything and changes
        nothing.

        Raises QuotaExceeded, and changes nothing, where the quota does not allow new resources.
        With an `etag`, raises Aborted when it has changed since.
        """
        request = _instance_update.request(
            self.id,
            resources=resources,
            display_name=display_name,
            labels=labels,
            environment=environment,
            idle_timeout=idle_timeout,
            max_lifetime=max_lifetime,
            etag=etag,
            validate_only=validate_only,
        )
        self._proto = await self._context.service.update_instance(request, timeout=timeout)

    async def start(self, *, etag: str = "", timeout: float | None = None) -> None:
        """Ask for it to run; returns before it does. One that runs stays as it is.

        With an `etag`, raises Aborted when it has changed since.
        """
        request = instance_service_pb2.StartInstanceRequest(id=self.id, etag=etag)
        self._proto = await self._context.service.start_instance(request, timeout=timeout)

    async def stop(self, *, etag: str = "", timeout: float | None = None) -> None:
        """Ask for it to stop and keep its disk; returns before it has.

        With an `etag`, raises Aborted when it has changed since.
        """
        request = instance_service_pb2.StopInstanceRequest(id=self.id, etag=etag)
        self._proto = await self._context.service.stop_instance(request, timeout=timeout)

    async def keep_alive(
        self, duration: _messages.Seconds, *, timeout: float | None = None
    ) -> None:
        """Have it count as used for so long from now, at most a day.

        A lease that lasts longer stays as it is; a duration of 0 ends it. Its `max_lifetime`
        counts all the same. Raises FailedPrecondition when it is not up.
        """
        request = instance_service_pb2.KeepInstanceAliveRequest(
            id=self.id, duration=_messages.to_duration(duration)
        )
        self._proto = await self._context.service.keep_instance_alive(request, timeout=timeout)

    def kept_alive(
        self, lease: _messages.Seconds = _keep_alive.DEFAULT_LEASE
    ) -> _keep_alive.AsyncKeptAlive:
        """Keep it alive for as long as a block runs, by leases that are renewed in time.

        For `async with`, in ordinary code `with`. When the program dies, the last lease runs
        out. What is given has `lost`: why it is not kept alive any more, if so.
        """
        return _keep_alive.AsyncKeptAlive(lambda: self.keep_alive(lease), _messages.seconds(lease))

    async def delete(
        self, *, etag: str = "", allow_missing: bool = True, timeout: float | None = None
    ) -> None:
        """Ask for it and its disk to be deleted; returns before they are.

        With an `etag`, raises Aborted when it has changed since.
        """
        request = instance_service_pb2.DeleteInstanceRequest(
            id=self.id, etag=etag, allow_missing=allow_missing
        )
        await self._context.service.delete_instance(request, timeout=timeout)

    async def status(self, *, timeout: float | None = None) -> InstanceStatus:
        """Ask where it is in its life: cheaper than `refresh`, and changes nothing here."""
        request = instance_service_pb2.GetInstanceStatusRequest(id=self.id)
        return InstanceStatus(
            await self._context.service.get_instance_status(request, timeout=timeout)
        )

    async def logs(self, *, tail_lines: int = 0, timeout: float | None = None) -> list[str]:
        """Give the last lines its editor wrote: 1 to 10000, by default 200."""
        request = instance_service_pb2.GetInstanceLogsRequest(id=self.id, tail_lines=tail_lines)
        response = await self._context.service.get_instance_logs(request, timeout=timeout)
        return list(response.lines)

    async def wait_until_running(
        self,
        *,
        timeout: _messages.Seconds = _waiting.DEFAULT_TIMEOUT,
        observe: _waiting.Observer | None = None,
    ) -> None:
        """Wait until its editor answers.

        `observe` is called with its status at every change. Raises InstanceFailed with the
        failure's class, step, code and message; FailedPrecondition when somebody stopped it
        meanwhile; NotFound when it is gone; DeadlineExceeded.
        """
        await self._wait(Goal.RUNNING, timeout, observe)

    async def wait_until_stopped(
        self,
        *,
        timeout: _messages.Seconds = _waiting.DEFAULT_TIMEOUT,
        observe: _waiting.Observer | None = None,
    ) -> None:
        """Wait until it is stopped. Raises as `wait_until_running` does."""
        await self._wait(Goal.STOPPED, timeout, observe)

    async def wait_until_deleted(
        self,
        *,
        timeout: _messages.Seconds = _waiting.DEFAULT_TIMEOUT,
        observe: _waiting.Observer | None = None,
    ) -> None:
        """Wait until it is gone. Raises DeadlineExceeded."""
        await self._wait(Goal.DELETED, timeout, observe)

    async def open_url(self, *, timeout: float | None = None) -> str:
        """Have a link made that signs a browser in, once, and leads to the editor."""
        transport = self._context.transport
        link = await _links.create(
            transport.connection, self.proto.url, timeout=timeout or transport.timeout
        )
        return link.url

    async def _wait(
        self, goal: Goal, timeout: _messages.Seconds, observe: _waiting.Observer | None
    ) -> None:
        await _waiting.wait(
            self._context.service,
            self._context.watch,
            _waiting.Target(self.id, self.namespace, self.version),
            goal,
            timeout=_messages.seconds(timeout),
            observe=observe,
        )
        if goal is not Goal.DELETED:
            await self.refresh()
