"""Who a browser or program is: a user's token, in a header or in the session cookie."""

import dataclasses
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import jwt
from aiohttp import web

from services.chassis import authentication, browsers, errors, identity, tokens

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclasses.dataclass(frozen=True)
class User:
    """What a session says of its user: the claims of their tokens."""

    subject: str
    name: str
    roles: Sequence[str]
    namespaces: Sequence[str]
    expires: float | None = None
    """When the token it comes from ends, by `time.time`; a session never outlives that."""


class Sessions:
    """Signs users' sessions and recognises them."""

    def __init__(
        self,
        authenticator: authentication.Authenticator,
        key_file: Path,
        *,
        lifetime: int,
        gateway_url: str,
    ) -> None:
        """Sign with the private key in `key_file`, for `lifetime` seconds at most.

        Where `gateway_url` is HTTPS, the cookie is kept to it.
        """
        self._authenticator = authenticator
        self._key_file = key_file
        self._lifetime = lifetime
        self._secure = gateway_url.startswith("https://")
        self._cookie = browsers.cookie_name(gateway_url)

    def bearer(self, request: web.Request) -> identity.Caller:
        """Give the user whose token is in the `Authorization` header.

        Raises:
            errors.Unauthenticated: There is none, or it is not a user's, or not valid.

        """
        return self._user(request.headers.get("Authorization", ""))

    def caller(self, request: web.Request) -> identity.Caller:
        """Give the user behind a request: by its `Authorization` header, else by its cookie.

        A cookie is sent by the browser whoever asks it to, so with one the request must come
        from our own pages where it could change something.

        Raises:
            errors.Unauthenticated: Nobody is signed in.
            errors.PermissionDenied: ORIGIN_REFUSED, another site's page sent the request.

        """
        if "Authorization" in request.headers:
            return self.bearer(request)
        token = request.cookies.get(self._cookie, "")
        if not token:
            raise errors.Unauthenticated("TOKEN_MISSING", "You are not signed in")
        caller = self._user(f"Bearer {token}")
        _require_own_origin(request)
        return caller

    def open(self, response: web.StreamResponse, user: User) -> None:
        """Sign a session for `user` and set it as the response's cookie."""
        now = int(time.time())
        lifetime = self._lifetime
        if user.expires is not None:
            lifetime = max(0, min(lifetime, int(user.expires) - now))
        claims = {
            "iss": tokens.USERS,
            "aud": tokens.AUDIENCE,
            "sub": user.subject,
            "name": user.name,
            "roles": list(user.roles),
            "namespaces": list(user.namespaces),
            "iat": now,
            "exp": now + lifetime,
            "jti": secrets.token_hex(16),
        }
        token = jwt.encode(
            claims,
            self._key_file.read_bytes(),
            algorithm=tokens.ALGORITHM,
            headers={"kid": tokens.USERS},
        )
        response.set_cookie(
            self._cookie,
            token,
            max_age=lifetime,
            path="/",
            httponly=True,
            samesite="Lax",
            secure=self._secure,
        )

    def close(self, response: web.StreamResponse) -> None:
        """Take the cookie away."""
        response.del_cookie(
            self._cookie, path="/", httponly=True, samesite="Lax", secure=self._secure
        )

    def _user(self, authorization: str) -> identity.Caller:
        caller = self._authenticator.authenticate(authorization)
        if caller.kind != "user":
            raise errors.Unauthenticated("TOKEN_INVALID", "This door is for users' tokens")
        return caller


def user_of(caller: identity.Caller) -> User:
    """Give the claims of a verified caller, with the end of their token."""
    claims = jwt.decode(caller.token, options={"verify_signature": False})
    return User(
        subject=caller.subject,
        name=caller.name,
        roles=caller.roles,
        namespaces=caller.namespaces,
        expires=float(claims["exp"]),
    )


def without_session(cookies: str) -> str:
    """Give a `Cookie` header without sessions, other stacks' included; empty if nothing is left."""
    kept = (part.strip() for part in cookies.split(";"))
    return "; ".join(part for part in kept if part and not _is_session(part))


def _is_session(cookie: str) -> bool:
    name = cookie.split("=")[0].strip()
    return name == browsers.COOKIE or name.startswith(f"{browsers.COOKIE}_")


def _require_own_origin(request: web.Request) -> None:
    headers = request.headers
    changes = request.method not in _SAFE_METHODS or "upgrade" in headers
    framed = headers.get("Sec-Fetch-Dest", "") in {"iframe", "frame", "embed", "object"}
    if not changes and not framed:
        return
    if framed and headers.get("Sec-Fetch-Site") not in {"same-origin", None}:
        raise _refused()
    if changes and not browsers.is_own_page(headers):
        raise _refused()


def _refused() -> errors.PermissionDenied:
    return errors.PermissionDenied("ORIGIN_REFUSED", "Another site's page sent this request")
