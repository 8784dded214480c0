"""Who knocks at the door: tokens of users, good and bad."""

import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.chassis import tokens
from services.devstack.credentials import Credentials

_HOUR = 3600


class People:
    """Tokens of one stack's users; every one is made when asked for."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.admin = credentials.admin_token.read_text().strip()

    def user(self, name: str, *, namespaces: tuple[str, ...] = ("*",), role: str = "user") -> str:
        """Give a token of somebody with one role."""
        return self._sign(sub=name, name=name.title(), roles=[role], namespaces=list(namespaces))

    def expired(self) -> str:
        """Give an administrator's token of yesterday."""
        return self._sign(sub="admin", roles=["admin"], namespaces=["*"], exp=time.time() - 86400)

    def forged(self) -> str:
        """Give an administrator's token signed by a key of nobody's."""
        return self._sign(
            ec.generate_private_key(ec.SECP256R1()), sub="admin", roles=["admin"], namespaces=["*"]
        )

    def of_issuer(self, issuer: str) -> str:
        """Give an administrator's token with the right signature and another issuer."""
        return self._sign(sub="admin", roles=["admin"], namespaces=["*"], iss=issuer)

    def for_audience(self, audience: str) -> str:
        """Give an administrator's token that is for another product."""
        return self._sign(sub="admin", roles=["admin"], namespaces=["*"], aud=audience)

    def unsigned(self) -> str:
        """Give an administrator's token of algorithm "none"."""
        return jwt.encode(_claims(sub="admin", roles=["admin"]), "", algorithm="none")

    def service(self, name: str = "instance-service") -> str:
        """Give a genuine token of a service."""
        return tokens.sign_service_token(self._credentials.services_key.read_bytes(), name)

    def _sign(self, key: Any = None, **claims: Any) -> str:
        own = load_pem_private_key(self._credentials.users_key.read_bytes(), password=None)
        return jwt.encode(
            _claims(**claims),
            own if key is None else key,
            algorithm=tokens.ALGORITHM,
            headers={"kid": tokens.USERS},
        )


def _claims(**claims: Any) -> dict[str, Any]:
    now = int(time.time())
    standard = {"iss": tokens.USERS, "aud": tokens.AUDIENCE, "iat": now, "exp": now + _HOUR}
    return {**standard, **claims}
