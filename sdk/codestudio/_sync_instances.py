"""Instances for ordinary code; what the methods do stands at their asyncio counterparts."""

import builtins
from collections.abc import Iterable, Mapping
from typing import Self

from codestudio import _errors, _keep_alive, _messages, _waiting
from codestudio._instance import AsyncInstance
from codestudio._instance_types import BatchResult, DesiredState, InstanceConfig, Resources
from codestudio._instance_view import InstanceStatus, InstanceView
from codestudio._instances import AsyncInstances
from codestudio._portal import Portal
from codestudio._sync_iterators import Pager, Watch, twin_of
from codestudio.instance.v1 import instance_pb2


@twin_of(_keep_alive.AsyncKeptAlive)
class KeptAlive:
    """An instance that is kept alive: `with instance.kept_alive():`.

    Takes a lease at the beginning and renews it in time. At the end the last one runs out by
    itself: somebody else may rely on it as well.
    """

    def __init__(self, portal: Portal, kept: _keep_alive.AsyncKeptAlive) -> None:
        self._portal = portal
        self._async = kept

    @property
    def lost(self) -> _errors.CodeStudioError | None:
        return self._async.lost

    def __enter__(self) -> Self:
        self._portal.call(self._async.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._portal.call(self._async.__aexit__())


@twin_of(AsyncInstance)
class Instance(InstanceView):
    """A handle on one instance.

    Its properties tell what was known when it was last asked for: by `refresh`, by `start` and
    `stop`, or by waiting. All methods raise CodeStudioError; `timeout` is in seconds.
    """

    def __init__(self, portal: Portal, instance: AsyncInstance) -> None:
        super().__init__(instance.proto, instance._gateway)
        self._portal = portal
        self._async = instance

    @property
    def proto(self) -> instance_pb2.Instance:
        """The message itself, as the service sent it. Do not change it."""
        return self._async.proto

    def refresh(self, *, timeout: float | None = None) -> None:
        self._portal.call(self._async.refresh(timeout=timeout))

    def update(
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
        self._portal.call(
            self._async.update(
                resources=resources,
                display_name=display_name,
                labels=labels,
                environment=environment,
                idle_timeout=idle_timeout,
                max_lifetime=max_lifetime,
                etag=etag,
                validate_only=validate_only,
                timeout=timeout,
            )
        )

    def start(self, *, etag: str = "", timeout: float | None = None) -> None:
        self._portal.call(self._async.start(etag=etag, timeout=timeout))

    def stop(self, *, etag: str = "", timeout: float | None = None) -> None:
        self._portal.call(self._async.stop(etag=etag, timeout=timeout))

    def keep_alive(self, duration: _messages.Seconds, *, timeout: float | None = None) -> None:
        self._portal.call(self._async.keep_alive(duration, timeout=timeout))

    def kept_alive(self, lease: _messages.Seconds = _keep_alive.DEFAULT_LEASE) -> KeptAlive:
        return KeptAlive(self._portal, self._async.kept_alive(lease))

    def delete(
        self, *, etag: str = "", allow_missing: bool = True, timeout: float | None = None
    ) -> None:
        self._portal.call(
            self._async.delete(etag=etag, allow_missing=allow_missing, timeout=timeout)
        )

    def status(self, *, timeout: float | None = None) -> InstanceStatus:
        return self._portal.call(self._async.status(timeout=timeout))

    def logs(self, *, tail_lines: int = 0, timeout: float | None = None) -> list[str]:
        return self._portal.call(self._async.logs(tail_lines=tail_lines, timeout=timeout))

    def wait_until_running(
        self,
        *,
        timeout: _messages.Seconds = _waiting.DEFAULT_TIMEOUT,
        observe: _waiting.Observer | None = None,
    ) -> None:
        self._portal.call(self._async.wait_until_running(timeout=timeout, observe=observe))

    def wait_until_stopped(
        self,
        *,
        timeout: _messages.Seconds = _waiting.DEFAULT_TIMEOUT,
        observe: _waiting.Observer | None = None,
    ) -> None:
        self._portal.call(self._async.wait_until_stopped(timeout=timeout, observe=observe))

    def wait_until_deleted(
        self,
        *,
        timeout: _messages.Seconds = _waiting.DEFAULT_TIMEOUT,
        observe: _waiting.Observer | None = None,
    ) -> None:
        self._portal.call(self._async.wait_until_deleted(timeout=timeout, observe=observe))

    def open_url(self, *, timeout: float | None = None) -> str:
        return self._portal.call(self._async.open_url(timeout=timeout))


@twin_of(AsyncInstances)
class Instances:
    """The instances of a control plane; `client.instances`.

    All methods raise CodeStudioError; `timeout` is in seconds.
    """

    def __init__(self, portal: Portal, instances: AsyncInstances) -> None:
        self._portal = portal
        self._async = instances

    def create(
        self,
        id: str = "",  # noqa: A002
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
    ) -> Instance:
        return self._wrap(
            self._portal.call(
                self._async.create(
                    id,
                    namespace=namespace,
                    resources=resources,
                    environment=environment,
                    display_name=display_name,
                    labels=labels,
                    web_port=web_port,
                    callback_port=callback_port,
                    desired_state=desired_state,
                    idle_timeout=idle_timeout,
                    max_lifetime=max_lifetime,
                    wait=wait,
                    wait_timeout=wait_timeout,
                    validate_only=validate_only,
                    request_id=request_id,
                    timeout=timeout,
                )
            )
        )

    def batch_create(
        self,
        configs: Iterable[InstanceConfig],
        *,
        request_id: str = "",
        timeout: float | None = None,
    ) -> builtins.list[BatchResult[Instance]]:
        results = self._portal.call(
            self._async.batch_create(configs, request_id=request_id, timeout=timeout)
        )
        return [
            BatchResult(self._wrap(each.instance) if each.instance else None, each.error)
            for each in results
        ]

    def get(self, id: str, *, timeout: float | None = None) -> Instance:  # noqa: A002
        return self._wrap(self._portal.call(self._async.get(id, timeout=timeout)))

    def list(
        self,
        *,
        filter: str = "",  # noqa: A002
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> Pager[Instance]:
        pager = self._async.list(
            filter=filter, page_size=page_size, page_token=page_token, timeout=timeout
        )
        return Pager(self._portal, pager, self._wrap)

    def watch(
        self,
        *,
        filter: str = "",  # noqa: A002
        resume_token: str = "",
    ) -> Watch[Instance]:
        watch = self._async.watch(filter=filter, resume_token=resume_token)
        return Watch(self._portal, watch, self._wrap)

    def status(self, id: str, *, timeout: float | None = None) -> InstanceStatus:  # noqa: A002
        return self._portal.call(self._async.status(id, timeout=timeout))

    def logs(
        self,
        id: str,  # noqa: A002
        *,
        tail_lines: int = 0,
        timeout: float | None = None,
    ) -> builtins.list[str]:
        return self._portal.call(self._async.logs(id, tail_lines=tail_lines, timeout=timeout))

    def update(
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
    ) -> Instance:
        return self._wrap(
            self._portal.call(
                self._async.update(
                    id,
                    resources=resources,
                    display_name=display_name,
                    labels=labels,
                    environment=environment,
                    idle_timeout=idle_timeout,
                    max_lifetime=max_lifetime,
                    etag=etag,
                    validate_only=validate_only,
                    timeout=timeout,
                )
            )
        )

    def start(
        self,
        id: str,  # noqa: A002
        *,
        etag: str = "",
        timeout: float | None = None,
    ) -> Instance:
        return self._wrap(self._portal.call(self._async.start(id, etag=etag, timeout=timeout)))

    def stop(
        self,
        id: str,  # noqa: A002
        *,
        etag: str = "",
        timeout: float | None = None,
    ) -> Instance:
        return self._wrap(self._portal.call(self._async.stop(id, etag=etag, timeout=timeout)))

    def keep_alive(
        self,
        id: str,  # noqa: A002
        duration: _messages.Seconds,
        *,
        timeout: float | None = None,
    ) -> Instance:
        return self._wrap(self._portal.call(self._async.keep_alive(id, duration, timeout=timeout)))

    def delete(
        self,
        id: str,  # noqa: A002
        *,
        etag: str = "",
        allow_missing: bool = False,
        timeout: float | None = None,
    ) -> None:
        self._portal.call(
            self._async.delete(id, etag=etag, allow_missing=allow_missing, timeout=timeout)
        )

    def _wrap(self, instance: AsyncInstance) -> Instance:
        return Instance(self._portal, instance)
