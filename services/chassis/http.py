"""The admin port: /health, /ready and /metrics by plain HTTP."""

import asyncio
import importlib.metadata
import platform
from collections.abc import Awaitable, Callable

import prometheus_client
from aiohttp import web
from aiohttp.typedefs import Middleware

from services.chassis import clock, context
from services.chassis.health import Health
from services.chassis.interceptors import request as requests

_SHOWN = ("grpcio", "protobuf", "redis", "motor", "nats-py")
"""Libraries whose versions /health shows: those that decide how we talk to others."""


def admin(service: str, health: Health, metrics_enabled: Callable[[], bool]) -> web.Application:
    """Return the admin application of a service; it asks each time whether metrics are served."""
    started = clock.iso(clock.now())
    versions = {name: _version(name) for name in _SHOWN}

    async def alive(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "status": "ok",
                "service": service,
                "version": _version("codestudio-services"),
                "started": started,
                "draining": health.draining.is_set(),
                "python": platform.python_version(),
                "libraries": versions,
            }
        )

    async def ready(_: web.Request) -> web.Response:
        report = health.report()
        return web.json_response(report, status=200 if report["ready"] else 503)

    async def metrics(_: web.Request) -> web.Response:
        if not metrics_enabled():
            return web.Response(status=404, text="off, by the setting monitoring.metrics_enabled\n")
        text = await asyncio.to_thread(prometheus_client.generate_latest)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    application = web.Application()
    application.router.add_get("/health", alive)
    application.router.add_get("/ready", ready)
    application.router.add_get("/metrics", metrics)
    return application


def request_context(service: str) -> Middleware:
    """Return the middleware that gives HTTP requests their `context.RequestContext`."""

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        headers = ((name.lower(), value) for name, value in request.headers.items())
        received = requests.read(headers, None, service, f"{request.method} {request.path}")
        context.enter(received.request)
        response = await handler(request)
        if not response.prepared:
            response.headers.setdefault("x-request-id", received.request.request_id)
        return response

    return middleware


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unreleased"
