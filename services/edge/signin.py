"""Signing in by one-time links, and out."""

import datetime
import json
from typing import Any

from aiohttp import web
from yarl import URL

from services.chassis import clock, errors
from services.edge import answers, links, sessions


class SignIn:
    """The addresses under `/auth/`."""

    def __init__(self, session: sessions.Sessions, codes: links.Links, *, gateway_url: str) -> None:
        """Make links that begin with `gateway_url`."""
        self._session = session
        self._links = codes
        self._gateway_url = URL(gateway_url)

    def routes(self) -> list[web.RouteDef]:
        """List what is served."""
        return [
            # No HEAD: a link preview must not use up the code.
            web.get("/auth/login", self.login, allow_head=False),
            web.post("/auth/links", self.create_link),
            web.post("/auth/logout", self.logout),
        ]

    async def login(self, request: web.Request) -> web.Response:
        """Trade the link's code for a session and go where it leads.

        A link that was used before still leads there when its browser is signed in.
        """
        target = answers.same_site_path(request.query.get("next", "/"))
        user = await self._links.redeem(request.query.get("code", ""))
        response = web.Response(
            status=303, headers={"Location": target, **answers.SECURITY_HEADERS}
        )
        if user is not None:
            self._session.open(response, user)
            return response
        try:
            self._session.caller(request)
        except errors.Unauthenticated:
            return answers.sign_in(status=401, used=True)
        return response

    async def create_link(self, request: web.Request) -> web.Response:
        """Make a one-time link for the bearer of a token; JSON `{"url", "expires_at"}`.

        The body may name where it leads: `{"next": "/i/blue-fox-1/"}`. Needs the token in the
        `Authorization` header: a cookie would let any page of an editor make one.
        """
        caller = self._session.bearer(request)
        code = await self._links.create(sessions.user_of(caller))
        query = {"code": code}
        target = answers.same_site_path(await _next(request))
        if target != "/":
            query["next"] = target
        expires = clock.now() + datetime.timedelta(seconds=self._links.lifetime)
        url = self._gateway_url.with_path("/auth/login").with_query(query)
        return web.json_response(
            {"url": str(url), "expires_at": clock.iso(expires)},
            status=201,
            headers={"Cache-Control": "no-store"},
        )

    async def logout(self, request: web.Request) -> web.Response:
        """End the browser's session."""
        self._session.caller(request)
        response = web.Response(status=303, headers={"Location": "/", **answers.SECURITY_HEADERS})
        self._session.close(response)
        return response


async def _next(request: web.Request) -> str:
    sent = await request.read()
    if not sent.strip():
        return "/"
    try:
        # From bytes: which encoding it is JSON shows by itself, whatever the header says.
        body: Any = json.loads(sent)
    except (ValueError, RecursionError):
        raise errors.InvalidArgument("INVALID_JSON", "The body is not valid JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("next", "/"), str):
        raise errors.InvalidArgument("INVALID_ARGUMENT", 'The body is {"next": "/path"} or empty')
    return str(body.get("next", "/"))
