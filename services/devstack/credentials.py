"""Mints what a stack proves identities with: two ES256 keys, their JWKS, the admin's token.

Users' tokens and services' tokens are signed by different keys, so that a key that leaks from
a service cannot make an administrator. Minting is idempotent: what exists is kept, a missing
part is made from the keys.
"""

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

AUDIENCE = "codestudio"
USERS = "codestudio-users"
"""Issuer and key id of users' tokens."""
SERVICES = "codestudio-services"
"""Issuer and key id of services' tokens."""

ADMIN = {"sub": "admin", "name": "Administrator", "roles": ["admin"], "namespaces": ["*"]}
"""The claims of the stack's owner, in its token and behind the sign-in link."""

_YEAR = 365 * 24 * 3600
_RENEW_BEFORE = 30 * 24 * 3600


class Credentials:
    """The credentials in one directory, each its own file with mode 0600."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.users_key = directory / "users.pem"
        self.services_key = directory / "services.pem"
        self.jwks = directory / "jwks.json"
        self.admin_token = directory / "admin.token"

    def mint(self) -> None:
        """Make what is missing; a token near its end (30 of 365 days) is renewed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        users, services = _key(self.users_key), _key(self.services_key)
        key_set = {"keys": [_public(users, USERS), _public(services, SERVICES)]}
        _write(self.jwks, json.dumps(key_set, indent=2) + "\n")
        if not self._token_lasts():
            _write(self.admin_token, user_token(users, ADMIN, lifetime=_YEAR) + "\n")

    def _token_lasts(self) -> bool:
        try:
            claims = jwt.decode(
                self.admin_token.read_text().strip(),
                _key(self.users_key).public_key(),
                algorithms=["ES256"],
                audience=AUDIENCE,
                issuer=USERS,
            )
        except (FileNotFoundError, jwt.InvalidTokenError):
            return False
        return bool(claims["exp"] > time.time() + _RENEW_BEFORE)


def user_token(key: ec.EllipticCurvePrivateKey, claims: dict[str, Any], *, lifetime: int) -> str:
    """Sign a user's token with `claims` (sub, name, roles, namespaces), `lifetime` in seconds."""
    now = int(time.time())
    standard = {"iss": USERS, "aud": AUDIENCE, "iat": now, "exp": now + lifetime}
    return jwt.encode(
        {**claims, **standard, "jti": secrets.token_hex(16)},
        key,
        algorithm="ES256",
        headers={"kid": USERS},
    )


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        fresh = ec.generate_private_key(ec.SECP256R1())
        pem = fresh.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _write(path, pem.decode())
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no elliptic-curve key")
    return key


def _public(key: ec.EllipticCurvePrivateKey, kid: str) -> dict[str, str]:
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": kid, "alg": "ES256", "use": "sig"}


def _write(path: Path, text: str) -> None:
    """Write privately from the first byte, and whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
