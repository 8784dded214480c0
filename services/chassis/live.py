"""Settings that change while a service runs. Knows no service.

A field of the settings that is `settings.Configured` at a path takes the value its service's
configuration has there. What is in force is one immutable object, swapped as a whole: whoever
needs a setting asks `Live.current` for it each time instead of keeping it.

Nothing that Config does can harm a service that runs. Without Config it goes on with what it
has; a configuration that its settings do not accept is logged, counted and left out as a whole.
A service that starts meanwhile goes on with the last one that was in force, which Redis keeps under
``settings:<service>``, rather than with what it was started with.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

import pydantic
import structlog
from codestudio.config.v1 import config_service_pb2, config_service_pb2_grpc
from google.protobuf import json_format
from prometheus_client import Counter, Gauge, Histogram

from services.chassis import connectors, context, errors, mesh
from services.chassis.settings import Configured, ServiceSettings

_log = structlog.get_logger(__name__)

REVISION = Gauge(
    "codestudio_config_applied_revision",
    "Revision of the service's own configuration that is in force here.",
)
FOLLOWING = Gauge("codestudio_config_following", "1 while changes of the configuration reach us.")
RELOADS = Counter(
    "codestudio_config_reloads", "Configurations received: applied or rejected.", ("outcome",)
)
LAG = Histogram(
    "codestudio_config_reload_lag_seconds",
    "From a change of the configuration to its being in force here, in seconds.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30),
)

_SILENCE = 60.0
"""Seconds without a message after which a watch is dead: the contract promises one every 20."""

_FIRST_PAUSE = 0.1
"""Seconds before a watch that broke is begun again; doubles up to `_LAST_PAUSE`."""

_LAST_PAUSE = 1.0
"""A change is to be in force within two seconds, also when Config has just come back."""

_FIRST_ANSWER = 1.0
"""Seconds a call of a service just started waits for Config at most; it takes a tenth as a rule."""

_ABSENT = object()

Settings = TypeVar("Settings", bound=ServiceSettings)


class Live(Generic[Settings]):
    """The settings of one service as they are now."""

    def __init__(
        self, settings: Settings, *, mesh: mesh.Mesh, redis: connectors.Redis | None = None
    ) -> None:
        """Begin with the settings the service was started with.

        Args:
            settings: Those; a setting that the configuration does not have stays as it is there.
            mesh: The way to Config.
            redis: Keeps the last configuration; None for a service of which no answer depends on
                what is configured.

        """
        self._started_with = settings
        self._current = settings
        self._mesh = mesh
        self._paths = configured(type(settings))
        self._redis = redis
        self._settled = asyncio.Event()
        self._waited = False
        self._known = False
        self._revision = 0
        self._changed_at = 0
        """When what is in force was set, in microseconds since 1970."""
        self._resume_token = ""
        self._trouble = ""
        self._subscribers: list[Callable[[Settings], None]] = []

    @property
    def current(self) -> Settings:
        """What is in force now. Ask again rather than keep it."""
        return self._current

    @property
    def known(self) -> bool:
        """Whether a configuration was ever put in force.

        Until then the settings are those of the start, which may long have been changed: what
        cannot be taken back should not follow from them.
        """
        return self._known

    async def settle(self) -> None:
        """Wait until what is in force is what was configured, as far as that can be known.

        So that nothing is decided by settings of the start that were changed long ago. It is
        Config's answer; where there is none within a second, the last one that was in force;
        where Redis has none, nothing was ever configured here. Where Redis cannot be asked either
        it is the settings of the start, until one of the two answers.
        """
        if self._redis is None or self._settled.is_set():
            return
        if not self._waited:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_ANSWER):
                    await self._settled.wait()
            self._waited = True
        await self._recall()

    @property
    def revision(self) -> int:
        """Revision of the configuration in force; 0 before the first, or where none was set."""
        return self._revision

    def subscribe(self, told: Callable[[Settings], None]) -> None:
        """Have a function called with the settings after each change, in the order subscribed.

        For what must be told, such as the log level. It runs in the event loop and must not
        block; what it raises is logged.
        """
        self._subscribers.append(told)

    def apply(
        self, configuration: config_service_pb2.Configuration, *, recalled: bool = False
    ) -> bool:
        """Put a configuration in force, all of it or nothing; whether it was accepted.

        One that is `recalled` may have been changed since, and so is not `known`.
        """
        values = json_format.MessageToDict(configuration.values)
        try:
            fresh = self._accept(values)
        except pydantic.ValidationError as error:
            RELOADS.labels("rejected").inc()
            _log.error(
                "configuration rejected; going on with what is in force",
                revision=configuration.revision,
                problems=[self._problem(one) for one in error.errors(include_input=False)],
            )
            return False
        before, self._current, self._revision = self._current, fresh, configuration.revision
        self._known = self._known or not recalled
        REVISION.set(configuration.revision)
        RELOADS.labels("applied").inc()
        changed = {
            path: (getattr(before, name), getattr(fresh, name))
            for name, path in self._paths.items()
            if getattr(before, name) != getattr(fresh, name)
        }
        if changed:
            self._tell(fresh)
            _log.info(
                "configuration applied",
                revision=configuration.revision,
                changes={path: f"{old} -> {new}" for path, (old, new) in changed.items()},
            )
        return True

    async def run(self) -> None:
        """Follow the configuration until cancelled, through whatever becomes of Config."""
        pause = _FIRST_PAUSE
        while True:
            try:
                with context.scope("follow configuration"):
                    async for _ in self._messages():
                        pause = _FIRST_PAUSE
                problem = "the watch ended"
            except errors.DomainError as error:
                problem = f"{error.code}: {error.message}"
            except TimeoutError:
                problem = f"nothing heard for {_SILENCE:.0f} s"
            self._note(problem)
            await self._recall()
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause = min(_LAST_PAUSE, pause * 2)

    async def _messages(self) -> Any:
        """Take in the messages of one watch; gives one step a message."""
        request = config_service_pb2.WatchConfigurationRequest(
            service=self._started_with.microservice_name, resume_token=self._resume_token
        )
        stub = self._mesh.stub(config_service_pb2_grpc.ConfigServiceStub)
        # The stubs' types are those of gRPC's synchronous API.
        watch: Any = stub.WatchConfiguration(request)
        first = True
        async with contextlib.aclosing(aiter(watch)) as messages:
            while True:
                try:
                    async with asyncio.timeout(_SILENCE):
                        message = await anext(messages)
                except StopAsyncIteration:
                    return
                if self._take(message, first=first):
                    await self._keep(message.configuration)
                first = False
                yield None

    async def _keep(self, configuration: config_service_pb2.Configuration) -> None:
        """Keep a configuration for the next start."""
        if self._redis is not None:
            text = json_format.MessageToJson(configuration, indent=None)
            await self._of_redis(self._redis.client.set(self._key, text))

    async def _recall(self) -> None:
        """Put the configuration in force that was kept, where Config has told none yet."""
        if self._settled.is_set() or self._redis is None or not self._redis.ready:
            return
        known, text = await self._of_redis(self._redis.client.get(self._key))
        # Config may have answered meanwhile.
        if not known or self._settled.is_set():
            return
        if text:
            try:
                kept = json_format.Parse(
                    text, config_service_pb2.Configuration(), ignore_unknown_fields=True
                )
            except json_format.ParseError as error:
                _log.warning("configuration that was kept cannot be read", why=str(error))
            else:
                self.apply(kept, recalled=True)
        self._settled.set()

    async def _of_redis(self, answer: Awaitable[Any]) -> tuple[bool, Any]:
        """Whether Redis answered, and what."""
        try:
            return True, await answer
        except Exception as error:
            if isinstance(errors.from_exception(error), errors.Internal):
                raise
            _log.warning("configuration not kept or recalled", why=repr(error))
            return False, None

    @property
    def _key(self) -> str:
        return f"settings:{self._started_with.microservice_name}"

    def _take(self, message: config_service_pb2.WatchConfigurationResponse, *, first: bool) -> bool:
        """Take a message in; whether it is a configuration that was accepted."""
        accepted = False
        match message.WhichOneof("message"):
            case "error":
                # A place that Config does not know any more: begin anew.
                self._resume_token = ""
                raise errors.Unavailable(message.error.code, message.error.message)
            case "configuration":
                configuration = message.configuration
                changed_at = configuration.update_time.ToMicroseconds()
                # By time: where it follows another service, its own revision stays.
                newer = changed_at > self._changed_at
                accepted = self.apply(configuration)
                if accepted:
                    self._settled.set()
                    self._changed_at = changed_at
                if accepted and newer and not first:
                    LAG.observe(max(0.0, time.time() - changed_at / 1e6))
        self._resume_token = message.resume_token
        self._note("")
        return accepted

    def _accept(self, values: Mapping[str, Any]) -> Settings:
        """Give the settings with these values in them."""
        fields = self._started_with.model_dump()
        for name, path in self._paths.items():
            value = _at(values, path)
            if value is not _ABSENT:
                fields[name] = value
        return type(self._started_with)(**fields)

    def _problem(self, error: Any) -> str:
        name = str(error["loc"][0]) if error["loc"] else ""
        return f"{self._paths.get(name, name)}: {error['msg']}"

    def _tell(self, fresh: Settings) -> None:
        for told in self._subscribers:
            try:
                told(fresh)
            except Exception as error:  # noqa: BLE001 - one subscriber must not harm another
                _log.error("a change of the configuration is not in force", exc_info=error)

    def _note(self, trouble: str) -> None:
        """Log what stands in the way of changes, and that it does no longer, once each."""
        FOLLOWING.set(0 if trouble else 1)
        if trouble and not self._trouble:
            _log.info("configuration not followed; going on with what is in force", why=trouble)
        elif self._trouble and not trouble:
            _log.info("configuration followed again")
        self._trouble = trouble


def configured(settings: type[ServiceSettings]) -> dict[str, str]:
    """Give the path in the configuration of each field that has one."""
    return {
        name: mark.path
        for name, field in settings.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Configured)
    }


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return _ABSENT
        found = found[part]
    return found
