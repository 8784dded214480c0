"""The page of one document, at `/edit/<namespace>/<project>/<path>`: everybody edits it at once."""

import secrets
import urllib.parse
from pathlib import Path

from aiohttp import web

from services.chassis import errors, identity, permissions
from services.edge import answers, sessions

_ENTRY = "edit.js"
_WRITE = "collaboration.write"


class Documents:
    """The page and its script."""

    def __init__(self, session: sessions.Sessions, assets: Path | None) -> None:
        """Serve the built scripts in `assets`; None where there are none."""
        self._session = session
        self._assets = assets

    def routes(self) -> list[web.RouteDef]:
        """List what is served."""
        return [
            web.get("/edit/{namespace}/{project}/{path:.+}", self.edit),
            web.get(f"/static/web/{_ENTRY}", self.script),
        ]

    async def edit(self, request: web.Request) -> web.Response:
        """Show the page; what it shows comes by `/yjs/…`, which checks names and roles itself."""
        try:
            caller = self._session.caller(request)
        except errors.Unauthenticated as error:
            return answers.failure(request, error)
        namespace, project, path = (
            request.match_info[name] for name in ("namespace", "project", "path")
        )
        if not caller.may_use_namespace(namespace):
            raise errors.PermissionDenied(
                "NAMESPACE_FORBIDDEN", f"You may not use the namespace {namespace}"
            )
        nonce = secrets.token_urlsafe(16)
        return answers.page(
            "edit.html",
            policy=_policy(nonce),
            nonce=nonce,
            title=f"{project}/{path}",
            room="/".join(urllib.parse.quote(one) for one in (namespace, project, path)),
            path=path,
            subject=caller.subject,
            name=caller.name,
            readonly=not _may_write(caller),
        )

    async def script(self, _: web.Request) -> web.StreamResponse:
        """Send the script."""
        file = self._assets / _ENTRY if self._assets is not None else None
        if file is None or not file.is_file():
            raise errors.NotFound(
                "PAGES_NOT_BUILT", "The pages' scripts are not built; scripts/up says why"
            )
        return web.FileResponse(file, headers={"Cache-Control": "no-cache"})


def _may_write(caller: identity.Caller) -> bool:
    return not permissions.holders(permissions.ROLES, _WRITE).isdisjoint(caller.roles)


def _policy(nonce: str) -> str:
    """Give the page's Content-Security-Policy: our script, and the styles the editor makes."""
    return (
        "default-src 'none'; img-src 'self'; connect-src 'self'; "
        f"script-src 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
        # Other people's colours are style attributes.
        "style-src-attr 'unsafe-inline'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
