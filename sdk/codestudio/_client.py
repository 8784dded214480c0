"""The client for asyncio."""

from typing import Self

from codestudio import _discovery, _links, _transport
from codestudio._activity import AsyncEvents, AsyncMessages, AsyncStates
from codestudio._collaboration import CollaborationService
from codestudio._config_service import ConfigService
from codestudio._configurations import AsyncConfigurations
from codestudio._documents import AsyncDocuments
from codestudio._instances import AsyncInstances
from codestudio._paths import AsyncPaths
from codestudio._quotas import AsyncQuotas
from codestudio._retry import RetryPolicy
from codestudio._services import InstanceService, PathService, QuotaService, ResourceService
from codestudio._usage import AsyncResources


class AsyncClient:
    """A client of one CodeStudio gateway, for asyncio.

    Without arguments it finds gateway and token by itself: CODESTUDIO_GATEWAY and
    CODESTUDIO_TOKEN, else the local stack beside the working directory, else
    ~/.config/codestudio/config. `timeout` is how many seconds a call may take unless it says
    otherwise. It connects when first used and belongs to the event loop it is used in.

        async with codestudio.AsyncClient() as client:
            instance = await client.instances.create("blue-fox", wait=True)
            print(await instance.open_url())

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
        connection = _discovery.connect(gateway, token)
        self._transport = _transport.Transport(
            connection, timeout=timeout, retry=retry or RetryPolicy()
        )
        self.collaboration_service = CollaborationService(self._transport)
        """The middle tier: the collaboration service's calls with their own messages."""
        self.config_service = ConfigService(self._transport)
        """The middle tier: the config service's calls with their own messages."""
        self.instance_service = InstanceService(self._transport)
        """The middle tier: the instance service's calls with their own messages."""
        self.path_service = PathService(self._transport)
        """The middle tier: the path service's calls with their own messages."""
        self.quota_service = QuotaService(self._transport)
        """The middle tier: the quota service's calls with their own messages."""
        self.resource_service = ResourceService(self._transport)
        """The middle tier: the resource service's calls with their own messages."""
        self.documents = AsyncDocuments(self._transport, self.collaboration_service)
        """Documents: edit together, live; look at their history."""
        self.config = AsyncConfigurations(self.config_service, self._transport.retry)
        """Settings of the services."""
        self.events = AsyncEvents(self.collaboration_service, self._transport.retry)
        """What happens around instances: states, messages, changes of code."""
        self.instances = AsyncInstances(self._transport, self.instance_service)
        """Instances: create, find, follow."""
        self.messages = AsyncMessages(self.collaboration_service)
        """Messages from instance to instance."""
        self.paths = AsyncPaths(self.path_service)
        """Directories and files of instances."""
        self.quotas = AsyncQuotas(self.quota_service)
        """Quotas of namespaces."""
        self.resources = AsyncResources(self.resource_service)
        """What instances use."""
        self.states = AsyncStates(self.collaboration_service)
        """What instances are doing."""

    @property
    def gateway(self) -> str:
        """Address of the gateway."""
        return self._transport.connection.gateway

    async def sign_in_link(
        self, path: str = "/", *, timeout: float | None = None
    ) -> _links.SignInLink:
        """Have a link made that signs a browser in, once, and leads to `path` at the gateway."""
        return await _links.create(
            self._transport.connection, path, timeout=timeout or self._transport.timeout
        )

    async def close(self) -> None:
        """Close the connection. Closing again does nothing."""
        await self.documents.close_streams()
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.gateway}>"
