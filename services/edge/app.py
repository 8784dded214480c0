"""Composition root: settings to a running edge."""

from pathlib import Path

from aiohttp import web

from services.chassis import authentication, connectors, lifecycle, live
from services.chassis.mesh import Mesh
from services.edge import (
    answers,
    console,
    documents,
    editors,
    instances,
    links,
    sessions,
    signin,
    store,
)
from services.edge.settings import EdgeSettings

_STATIC = Path(__file__).parent / "static"
_MAX_BODY = 64 * 1024


def compose(settings: EdgeSettings) -> lifecycle.App:
    """Put edge together."""
    redis = connectors.Redis(settings)
    mesh = Mesh(settings)
    found = instances.Instances(
        mesh,
        store.Allocations(redis),
        fresh=settings.access_fresh_seconds,
        stale=settings.access_stale_seconds,
    )
    session = sessions.Sessions(
        authentication.Authenticator(settings.jwks_file),
        settings.user_key_file,
        lifetime=settings.session_seconds,
        gateway_url=settings.gateway_url,
    )
    application = web.Application(
        middlewares=[editors.refusals_for_envoy, answers.errors_as_answers],
        client_max_size=_MAX_BODY,
    )
    application.add_routes(
        [
            *editors.Gate(session, found, host=settings.editor_host).routes(),
            *signin.SignIn(
                session,
                links.Links(redis, lifetime=settings.link_seconds),
                gateway_url=settings.gateway_url,
            ).routes(),
            *console.Console(session, found).routes(),
            *documents.Documents(session, settings.web_assets).routes(),
            web.get("/healthz", _healthz),
            web.static("/static", _STATIC),
        ]
    )
    return lifecycle.App(
        http=application, connectors=[redis, mesh], live=live.Live(settings, mesh=mesh)
    )


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")
