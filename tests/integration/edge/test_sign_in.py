"""Signing in by a link that works once, and out again."""

import json

import aiohttp
import jwt
import pytest
import redis

from services.chassis.browsers import cookie_name
from tests.integration.edge.people import Person
from tests.integration.envoy.door import Door
from tests.integration.quota.valkey import Valkey


async def test_a_link_signs_in_once(person: Person, door: Door) -> None:
    """The first to open a link is signed in; for everybody else it is void."""
    link = await person.link()
    async with person.session.get(link, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{cookie_name(door.url)}=")
    for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"):
        assert part in cookie
    status, text, _ = await person.get("/")
    assert status == 200
    assert "Instances" in text
    person.session.cookie_jar.clear()
    status, text, _ = await person.get(link)
    assert status == 401
    assert "has been used" in text


async def test_looking_at_a_link_does_not_use_it(person: Person) -> None:
    """A HEAD, such as a preview makes, leaves the code alone."""
    link = await person.link()
    async with person.session.head(link) as answer:
        assert answer.status == 405
    async with person.session.get(link, allow_redirects=False) as answer:
        assert answer.status == 303


async def test_a_used_link_leads_on_for_who_is_signed_in(person: Person) -> None:
    """Opening one's own link again goes where it led."""
    link = await person.link(next_path="/i/a/?folder=/x")
    for _ in range(2):
        async with person.session.get(link, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["location"]) == (303, "/i/a/?folder=/x")


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil", "x"]
)
async def test_a_link_never_leads_elsewhere(person: Person, target: str) -> None:
    """A link leads to our own pages only, whoever wrote its `next`."""
    link = await person.link()
    async with person.session.get(link, params={"next": target}, allow_redirects=False) as answer:
        assert answer.headers["location"] == "/"


async def test_the_stacks_own_link(person: Person, valkey: Valkey, door: Door) -> None:
    """A code put into Redis by `scripts/up` signs its claims in."""
    value = {"sub": "admin", "name": "Administrator", "roles": ["admin"], "namespaces": ["*"]}
    with redis.Redis.from_url(valkey.url) as client:
        client.set("signin:abc", json.dumps(value), ex=60)
    async with person.session.get("/auth/login?code=abc", allow_redirects=False) as answer:
        token = answer.cookies[cookie_name(door.url)].value
    claims = jwt.decode(token, options={"verify_signature": False})
    assert {name: claims[name] for name in value} == value
    async with aiohttp.ClientSession(door.url) as program:
        headers = {"authorization": f"Bearer {token}"}
        async with program.get("/api/instances", headers=headers) as answer:
            assert answer.status == 200


async def test_links_are_for_bearers_of_a_users_token(
    person: Person, http: aiohttp.ClientSession, door: Door
) -> None:
    """Neither a cookie nor a service's token nor nothing makes a link."""
    await person.sign_in()
    assert (await person.press("/auth/links")).status == 401
    for headers in ({}, {"authorization": f"Bearer {door.service_token()}"}):
        async with http.post("/auth/links", headers=headers) as answer:
            assert answer.status == 401
            body = await answer.json()
            assert body["error"]["service"] == "edge-service"
            assert body["error"]["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"\xff\xfe{"),
        ("application/json", b"[" * 50_000),
        ("application/json", b'{"next": 1}'),
    ],
)
async def test_a_body_that_is_none_is_the_callers_fault(
    person: Person, door: Door, kind: str, body: bytes
) -> None:
    """Bytes that are no text, nesting without end, another shape: 400, never a 500."""
    headers = {**door.bearer(), "content-type": kind}
    async with person.session.post("/auth/links", data=body, headers=headers) as answer:
        assert answer.status == 400


async def test_the_charset_of_json_does_not_matter(person: Person, door: Door) -> None:
    """JSON is Unicode whatever the header says (RFC 8259, section 11)."""
    headers = {**door.bearer(), "content-type": "application/json; charset=no"}
    async with person.session.post(
        "/auth/links", data=b'{"next": "/i/a/"}', headers=headers
    ) as answer:
        assert answer.status == 201
        assert "next=/i/a/" in (await answer.json())["url"]


async def test_a_session_does_not_outlive_its_token(person: Person, door: Door) -> None:
    """Trading a short token for a session gives no more time than it had."""
    headers = door.bearer(lifetime=60)
    async with person.session.post("/auth/links", headers=headers) as answer:
        url = (await answer.json())["url"].removeprefix(door.url)
    async with person.session.get(url, allow_redirects=False) as answer:
        assert int(answer.cookies[cookie_name(door.url)]["max-age"]) <= 60


async def test_sign_out(person: Person) -> None:
    """Signing out takes the cookie; another page cannot do it for the user."""
    await person.sign_in()
    elsewhere = await person.press("/auth/logout", headers={"origin": "http://localhost:1"})
    assert elsewhere.status == 403
    assert (await person.press("/auth/logout")).status == 303
    _, text, _ = await person.get("/")
    assert "Sign in" in text


async def test_pages_are_hardened(person: Person) -> None:
    """Pages allow no script, no frame, no guessing of types, and are not kept."""
    for path in ("/", "/auth/login?code=x", "/i/a/"):
        _, _, answer = await person.get(path)
        assert "script" not in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
