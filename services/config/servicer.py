"""ConfigService: contract ↔ domain."""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
import grpc.aio
import structlog
from codestudio.config.v1 import config_service_pb2 as pb
from codestudio.config.v1 import config_service_pb2_grpc

from services.chassis import errors, identity
from services.chassis.validation import Violations
from services.config import changes, requests, tokens, translation
from services.config.configurations import Configurations
from services.config.sections import SCHEMAS
from services.config.watch import Watches

_log = structlog.get_logger(__name__)

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class ConfigServicer(config_service_pb2_grpc.ConfigServiceServicer):
    """Serves ConfigService."""

    def __init__(self, *, configurations: Configurations, watches: Watches) -> None:
        self._configurations = configurations
        self._watches = watches

    async def GetConfiguration(
        self, request: pb.GetConfigurationRequest, context: _Context
    ) -> pb.Configuration:
        """Return the settings of a service."""
        schema = requests.service(request.service)
        wrong = Violations()
        number = requests.revision(wrong, request.revision)
        wrong.check()
        if number:
            state = await self._configurations.at(schema.service, number)
        else:
            state = await self._configurations.get(schema.service)
        return translation.configuration(state)

    async def ListConfigurations(
        self, request: pb.ListConfigurationsRequest, context: _Context
    ) -> pb.ListConfigurationsResponse:
        """Return the settings of every service, also of one whose base is in conflict."""
        return pb.ListConfigurationsResponse(
            configurations=[
                translation.configuration(await self._configurations.known(service))
                for service in sorted(SCHEMAS)
            ]
        )

    async def GetConfigurationSchema(
        self, request: pb.GetConfigurationSchemaRequest, context: _Context
    ) -> pb.ConfigurationSchema:
        """Describe the settings of a service."""
        schema = requests.service(request.service)
        return translation.schema(schema, self._configurations.base(schema.service))

    async def UpdateConfiguration(
        self, request: pb.UpdateConfigurationRequest, context: _Context
    ) -> pb.Configuration:
        """Change settings of a service."""
        given = request.configuration
        schema = requests.service(given.service, "configuration.service")
        wrong = Violations()
        reason = requests.reason(wrong, request.reason)
        values = requests.values(wrong, "configuration.values", given.values)
        paths = request.update_mask.paths if request.HasField("update_mask") else None
        asked, wrong_values, wrong_paths = changes.masked(schema, values, paths)
        told = {f"values.{one.field}" for one in wrong_values}
        for one in wrong_paths:
            if one.field not in told:
                wrong.add("update_mask", f"{one.field}: {one.description}")
        if not asked and not wrong_values and not wrong_paths:
            field = "configuration.values" if paths is None else "update_mask"
            wrong.add(field, "must name at least one setting")
        if wrong_values or wrong:
            _, more = changes.check(schema, await self._configurations.get(schema.service), asked)
            for violation in (*wrong_values, *more):
                wrong.add(f"configuration.values.{violation.field}", violation.description)
            wrong.check()
        state = await self._configurations.update(
            schema.service,
            asked,
            etag=given.etag,
            reason=reason,
            author=identity.current().subject,
        )
        return translation.configuration(state)

    async def ValidateConfiguration(
        self, request: pb.ValidateConfigurationRequest, context: _Context
    ) -> pb.ValidateConfigurationResponse:
        """Report everything wrong with settings."""
        schema = requests.service(request.service)
        wrong = Violations()
        values = requests.values(wrong, "values", request.values)
        wrong.check()
        found = await self._configurations.validate(schema.service, values)
        return pb.ValidateConfigurationResponse(
            valid=not found,
            errors=[translation.violation(one) for one in found],
        )

    async def ListRevisions(
        self, request: pb.ListRevisionsRequest, context: _Context
    ) -> pb.ListRevisionsResponse:
        """List the revisions of a service's settings."""
        schema = requests.service(request.service)
        wrong = Violations()
        size = requests.page_size(wrong, request.page_size)
        wrong.check()
        below = tokens.read_page(request.page_token, schema.service) if request.page_token else 0
        # One more than asked for tells whether there is a next page.
        found = await self._configurations.history(schema.service, below, size + 1)
        page = found[:size]
        more = len(found) > size
        return pb.ListRevisionsResponse(
            revisions=[translation.revision(one) for one in page],
            next_page_token=tokens.page(schema.service, page[-1].number) if more else "",
        )

    async def RollbackConfiguration(
        self, request: pb.RollbackConfigurationRequest, context: _Context
    ) -> pb.Configuration:
        """Make settings what they were."""
        schema = requests.service(request.service)
        wrong = Violations()
        number = requests.revision(wrong, request.revision)
        reason = requests.reason(wrong, request.reason)
        wrong.check()
        state = await self._configurations.roll_back(
            schema.service,
            number,
            etag=request.etag,
            reason=reason,
            author=identity.current().subject,
        )
        return translation.configuration(state)

    async def WatchConfiguration(
        self, request: pb.WatchConfigurationRequest, context: _Context
    ) -> AsyncIterator[pb.WatchConfigurationResponse]:
        """Stream the settings of a service and every change.

        A request that cannot be answered is refused before the first message, with a status like
        any other. After that it ends in-band: a JSON stream has no place for a status.
        """
        schema = requests.service(request.service)
        token = request.resume_token
        seen = tokens.read_resume(token, schema.service) if token else ""
        try:
            async for state in self._watches.watch(schema.service, seen):
                answer = (
                    translation.heartbeat(token) if state is None else translation.update(state)
                )
                token = answer.resume_token
                yield answer
        except Exception as error:
            if isinstance(error, grpc.aio.AbortError):
                raise
            known = errors.from_exception(error)
            if isinstance(known, errors.Internal):
                _log.error("watch failed", exc_info=error)
            yield pb.WatchConfigurationResponse(error=errors.to_detail(known), resume_token=token)
