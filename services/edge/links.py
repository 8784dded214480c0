"""One-time sign-in links: a code in Redis that whoever opens it first trades for a session."""

import json
import secrets

from services.chassis import connectors
from services.edge.sessions import User

_CODE_BYTES = 24


class Links:
    """Codes in Redis under `signin:{code}`: JSON with sub, name, roles and namespaces."""

    def __init__(self, redis: connectors.Redis, *, lifetime: int) -> None:
        self._redis = redis
        self.lifetime = lifetime
        """Seconds until a code that nobody used is void."""

    async def create(self, user: User) -> str:
        """Make a code that signs `user` in, once."""
        code = secrets.token_urlsafe(_CODE_BYTES)
        value = {
            "sub": user.subject,
            "name": user.name,
            "roles": list(user.roles),
            "namespaces": list(user.namespaces),
            "expires": user.expires,
        }
        await self._redis.client.set(_key(code), json.dumps(value), ex=self.lifetime)
        return code

    async def redeem(self, code: str) -> User | None:
        """Trade a code for its user; None when it was used, has expired or never was."""
        found = await self._redis.client.getdel(_key(code))
        if not found:
            return None
        value = json.loads(found)
        return User(
            subject=value["sub"],
            name=value.get("name") or value["sub"],
            roles=value.get("roles", ()),
            namespaces=value.get("namespaces", ()),
            expires=value.get("expires"),
        )


def _key(code: str) -> str:
    return f"signin:{code}"
