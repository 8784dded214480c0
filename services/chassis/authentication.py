"""Verifies bearer tokens: ES256 JWTs against the key set in a file.

Every token is for the audience ``codestudio`` and is signed by the key whose
id is its issuer's name, ``codestudio-users`` or ``codestudio-services``: a
service's key cannot sign a user's token. Verified tokens are remembered by
hash for a minute, since verifying costs more than most calls.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import structlog

from services.chassis import errors, metrics, tokens
from services.chassis.identity import Caller

_log = structlog.get_logger(__name__)

REMEMBERED_FOR = 60.0
"""Seconds a verification holds at most; the token's own end counts always."""

REMEMBERED = 4096
"""Tokens remembered at most; at that number all are forgotten."""

LOOKED_EVERY = 1.0
"""Seconds between looks at the key file."""

LEEWAY = 5
"""Seconds by which clocks of issuers may differ from ours."""

MAX_TOKEN = 8192
"""Longest token in characters, as long as gRPC's metadata may be at all."""

_HITS = metrics.CACHE_REQUESTS.labels("tokens", "hit")
_MISSES = metrics.CACHE_REQUESTS.labels("tokens", "miss")

_REQUIRED = ["iss", "aud", "sub", "iat", "exp"]


class Authenticator:
    """Turns a token into its caller."""

    def __init__(self, jwks_file: Path) -> None:
        self._file = jwks_file
        self._stamp: tuple[int, int, int] | None = None
        self._look_at = 0.0
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._known: dict[bytes, tuple[float, Caller]] = {}

    def authenticate(self, authorization: str) -> Caller:
        """Return who sent this ``authorization`` header.

        Raises:
            errors.Unauthenticated: TOKEN_MISSING, TOKEN_EXPIRED or TOKEN_INVALID.
            errors.Unavailable: KEYS_UNAVAILABLE, the key set was never readable.

        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise errors.Unauthenticated(
                "TOKEN_MISSING", "Send a token: authorization: Bearer <token>"
            )
        now = time.time()
        if now >= self._look_at:
            self._look_at = now + LOOKED_EVERY
            self._read_keys()
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and now < known[0]:
            _HITS.inc()
            return known[1]
        _MISSES.inc()
        caller, expires = self._verify(token)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[digest] = (min(now + REMEMBERED_FOR, expires), caller)
        return caller

    def _verify(self, token: str) -> tuple[Caller, float]:
        if not self._keys:
            raise errors.Unavailable("KEYS_UNAVAILABLE", "Tokens cannot be verified right now")
        if len(token) > MAX_TOKEN:
            raise _invalid("it is too long")
        try:
            issuer = jwt.get_unverified_header(token).get("kid", "")
            key = self._keys.get(issuer) if isinstance(issuer, str) else None
            if key is None:
                raise _invalid("it is signed by no key we know")
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[tokens.ALGORITHM],
                audience=tokens.AUDIENCE,
                issuer=issuer,
                leeway=LEEWAY,
                options={"require": _REQUIRED},
            )
        except jwt.ExpiredSignatureError:
            raise errors.Unauthenticated(
                "TOKEN_EXPIRED", "The token has expired; sign in again"
            ) from None
        except (jwt.InvalidTokenError, ValueError) as error:
            raise _invalid(_reason(error)) from None
        expires = float(claims["exp"]) + LEEWAY
        return _caller(token, claims, expires), expires

    def _read_keys(self) -> None:
        """Read the key set when its file changed; keep the old one when that fails."""
        try:
            found = self._file.stat()
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp == self._stamp:
                return
            keys = jwt.PyJWKSet.from_dict(json.loads(self._file.read_bytes())).keys
        except (OSError, ValueError, jwt.PyJWKError, jwt.PyJWKSetError) as error:
            _log.error("key set unreadable", file=str(self._file), reason=str(error))
            return
        self._stamp = stamp
        issuers = (tokens.USERS, tokens.SERVICES)
        self._keys = {key.key_id: key for key in keys if key.key_id in issuers}
        self._known.clear()


def _caller(token: str, claims: Mapping[str, Any], expires: float) -> Caller:
    subject = claims["sub"]
    if claims["iss"] == tokens.SERVICES:
        return Caller(subject=subject, name=subject, kind="service", token=token, expires=expires)
    return Caller(
        subject=subject,
        name=str(claims.get("name") or subject),
        kind="user",
        roles=_texts(claims.get("roles")),
        namespaces=_texts(claims.get("namespaces")),
        token=token,
        expires=expires,
    )


def _texts(value: object) -> tuple[str, ...]:
    # A claim of another shape grants nothing: "admin" must not read as a list of letters.
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _invalid(reason: str) -> errors.Unauthenticated:
    return errors.Unauthenticated("TOKEN_INVALID", f"The token is not valid: {reason}")


def _reason(error: Exception) -> str:
    match error:
        case jwt.InvalidAudienceError():
            return "it is for another audience"
        case jwt.InvalidIssuerError():
            return "its issuer does not own the key that signed it"
        case jwt.MissingRequiredClaimError():
            return f"it lacks the claim {error.claim}"
        case jwt.InvalidSignatureError():
            return "its signature is wrong"
        case jwt.ImmatureSignatureError():
            return "it is not valid yet"
    return "it cannot be read"
