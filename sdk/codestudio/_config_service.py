"""The middle tier of configuration: the config service's calls with their own messages."""

from collections.abc import AsyncGenerator

from codestudio._transport import Transport
from codestudio.config.v1 import config_service_pb2 as pb
from codestudio.config.v1.config_service_pb2_grpc import ConfigServiceStub


class ConfigService:
    """codestudio.config.v1.ConfigService."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get_configuration(
        self, request: pb.GetConfigurationRequest, *, timeout: float | None = None
    ) -> pb.Configuration:
        """Return the settings of a service."""
        return await self._transport.unary(
            self._transport.stub(ConfigServiceStub).GetConfiguration,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def list_configurations(
        self, request: pb.ListConfigurationsRequest, *, timeout: float | None = None
    ) -> pb.ListConfigurationsResponse:
        """Return the settings of every service."""
        return await self._transport.unary(
            self._transport.stub(ConfigServiceStub).ListConfigurations,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def get_configuration_schema(
        self, request: pb.GetConfigurationSchemaRequest, *, timeout: float | None = None
    ) -> pb.ConfigurationSchema:
        """Describe the settings of a service."""
        return await self._transport.unary(
            self._transport.stub(ConfigServiceStub).GetConfigurationSchema,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def update_configuration(
        self, request: pb.UpdateConfigurationRequest, *, timeout: float | None = None
    ) -> pb.Configuration:
        """Change settings of a service."""
        return await self._transport.unary(
            self._transport.stub(ConfigServiceStub).UpdateConfiguration,
            request,
            timeout=timeout,
            repeatable=not request.configuration.etag,
        )

    async def validate_configuration(
        self, request: pb.ValidateConfigurationRequest, *, timeout: float | None = None
    ) -> pb.ValidateConfigurationResponse:
        """Report everything wrong with settings."""
        return await self._transport.unary(
            self._transport.stub(ConfigServiceStub).ValidateConfiguration,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def list_revisions(
        self, request: pb.ListRevisionsRequest, *, timeout: float | None = None
    ) -> pb.ListRevisionsResponse:
        """Return one page of revisions."""
        return await self._transport.unary(
            self._transport.stub(ConfigServiceStub).ListRevisions,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def rollback_configuration(
        self, request: pb.RollbackConfigurationRequest, *, timeout: float | None = None
    ) -> pb.Configuration:
        """Make settings what they were at a revision."""
        return await self._transport.unary(
            self._transport.stub(ConfigServiceStub).RollbackConfiguration,
            request,
            timeout=timeout,
            repeatable=not request.etag,
        )

    def watch_configuration(
        self, request: pb.WatchConfigurationRequest
    ) -> AsyncGenerator[pb.WatchConfigurationResponse]:
        """Stream the settings of a service, once: it does not resume by itself."""
        return self._transport.stream(
            self._transport.stub(ConfigServiceStub).WatchConfiguration, request
        )
