"""Who gets in, over a real connection."""

import base64
import json
import time

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from services.chassis import identity, tokens
from tests import counted
from tests.integration.chassis import parts


async def test_a_valid_token_names_its_caller(served: parts.Served) -> None:
    """The handler sees the token's subject, roles and namespaces."""
    seen: list[identity.Caller] = []

    async def get(request, context):
        seen.append(identity.current())
        return await parts.echo(request, context)

    served.servicer.get = get
    await served.get()
    assert seen[0].subject == "ada"
    assert seen[0].roles == ("user",)
    assert seen[0].may_use_namespace("default")
    assert not seen[0].may_use_namespace("other")
    assert not seen[0].is_admin
    assert "token" not in repr(seen[0])


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "Bearer "])
async def test_without_a_token_nobody_gets_in(served: parts.Served, header: str) -> None:
    """No token, or another scheme: TOKEN_MISSING."""
    code, detail = await parts.refusal(served.get(token="", authorization=header))
    assert (code, detail.code) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


async def test_a_token_is_verified_once(served: parts.Served) -> None:
    """And remembered from then on; each question to that memory is counted."""
    token, before = served.keys.user(), counted.cache("tokens")
    await served.get(token=token)
    assert counted.cache("tokens") - before == {"miss": 1}
    await served.get(token=token)
    assert counted.cache("tokens") - before == {"miss": 1, "hit": 1}


async def test_an_expired_token_says_so(served: parts.Served) -> None:
    """A client can tell that it should sign in again."""
    now = int(time.time())
    token = served.keys.user(iat=now - 100, exp=now - 60)
    code, detail = await parts.refusal(served.get(token=token))
    assert (code, detail.code) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "somebody"},
        {"iss": tokens.SERVICES},
        {"aud": "another"},
        {"aud": None},
        {"sub": None},
        {"sub": 7},
        {"exp": None},
        {"iat": None},
        {"iat": 2**33},
    ],
    ids=str,
)
async def test_wrong_claims_are_refused(served: parts.Served, claims: dict[str, object]) -> None:
    """Issuer, audience, subject and times must be right, and there."""
    code, detail = await parts.refusal(served.get(token=served.keys.user(**claims)))
    assert (code, detail.code) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


async def test_a_forged_token_is_refused(served: parts.Served) -> None:
    """Signed by another key under our key's name; or not signed at all."""
    stranger = ec.generate_private_key(ec.SECP256R1())
    forged = served.keys.sign(stranger, tokens.USERS)
    header, body, _ = served.keys.user().split(".")
    unsigned = _encode({"alg": "none", "kid": tokens.USERS})
    admin = _encode({**_decode(body), "roles": ["admin"]})
    for token in (
        forged,
        f"{unsigned}.{body}.",
        f"{header}.{admin}.{served.keys.user().split('.')[2]}",
        served.keys.sign(stranger, "unknown"),
        "x",
        "a.b.c",
    ):
        code, detail = await parts.refusal(served.get(token=token))
        assert (code, detail.code) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"), token


async def test_a_services_key_makes_no_user(served: parts.Served) -> None:
    """A service that leaks its key leaks no administrator."""
    for kid in (tokens.SERVICES, tokens.USERS):
        token = served.keys.sign(served.keys.services, kid, roles=["admin"])
        code, detail = await parts.refusal(served.get(token=token))
        assert (code, detail.code) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


async def test_a_claim_of_another_shape_grants_nothing(served: parts.Served) -> None:
    """Roles as a text are no roles."""
    code, detail = await parts.refusal(served.get(token=served.keys.user(roles="admin")))
    assert (code, detail.code) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")


async def test_the_permission_is_enforced(served: parts.Served) -> None:
    """A caller without the role is told which permission is lacking."""
    code, detail = await parts.refusal(served.get(token=served.keys.user(roles=[])))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert detail.code == "PERMISSION_DENIED"
    assert detail.metadata["permission"] == "instances.get"


async def test_services_hold_what_their_table_says(served: parts.Served) -> None:
    """The resource service may read instances; the quota service may only list them."""
    pem = served.keys.services_pem.read_bytes()
    await served.get(token=tokens.sign_service_token(pem, "resource-service"))
    for name in ("quota-service", "stranger-service"):
        code, _ = await parts.refusal(served.get(token=tokens.sign_service_token(pem, name)))
        assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_rotated_key_set_takes_effect(served: parts.Served) -> None:
    """Without a restart: new tokens pass, and remembered ones of the old key stop passing."""
    old = served.keys.user()
    await served.get(token=old)
    served.keys.users = ec.generate_private_key(ec.SECP256R1())
    served.keys.publish()
    deadline = time.monotonic() + 10
    while True:
        try:
            await served.get()
            break
        except grpc.aio.AioRpcError:
            assert time.monotonic() < deadline
    code, detail = await parts.refusal(served.get(token=old))
    assert (code, detail.code) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


async def test_a_broken_key_file_changes_nothing(served: parts.Served) -> None:
    """A half-written file does not lock everybody out."""
    await served.get()
    served.keys.jwks.write_text("{")
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        await served.get(token=served.keys.user(jti=str(time.monotonic())))


async def test_without_keys_nobody_can_tell(keys: parts.Keys) -> None:
    """A service that cannot verify says that it cannot, not that the token is wrong."""
    keys.jwks.unlink()
    async with parts.serving(keys) as served:
        code, detail = await parts.refusal(served.get())
        assert (code, detail.code) == (grpc.StatusCode.UNAVAILABLE, "KEYS_UNAVAILABLE")


def _encode(value: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _decode(text: str) -> dict[str, object]:
    padded = text + "=" * (-len(text) % 4)
    return json.loads(base64.urlsafe_b64decode(padded))
