"""Signs tokens: ES256 JWTs of services, for their calls to each other.

Two issuers, each with a key whose id is the issuer's name; see
`authentication` for how they are verified. One hour, as the specification
says of service tokens.
"""

import time
from pathlib import Path

import jwt

ALGORITHM = "ES256"
AUDIENCE = "codestudio"
USERS = "codestudio-users"
"""Issuer, and id of the key, of users' tokens."""
SERVICES = "codestudio-services"
"""Issuer, and id of the key, of services' tokens."""

LIFETIME = 3600
"""Seconds a service's token is valid."""

RENEWED_BEFORE = 900
"""Seconds before its end that a token is replaced, so that none ends in flight."""


class ServiceTokens:
    """Gives the running service's own token, signing a new one when it is due."""

    def __init__(self, service: str, key_file: Path) -> None:
        self._service = service
        self._key_file = key_file
        self._token = ""
        self._until = 0.0

    def current(self) -> str:
        """Return a token valid for at least another `RENEWED_BEFORE` seconds.

        The key is read at each signing, so a rotated one takes effect.

        Raises:
            OSError: The key file cannot be read.
            ValueError: It holds no such key.

        """
        now = time.time()
        if now >= self._until:
            self._token = sign_service_token(self._key_file.read_bytes(), self._service)
            self._until = now + LIFETIME - RENEWED_BEFORE
        return self._token


def sign_service_token(key: bytes, service: str) -> str:
    """Sign a service's token with a private key in PEM."""
    now = int(time.time())
    claims = {
        "iss": SERVICES,
        "aud": AUDIENCE,
        "sub": service,
        "service": service,
        "iat": now,
        "exp": now + LIFETIME,
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": SERVICES})
