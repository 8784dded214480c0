"""The twin of `client.config` for ordinary code; see `_sync`."""

import builtins
from collections.abc import Iterable, Mapping
from typing import Any, Self

from codestudio._config_types import Configuration, ConfigurationRevision, Setting
from codestudio._configurations import AsyncConfigurations, AsyncConfigurationWatch
from codestudio._errors import Violation
from codestudio._portal import Portal
from codestudio._sync_iterators import Pager, next_of, twin_of


@twin_of(AsyncConfigurationWatch)
class ConfigurationWatch:
    """The settings of a service, now and after every change: `for configuration in watch`.

    A stream that breaks, falls silent or is ended by a server shutting down is resumed where it
    stood; Unavailable or DeadlineExceeded is raised after 300 s without success, any other refusal
    at once. A reader slower than the changes gets the newest.

    Leave it with `close`, or by using it in a `with` statement.
    """

    def __init__(self, portal: Portal, watch: AsyncConfigurationWatch) -> None:
        self._portal = portal
        self._watch = watch

    @property
    def resume_token(self) -> str:
        return self._watch.resume_token

    def close(self) -> None:
        """End the watch."""
        self._portal.call(self._watch.aclose())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Configuration:
        configuration: Configuration | None = self._portal.call(next_of(self._watch))
        if configuration is None:
            raise StopIteration
        return configuration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@twin_of(AsyncConfigurations)
class Configurations:
    """The settings of all services; `client.config`.

    Settings are named by their paths, such as "port_allocation.base_port". All methods raise
    CodeStudioError; `timeout` is in seconds.
    """

    def __init__(self, portal: Portal, configurations: AsyncConfigurations) -> None:
        self._portal = portal
        self._async = configurations

    def get(
        self, service: str, *, revision: int = 0, timeout: float | None = None
    ) -> Configuration:
        return self._portal.call(self._async.get(service, revision=revision, timeout=timeout))

    def list(self, *, timeout: float | None = None) -> builtins.list[Configuration]:
        return self._portal.call(self._async.list(timeout=timeout))

    def schema(self, service: str, *, timeout: float | None = None) -> builtins.list[Setting]:
        return self._portal.call(self._async.schema(service, timeout=timeout))

    def update(
        self,
        service: str,
        values: Mapping[str, Any] | None = None,
        *,
        unset: Iterable[str] = (),
        reason: str = "",
        etag: str = "",
        timeout: float | None = None,
    ) -> Configuration:
        return self._portal.call(
            self._async.update(
                service, values, unset=unset, reason=reason, etag=etag, timeout=timeout
            )
        )

    def validate(
        self, service: str, values: Mapping[str, Any], *, timeout: float | None = None
    ) -> builtins.list[Violation]:
        return self._portal.call(self._async.validate(service, values, timeout=timeout))

    def revisions(
        self,
        service: str,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> Pager[ConfigurationRevision]:
        pager = self._async.revisions(
            service, page_size=page_size, page_token=page_token, timeout=timeout
        )
        return Pager(self._portal, pager, lambda revision: revision)

    def rollback(
        self,
        service: str,
        revision: int,
        *,
        reason: str = "",
        etag: str = "",
        timeout: float | None = None,
    ) -> Configuration:
        return self._portal.call(
            self._async.rollback(service, revision, reason=reason, etag=etag, timeout=timeout)
        )

    def watch(self, service: str, *, resume_token: str = "") -> ConfigurationWatch:
        watch = self._async.watch(service, resume_token=resume_token)
        return ConfigurationWatch(self._portal, watch)
