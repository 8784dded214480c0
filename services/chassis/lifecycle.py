"""The life of a service: compose, serve, drain, stop."""

import asyncio
import contextlib
import contextvars
import dataclasses
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import grpc.aio
import pydantic
import structlog
from aiohttp import web

from services.chassis import context, garbage, http, http2, logs, server, telemetry
from services.chassis.connectors import Connector
from services.chassis.health import GrpcHealth, Health
from services.chassis.interceptors import Calls
from services.chassis.live import Live
from services.chassis.server import PortTaken, Servicer
from services.chassis.settings import ServiceSettings
from services.chassis.tasks import Supervisor, Work

__all__ = ["App", "PortTaken", "Running", "Servicer", "draining", "run", "running"]

_log = structlog.get_logger(__name__)

_LAST_WORDS = 0.5
"""Seconds for answers already given to leave, once no handler runs."""

_BACKLOG = 128
"""Connections that may wait to be accepted on a port for HTTP."""

_TASKS_GRACE = 5.0
"""Seconds background tasks may take to end when cancelled."""

Settings = TypeVar("Settings", bound=ServiceSettings)

_draining: contextvars.ContextVar[asyncio.Event] = contextvars.ContextVar("draining")


def draining() -> asyncio.Event:
    """Return the event that is set when this service is told to stop.

    Long-lived streams end when it is set, so that their clients move on.
    Outside a running service it is never set.
    """
    return _draining.get(None) or asyncio.Event()


@dataclasses.dataclass(frozen=True, kw_only=True)
class App:
    """What a service is made of, put together by its ``app.compose``."""

    grpc: Sequence[Servicer] = ()
    """The gRPC services on `ServiceSettings.port`."""
    reflects: Sequence[str] = ()
    """Services of others whose contracts its reflection shows too, by full name."""
    connectors: Sequence[Connector] = ()
    """What it stands on, started together and stopped in reverse."""
    tasks: Mapping[str, Work] = dataclasses.field(default_factory=dict)
    """Background tasks by name; each is meant to run until it is cancelled."""
    live: Live[Any] | None = None
    """Its settings as they change; followed while it runs, and the log level with them."""
    http: web.Application | None = None
    """What is served on `ServiceSettings.port` by a service that speaks HTTP, not gRPC."""
    beside: web.Application | None = None
    """What is served by HTTP on `ServiceSettings.web_port`, beside gRPC on the other. Bidirectional
    streams are served there too, by HTTP/2: see `http2`."""
    on_stop: Sequence[Callable[[], Awaitable[None]]] = ()
    """Called in order when calls and tasks have ended and connectors still work."""

    def __post_init__(self) -> None:
        if self.grpc and self.http is not None:
            raise ValueError("a service speaks gRPC or HTTP on its port, not both")


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A service that runs."""

    port: int
    """Where it listens."""
    http_port: int
    """Where /health, /ready and /metrics are."""
    health: Health
    """Whether it is ready."""
    web_port: int = 0
    """Where it speaks to browsers; 0 where it does not."""


def run(
    settings_type: type[Settings],
    compose: Callable[[Settings], App],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> NoReturn:
    """Run a service until SIGTERM or SIGINT; the body of its ``__main__``.

    `loop_factory` makes another event loop than asyncio's own. Exits 0 after
    a drain, 1 with one line on standard error where it cannot start: a wrong
    setting, a taken port, a contract without permissions.
    """
    try:
        settings = settings_type()
    except pydantic.ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']).upper()}: {one['msg']}"
            for one in error.errors()
        )
        sys.exit(f"{settings_type.__module__}: wrong settings: {problems}")
    logs.configure(settings.microservice_name, settings.log_level)
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_serve(settings, compose))
    except PortTaken as error:
        sys.exit(f"{settings.microservice_name}: {error}")
    except (TypeError, ValueError) as error:
        _log.debug("cannot start", exc_info=error)
        sys.exit(f"{settings.microservice_name}: cannot start: {error}")
    sys.exit(0)


@contextlib.asynccontextmanager
async def running(settings: ServiceSettings, app: App) -> AsyncIterator[Running]:
    """Run a service inside a running event loop; leaving drains and stops it.

    Raises:
        PortTaken: A port cannot be listened on.
        ValueError: A method declares no permission.
        TypeError: A handler is neither coroutine nor async generator.

    """
    # Set before anything starts: every task inherits the context it is started in.
    context.enter(context.RequestContext(service=settings.microservice_name))
    tasks = dict(app.tasks)
    if app.live is not None:
        app.live.subscribe(lambda changed: logs.set_level(changed.log_level))
        tasks["follow configuration"] = app.live.run
    background = Supervisor(tasks)
    health = Health(app.connectors, background)
    _draining.set(health.draining)
    tracing, flush_traces = telemetry.configure(settings)
    calls = Calls()
    grpc_health = GrpcHealth([one.name for one in app.grpc])
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(flush_traces)
        for connector in app.connectors:
            stack.push_async_callback(connector.stop)
        for hook in reversed(app.on_stop):
            stack.push_async_callback(hook)
        stack.push_async_callback(background.stop, _TASKS_GRACE)
        pages = http.admin(
            settings.microservice_name, health, lambda: _current(settings, app).metrics_enabled
        )
        admin = _port(await _listen(stack, pages, settings, settings.http_port))
        port = settings.port
        if app.http is not None:
            app.http.middlewares.insert(0, http.request_context(settings.microservice_name))
            port = _port(
                await _listen(
                    stack, app.http, settings, settings.port, grace=settings.drain_seconds
                )
            )
        web_port = 0
        if app.grpc:
            passed = server.interceptors(
                settings,
                app.grpc,
                calls,
                tracing,
                settle=None if app.live is None else app.live.settle,
            )
            live: tuple[asyncio.Server, http2.Server] | None = None
            if app.beside is not None:
                streams = server.streams(settings, app.grpc, passed)
                app.beside.middlewares.insert(0, http.request_context(settings.microservice_name))
                listener = await _listen(
                    stack,
                    app.beside,
                    settings,
                    settings.web_port,
                    grace=settings.drain_seconds,
                    streams=streams,
                )
                web_port, live = _port(listener), (listener, streams)
            grpc_server = server.build(settings, app.grpc, grpc_health, passed, app.reflects)
            port = server.bind(grpc_server, settings.bind_host, settings.port)
            await grpc_server.start()
            stack.push_async_callback(_stop_calls, grpc_server, live, calls, settings.drain_seconds)
        for connector in app.connectors:
            await connector.start()
        background.start()
        announce = asyncio.create_task(_announce(health, grpc_health), name="announce health")
        stack.push_async_callback(_leave, announce, health, grpc_health, settings)
        _log.info("listening", port=port, http_port=admin)
        yield Running(port=port, http_port=admin, health=health, web_port=web_port)
    _log.info("stopped")


def _current(settings: ServiceSettings, app: App) -> ServiceSettings:
    return settings if app.live is None else app.live.current


async def _serve(settings: Settings, compose: Callable[[Settings], App]) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with running(settings, compose(settings)):
        collecting = asyncio.create_task(garbage.run(), name="collect garbage")
        await told.wait()
        collecting.cancel()


async def _announce(health: Health, grpc_health: GrpcHealth) -> None:
    await health.wait_connected()
    await grpc_health.serve()


async def _leave(
    announce: asyncio.Task[None], health: Health, grpc_health: GrpcHealth, settings: ServiceSettings
) -> None:
    """Tell everybody that we are going, and let them look elsewhere."""
    _log.info("draining")
    announce.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await announce
    await grpc_health.enter_graceful_shutdown()
    await asyncio.sleep(settings.drain_settle_seconds)
    health.draining.set()


async def _stop_calls(
    grpc_server: grpc.aio.Server,
    live: tuple[asyncio.Server, http2.Server] | None,
    calls: Calls,
    seconds: float,
) -> None:
    """Refuse new calls, wait for running ones, cancel what is left after that."""
    if live is not None:
        listener, streams = live
        listener.close()
        streams.refuse()
    stopping = asyncio.create_task(grpc_server.stop(seconds), name="stop grpc server")
    if await calls.wait_idle(seconds):
        # What is open now are watches of health and reflection: they would use up the rest.
        await grpc_server.stop(min(_LAST_WORDS, seconds))
    await stopping
    if live is not None:
        streams.close()
    # gRPC cancels what is left, and returns before its handlers have ended.
    if not await calls.wait_idle(_LAST_WORDS):
        _log.error("calls do not end when cancelled", calls=calls.running)


async def _listen(
    stack: contextlib.AsyncExitStack,
    application: web.Application,
    settings: ServiceSettings,
    port: int,
    grace: float = 1.0,
    streams: http2.Server | None = None,
) -> asyncio.Server:
    server.check_free(settings.bind_host, port)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=grace)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    assert runner.server is not None
    pages: Callable[[], asyncio.Protocol] = runner.server
    accept = pages if streams is None else lambda: http2.Door(pages, streams.connection)
    try:
        listener = await asyncio.get_running_loop().create_server(
            accept, settings.bind_host, port, backlog=_BACKLOG
        )
    except OSError as error:
        raise PortTaken(f"port {port} on {settings.bind_host}: {error.strerror}") from error
    stack.callback(listener.close)
    return listener


def _port(listener: asyncio.Server) -> int:
    bound: int = listener.sockets[0].getsockname()[1]
    return bound
