"""The twin of the asyncio client for ordinary code: the same methods, without `await`.

Everything here and in `_sync_*` hands over to its asyncio counterpart on the portal's thread;
what a method does, and its documentation, stand there. A test holds the two to the same
signatures.
"""

import builtins
import threading
from collections.abc import Collection, Mapping
from typing import Self, TypeVar

from codestudio import _client, _links, _portal, _transport
from codestudio._instance_types import Resources
from codestudio._optimization import OptimizationResult, ResourceAllocation
from codestudio._portal import Portal
from codestudio._quotas import AsyncQuotas, Quota, QuotaCheck
from codestudio._reconciliation import QuotaRepair, Reconciliation
from codestudio._reservations import Reservation
from codestudio._retry import RetryPolicy
from codestudio._sync_activity import Events, Messages, States
from codestudio._sync_config import Configurations
from codestudio._sync_documents import Documents
from codestudio._sync_instances import Instances
from codestudio._sync_iterators import Pager, twin_of
from codestudio._sync_paths import Paths
from codestudio._usage import AsyncResources, ResourceUsage

Value = TypeVar("Value")


@twin_of(AsyncQuotas)
class Quotas:
    """The quotas of all namespaces; `client.quotas`.

    All methods raise CodeStudioError; `timeout` is in seconds.
    """

    def __init__(self, portal: Portal, quotas: AsyncQuotas) -> None:
        self._portal = portal
        self._async = quotas

    def get(self, namespace: str = "default", *, timeout: float | None = None) -> Quota:
        return self._portal.call(self._async.get(namespace, timeout=timeout))

    def update(
        self,
        namespace: str,
        *,
        instances: int | None = None,
        cpu: str | float | None = None,
        memory: str | int | None = None,
        storage: str | int | None = None,
        reset: Collection[str] = (),
        etag: str = "",
        timeout: float | None = None,
    ) -> Quota:
        return self._portal.call(
            self._async.update(
                namespace,
                instances=instances,
                cpu=cpu,
                memory=memory,
                storage=storage,
                reset=reset,
                etag=etag,
                timeout=timeout,
            )
        )

    def list(
        self, *, page_size: int = 0, page_token: str = "", timeout: float | None = None
    ) -> Pager[Quota]:
        pager = self._async.list(page_size=page_size, page_token=page_token, timeout=timeout)
        return Pager(self._portal, pager, _same)

    def check(
        self,
        namespace: str = "default",
        *,
        instances: int = 1,
        cpu: str | float | None = None,
        memory: str | int | None = None,
        storage: str | int | None = None,
        instance_id: str = "",
        timeout: float | None = None,
    ) -> QuotaCheck:
        return self._portal.call(
            self._async.check(
                namespace,
                instances=instances,
                cpu=cpu,
                memory=memory,
                storage=storage,
                instance_id=instance_id,
                timeout=timeout,
            )
        )

    def reserve(
        self,
        namespace: str,
        instance_id: str,
        *,
        instances: int = 1,
        cpu: str | float | None = None,
        memory: str | int | None = None,
        storage: str | int | None = None,
        timeout: float | None = None,
    ) -> Reservation:
        return self._portal.call(
            self._async.reserve(
                namespace,
                instance_id,
                instances=instances,
                cpu=cpu,
                memory=memory,
                storage=storage,
                timeout=timeout,
            )
        )

    def release(self, namespace: str, instance_id: str, *, timeout: float | None = None) -> None:
        self._portal.call(self._async.release(namespace, instance_id, timeout=timeout))

    def reconcile(
        self, namespace: str = "", *, validate_only: bool = False, timeout: float | None = None
    ) -> Reconciliation:
        return self._portal.call(
            self._async.reconcile(namespace, validate_only=validate_only, timeout=timeout)
        )

    def repairs(
        self, namespace: str = "", *, count: int = 100, timeout: float | None = None
    ) -> builtins.list[QuotaRepair]:
        return self._portal.call(self._async.repairs(namespace, count=count, timeout=timeout))


@twin_of(AsyncResources)
class ResourceUsages:
    """Ports and compute; `client.resources`."""

    def __init__(self, portal: Portal, resources: AsyncResources) -> None:
        self._portal = portal
        self._async = resources

    def usage(
        self,
        *,
        instance_id: str = "",
        namespace: str = "",
        include_history: bool = False,
        timeout: float | None = None,
    ) -> ResourceUsage:
        return self._portal.call(
            self._async.usage(
                instance_id=instance_id,
                namespace=namespace,
                include_history=include_history,
                timeout=timeout,
            )
        )

    def optimize(
        self,
        *,
        instance_id: str = "",
        namespace: str = "",
        apply: bool = False,
        timeout: float | None = None,
    ) -> OptimizationResult:
        return self._portal.call(
            self._async.optimize(
                instance_id=instance_id, namespace=namespace, apply=apply, timeout=timeout
            )
        )

    def allocate(
        self,
        instance_id: str,
        *,
        namespace: str = "",
        resources: Resources | Mapping[str, str] | None = None,
        web_port: int = 0,
        timeout: float | None = None,
    ) -> ResourceAllocation:
        return self._portal.call(
            self._async.allocate(
                instance_id,
                namespace=namespace,
                resources=resources,
                web_port=web_port,
                timeout=timeout,
            )
        )

    def deallocate(self, instance_id: str, *, timeout: float | None = None) -> None:
        self._portal.call(self._async.deallocate(instance_id, timeout=timeout))


@twin_of(_client.AsyncClient)
class Client:
    """A client of one CodeStudio gateway.

    Without arguments it finds gateway and token by itself: CODESTUDIO_GATEWAY and
    CODESTUDIO_TOKEN, else the local stack beside the working directory, else
    ~/.config/codestudio/config. `timeout` is how many seconds a call may take unless it says
    otherwise. Any number of threads may share it, and one that runs an event loop may use it.

        with codestudio.Client() as client:
            instance = client.instances.create("blue-fox", wait=True)
            print(instance.open_url())

    Raises NotConfigured when no gateway is found.
    """

    def __init__(
        self,
        gateway: str | None = None,
        *,
        token: str | None = None,
        timeout: float = _transport.DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._async = _client.AsyncClient(gateway, token=token, timeout=timeout, retry=retry)
        self._closing = threading.Lock()
        self._closed = False
        self._portal = _portal.acquire()
        self.documents = Documents(self._portal, self._async.documents)
        """Documents: edit together, live; look at their history."""
        self.config = Configurations(self._portal, self._async.config)
        """Settings of the services."""
        self.events = Events(self._portal, self._async.events)
        """What happens around instances: states, messages, changes of code."""
        self.instances = Instances(self._portal, self._async.instances)
        """Instances: create, find, follow."""
        self.messages = Messages(self._portal, self._async.messages)
        """Messages from instance to instance."""
        self.paths = Paths(self._portal, self._async.paths)
        """Directories and files of instances."""
        self.quotas = Quotas(self._portal, self._async.quotas)
        """Quotas of namespaces."""
        self.resources = ResourceUsages(self._portal, self._async.resources)
        """What instances use."""
        self.states = States(self._portal, self._async.states)
        """What instances are doing."""

    @property
    def gateway(self) -> str:
        return self._async.gateway

    def sign_in_link(self, path: str = "/", *, timeout: float | None = None) -> _links.SignInLink:
        return self._portal.call(self._async.sign_in_link(path, timeout=timeout))

    def close(self) -> None:
        with self._closing:
            if self._closed:
                return
            self._closed = True
        try:
            self._portal.call(self._async.close())
        finally:
            _portal.release(self._portal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.gateway}>"


def _same(value: Value) -> Value:
    return value
