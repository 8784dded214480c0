"""Configuration: the settings of the services, and changing them while they run."""

import asyncio
import builtins
import contextlib
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, Self

from google.protobuf import field_mask_pb2

from codestudio import _errors
from codestudio._config_service import ConfigService
from codestudio._config_types import Configuration, ConfigurationRevision, Setting, struct
from codestudio._pager import AsyncPager
from codestudio._retry import PASSING, RetryPolicy
from codestudio._watch import PATIENCE
from codestudio.config.v1 import config_service_pb2 as pb


class AsyncConfigurationWatch:
    """The settings of a service, now and after every change: `async for configuration in watch`.

    A stream that breaks, falls silent or is ended by a server shutting down is resumed where it
    stood; Unavailable or DeadlineExceeded is raised after 300 s without success, any other refusal
    at once. A reader slower than the changes gets the newest.

    A watch is read once, by one reader; `aclose` ends it.
    """

    def __init__(
        self, service: ConfigService, name: str, *, resume_token: str, retry: RetryPolicy
    ) -> None:
        self._service = service
        self._name = name
        self._resume_token = resume_token
        self._retry = retry
        self._configurations = self._run()
        self._step: asyncio.Future[Configuration] | None = None

    @property
    def resume_token(self) -> str:
        """Where to go on after the last settings given: only others are given then."""
        return self._resume_token

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Configuration:
        # A reader that gives up (asyncio.wait_for) must not end the watch, so the step goes on
        # without it and the next call takes it up.
        if self._step is None:
            self._step = asyncio.ensure_future(anext(self._configurations))
        step = self._step
        try:
            return await asyncio.shield(step)
        finally:
            if step.done():
                self._step = None

    async def aclose(self) -> None:
        """End the watch."""
        step, self._step = self._step, None
        if step is not None:
            step.cancel()
            await asyncio.wait([step])
        await self._configurations.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(self) -> AsyncGenerator[Configuration]:
        clock = asyncio.get_running_loop().time
        failures, heard, worked = 0, clock(), False
        failure: _errors.CodeStudioError
        while True:
            request = pb.WatchConfigurationRequest(
                service=self._name, resume_token=self._resume_token
            )
            stream = self._service.watch_configuration(request)
            try:
                async with contextlib.aclosing(stream):
                    async for message in stream:
                        kind = message.WhichOneof("message")
                        if kind == "error":
                            raise _errors.from_detail(message.error)
                        failures, heard, worked = 0, clock(), True
                        self._resume_token = message.resume_token
                        if kind == "configuration":
                            yield Configuration(message.configuration)
                failure = _errors.Unavailable("the gateway ended the watch")
            except PASSING as error:
                failure = error
            failures += 1
            given_up = clock() - heard > PATIENCE if worked else failures >= self._retry.attempts
            if given_up:
                raise failure
            await asyncio.sleep(self._retry.pause(failures))


class AsyncConfigurations:
    """The settings of all services; `client.config`.

    Settings are named by their paths, such as "port_allocation.base_port". All methods raise
    CodeStudioError; `timeout` is in seconds.
    """

    def __init__(self, service: ConfigService, retry: RetryPolicy) -> None:
        self._service = service
        self._retry = retry

    async def get(
        self, service: str, *, revision: int = 0, timeout: float | None = None
    ) -> Configuration:
        """Give the settings in force for a service, or as they were at a revision."""
        request = pb.GetConfigurationRequest(service=service, revision=revision)
        return Configuration(await self._service.get_configuration(request, timeout=timeout))

    async def list(self, *, timeout: float | None = None) -> builtins.list[Configuration]:
        """Give the settings in force for every service, by name."""
        request = pb.ListConfigurationsRequest()
        response = await self._service.list_configurations(request, timeout=timeout)
        return [Configuration(each) for each in response.configurations]

    async def schema(self, service: str, *, timeout: float | None = None) -> builtins.list[Setting]:
        """Describe the settings a service has, by path."""
        request = pb.GetConfigurationSchemaRequest(service=service)
        response = await self._service.get_configuration_schema(request, timeout=timeout)
        return [Setting(each) for each in response.settings]

    async def update(
        self,
        service: str,
        values: Mapping[str, Any] | None = None,
        *,
        unset: Iterable[str] = (),
        reason: str = "",
        etag: str = "",
        timeout: float | None = None,
    ) -> Configuration:
        """Change settings by path; those in `unset`, settings or sections, go back to the base.

        All or nothing: with one bad value InvalidArgument is raised, naming all that is wrong, and
        none is changed. With an `etag`, raises Aborted when the settings have changed since.
        """
        given = dict(values or {})
        paths = [f"values.{path}" for path in (*given, *unset)]
        if not paths:
            raise ValueError("name at least one setting to change")
        request = pb.UpdateConfigurationRequest(
            configuration=pb.Configuration(service=service, values=struct(given), etag=etag),
            update_mask=field_mask_pb2.FieldMask(paths=paths),
            reason=reason,
        )
        return Configuration(await self._service.update_configuration(request, timeout=timeout))

    async def validate(
        self, service: str, values: Mapping[str, Any], *, timeout: float | None = None
    ) -> builtins.list[_errors.Violation]:
        """Tell everything wrong with settings by path; nothing is changed."""
        request = pb.ValidateConfigurationRequest(service=service, values=struct(values))
        response = await self._service.validate_configuration(request, timeout=timeout)
        return [_errors.Violation(each.field, each.description) for each in response.errors]

    def revisions(
        self,
        service: str,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> AsyncPager[ConfigurationRevision]:
        """List the changes of a service's settings, newest first.

        `page_size` is 1 to 1000, by default 100; `timeout` counts for each page.
        """

        async def fetch(token: str) -> pb.ListRevisionsResponse:
            request = pb.ListRevisionsRequest(
                service=service, page_size=page_size, page_token=token or page_token
            )
            return await self._service.list_revisions(request, timeout=timeout)

        return AsyncPager(fetch, "revisions", ConfigurationRevision)

    async def rollback(
        self,
        service: str,
        revision: int,
        *,
        reason: str = "",
        etag: str = "",
        timeout: float | None = None,
    ) -> Configuration:
        """Make the settings what they were at a revision, 0 for the base, as a new revision."""
        request = pb.RollbackConfigurationRequest(
            service=service, revision=revision, reason=reason, etag=etag
        )
        return Configuration(await self._service.rollback_configuration(request, timeout=timeout))

    def watch(self, service: str, *, resume_token: str = "") -> AsyncConfigurationWatch:
        """Follow the settings of a service: those in force, then every change."""
        return AsyncConfigurationWatch(
            self._service, service, resume_token=resume_token, retry=self._retry
        )
