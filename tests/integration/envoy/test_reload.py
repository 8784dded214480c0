"""Envoy takes over replaced files while it runs."""

import asyncio
import json

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from services.devstack import credentials, gateway
from tests.integration.envoy.door import Door


@pytest.mark.usefixtures("api")
async def test_a_new_key_counts_at_once(door: Door, http: aiohttp.ClientSession) -> None:
    """Once the files hold a new key, its tokens get in and the old key's do not."""
    fresh = ec.generate_private_key(ec.SECP256R1())
    claims = {"sub": "ada", "roles": ["user"], "namespaces": ["*"]}
    new, old = credentials.user_token(fresh, claims, lifetime=60), door.token()
    public = ECAlgorithm.to_jwk(fresh.public_key(), as_dict=True)
    keys = {"keys": [{**public, "kid": credentials.USERS, "alg": "ES256"}]}
    published = door.directory.parent / "rotated.json"
    published.write_text(json.dumps(keys))
    gateway.write(door.directory, published, offset=door.ports.offset)
    try:
        # The services behind still have the old file: they refuse with their own name.
        await _until(http, new, "instance-service")
        await _until(http, old, "gateway")
    finally:
        door.write()
    await _until(http, new, "gateway")


async def _until(http: aiohttp.ClientSession, token: str, refuses: str) -> None:
    async with asyncio.timeout(20):
        while True:
            headers = {"authorization": f"Bearer {token}"}
            async with http.get("/api/instances", headers=headers) as answer:
                body = await answer.json()
                if body.get("error", {}).get("service") == refuses:
                    return
            await asyncio.sleep(0.05)
