"""Whatever goes wrong, a REST caller gets the one envelope with the fitting status."""

import asyncio
import io
import re
from typing import Any

import aiohttp
import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from services.chassis import errors
from services.devstack import credentials
from tests.integration.envoy.door import Api, Door

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_FIELDS = {"code", "message", "details", "timestamp", "request_id", "service", "instance_id"}


async def refused(
    http: aiohttp.ClientSession, method: str, path: str, **options: Any
) -> tuple[int, dict[str, Any]]:
    """Call and check the envelope's form; gives the status and the error."""
    async with http.request(method, path, **options) as answer:
        assert answer.content_type == "application/json", await answer.text()
        body = await answer.json()
        assert set(body) == {"success", "error", "trace_id"}
        assert body["success"] is False
        error = body["error"]
        assert set(error) - {"metadata", "violations"} == _FIELDS
        assert _TIME.fullmatch(error["timestamp"])
        assert error["request_id"] == answer.headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", body["trace_id"])
        return answer.status, error


async def test_an_address_that_is_not_there(door: Door, http: aiohttp.ClientSession) -> None:
    """Unknown addresses are 404 ROUTE_NOT_FOUND, inside the API and outside."""
    for path, headers in (("/nothing", {}), ("/api/nothing", door.bearer())):
        status, error = await refused(http, "GET", path, headers=headers)
        assert (status, error["code"], error["service"]) == (404, "ROUTE_NOT_FOUND", "gateway")


async def test_another_method(door: Door, http: aiohttp.ClientSession) -> None:
    """A known address with another method is 405 and says which it takes."""
    async with http.put("/api/instances", headers=door.bearer()) as answer:
        assert answer.status == 405
        assert answer.headers["allow"] == "GET, POST"
    status, error = await refused(http, "PUT", "/api/instances", headers=door.bearer())
    assert (status, error["code"]) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    "body",
    [
        "{bad",
        "",
        '{"id": 1',
        "{'id': 'a'}",
        '{"id": "a",}',
        '{"id": "a"} x',
        '{"id": nul}',
        '{"id": "\\u12"}',
        '{"id": "\\ud800x"}',
        "[" * 200,
    ],
)
async def test_broken_json(door: Door, api: Api, http: aiohttp.ClientSession, body: str) -> None:
    """A body that is not JSON is 400 INVALID_JSON, and nothing is called; no body is none."""
    if not body:
        async with http.post("/api/instances", headers=door.bearer()) as answer:
            assert answer.status == 200
        return
    status, error = await refused(http, "POST", "/api/instances", data=body, headers=door.bearer())
    assert (status, error["code"]) == (400, "INVALID_JSON")
    assert "line 1, column" in error["message"]
    assert api.servicer.calls == []


async def test_unknown_fields(door: Door, api: Api, http: aiohttp.ClientSession) -> None:
    """A field the contract does not have is refused by name, however deep, not dropped."""
    body = {"id": "a", "resource": {"cpu": "1"}, "resources": {"memmory": "1Gi"}}
    status, error = await refused(http, "POST", "/api/instances", json=body, headers=door.bearer())
    assert (status, error["code"]) == (400, "INVALID_ARGUMENT")
    fields = [one["field"] for one in error["violations"]]
    assert fields == ["config.resource", "config.resources.memmory"]
    assert "memory" in error["violations"][1]["description"]
    many = {"configs": [{"id": "a"}, {"idd": "b"}]}
    _, error = await refused(
        http, "POST", "/api/instances:batchCreate", json=many, headers=door.bearer()
    )
    assert [one["field"] for one in error["violations"]] == ["configs[1].idd"]
    assert api.servicer.calls == []


@pytest.mark.usefixtures("api")
async def test_what_looks_unknown_but_is_not(door: Door, http: aiohttp.ClientSession) -> None:
    """Map keys, JSON names and the forms of Google's types are no unknown fields."""
    body = {
        "id": "a",
        "labels": {"any-key": "x"},
        "displayName": "A",
        "idle_timeout": "90s",
        "resources": {"cpu": "1"},
        "environment": {"PATH": 'ü \u2028 \\ " /'},
    }
    async with http.post("/api/instances", json=body, headers=door.bearer()) as answer:
        assert answer.status == 200, await answer.text()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"resources": "big"}, "config.resources"),
        ({"ports": {"web_port": "abc"}}, "config.ports.web_port"),
        ({"desired_state": "SLEEPING"}, "config.desired_state"),
        ({"idle_timeout": "soon"}, "config.idle_timeout"),
    ],
)
async def test_values_of_a_wrong_type(
    door: Door, http: aiohttp.ClientSession, body: dict[str, Any], field: str
) -> None:
    """A value that does not fit its field is 400 INVALID_ARGUMENT naming the field."""
    status, error = await refused(http, "POST", "/api/instances", json=body, headers=door.bearer())
    assert (status, error["code"]) == (400, "INVALID_ARGUMENT")
    assert [one["field"] for one in error.get("violations", [])] == [field], error["message"]


async def test_unknown_query_parameter(door: Door, http: aiohttp.ClientSession) -> None:
    """A query parameter the call does not have is 400 and named."""
    status, error = await refused(http, "GET", "/api/instances?pagesize=3", headers=door.bearer())
    assert (status, error["code"]) == (400, "INVALID_ARGUMENT")
    assert error["violations"][0]["field"] == "pagesize"


async def test_tokens(door: Door, http: aiohttp.ClientSession) -> None:
    """Missing, expired, forged and services' tokens are 401, each with its own code."""
    forged = credentials.user_token(
        ec.generate_private_key(ec.SECP256R1()), {"sub": "admin", "roles": ["admin"]}, lifetime=600
    )
    good = door.token()
    for token, code in (
        ("", "TOKEN_MISSING"),
        (door.token(lifetime=-3600), "TOKEN_EXPIRED"),
        (forged, "TOKEN_INVALID"),
        (good[:-8] + "AAAAAAAA", "TOKEN_INVALID"),
        ("abc", "TOKEN_INVALID"),
        (door.service_token(), "TOKEN_INVALID"),
    ):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        status, error = await refused(http, "GET", "/api/instances", headers=headers)
        assert (status, error["code"]) == (401, code)


async def test_a_cookie_is_no_token_for_the_api(door: Door, http: aiohttp.ClientSession) -> None:
    """The API takes no cookie, so no foreign page can call it in a user's name."""
    headers = {"cookie": f"codestudio_session={door.token()}"}
    status, error = await refused(http, "GET", "/api/instances", headers=headers)
    assert (status, error["code"]) == (401, "TOKEN_MISSING")


async def test_oversize_body(door: Door, http: aiohttp.ClientSession) -> None:
    """More than 4 MiB is 413, with or without a length said before."""
    large = b'{"id": "' + b"a" * (5 * 1024**2) + b'"}'

    async def chunks() -> Any:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    for data in (io.BytesIO(large), chunks()):
        status, error = await refused(
            http, "POST", "/api/instances", data=data, headers=door.bearer()
        )
        assert (status, error["code"]) == (413, "REQUEST_TOO_LARGE")


async def test_service_down(door: Door, http: aiohttp.ClientSession) -> None:
    """A service that is down is 503, names the service and says when to come back."""
    async with http.get("/api/quota/default", headers=door.bearer()) as answer:
        assert answer.headers["retry-after"] == "1"
    status, error = await refused(http, "GET", "/api/quota/default", headers=door.bearer())
    assert (status, error["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert error["service"] == "quota-service"


async def test_service_error(door: Door, api: Api, http: aiohttp.ClientSession) -> None:
    """A service's own error arrives whole: code, service, instance, metadata, violations."""
    status, error = await refused(http, "GET", "/api/instances/nope", headers=door.bearer())
    assert (status, error["code"]) == (404, "INSTANCE_NOT_FOUND")
    assert (error["service"], error["instance_id"]) == ("instance-service", "nope")

    async def exhausted(_request: Any, _context: Any) -> Any:
        raise errors.ResourceExhausted(
            "QUOTA_EXCEEDED",
            'Not enough "cpu" is 100 %\n',
            details="2 of 2 used",
            metadata={"limit": "2", "a": 'x"y'},
            violations=[errors.Violation("config.resources.cpu", "too much")],
        )

    api.servicer.on_create = exhausted
    status, error = await refused(http, "POST", "/api/instances", json={}, headers=door.bearer())
    assert (status, error["code"], error["message"]) == (
        429,
        "QUOTA_EXCEEDED",
        'Not enough "cpu" is 100 %\n',
    )
    assert error["details"] == "2 of 2 used"
    assert error["metadata"] == {"limit": "2", "a": 'x"y'}
    assert error["violations"] == [{"field": "config.resources.cpu", "description": "too much"}]


async def test_a_fault_shows_nothing_of_itself(
    door: Door, api: Api, http: aiohttp.ClientSession
) -> None:
    """What nobody foresaw is 500 without a trace of the cause."""

    async def broken(_request: Any, _context: Any) -> Any:
        raise RuntimeError("the password is secret")

    api.servicer.on_get = broken
    status, error = await refused(http, "GET", "/api/instances/a", headers=door.bearer())
    assert (status, error["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in str(error)


async def test_an_error_without_our_detail(
    door: Door, api: Api, http: aiohttp.ClientSession
) -> None:
    """An error of gRPC itself, which has no detail of ours, gets the envelope too."""

    async def abort(_request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "message too large")

    api.servicer.on_get = abort
    status, error = await refused(http, "GET", "/api/instances/a", headers=door.bearer())
    assert (status, error["code"]) == (429, "RESOURCE_EXHAUSTED")
    assert (error["message"], error["service"]) == ("message too large", "instance-service")


async def test_timeout(door: Door, api: Api, http: aiohttp.ClientSession) -> None:
    """A service that does not answer in time is 504; routes change without a restart."""

    async def silent(_request: Any, _context: Any) -> Any:
        await asyncio.sleep(60)

    def hurry(route: dict[str, Any]) -> None:
        if route.get("route", {}).get("timeout") == "30s":
            route["route"].update(timeout="0.4s", retry_policy={})
            route.pop("request_headers_to_add", None)

    api.servicer.on_get = silent
    door.change_routes("public", hurry)
    try:
        # Until Envoy has read its routes, calls wait as long as they did before.
        while "0.400s" not in door.admin("config_dump?resource=dynamic_route_configs"):
            await asyncio.sleep(0.05)
        status, error = await refused(http, "GET", "/api/instances/a", headers=door.bearer())
    finally:
        door.write()
    assert (status, error["code"]) == (504, "DEADLINE_EXCEEDED")
    assert error["service"] == "instance-service"


@pytest.mark.usefixtures("api")
async def test_a_stream_refused(door: Door, http: aiohttp.ClientSession) -> None:
    """A stream that its caller may not open has a status and the envelope."""
    headers = door.bearer(roles=[])
    status, error = await refused(http, "GET", "/api/instances:watch", headers=headers)
    assert (status, error["code"]) == (403, "PERMISSION_DENIED")


@pytest.mark.usefixtures("api")
async def test_envoys_own_headers_do_nothing(door: Door, http: aiohttp.ClientSession) -> None:
    """What steers Envoy comes from its configuration, not from a client."""
    headers = {
        **door.bearer(),
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-original-path": "/nothing",
        "x-envoy-upstream-alt-stat-name": "x",
        "x-envoy-max-retries": "1000",
    }
    async with http.get("/api/instances", headers=headers) as answer:
        assert answer.status == 200
    headers["x-envoy-force-trace"] = "1"
    status, error = await refused(http, "GET", "/api/instances/nope", headers=headers)
    assert (status, error["code"]) == (404, "INSTANCE_NOT_FOUND")


async def test_a_browser_gets_a_page(http: aiohttp.ClientSession) -> None:
    """A person who follows a dead link reads a sentence, not JSON."""
    async with http.get("/nothing", headers={"accept": "text/html,*/*"}) as answer:
        assert answer.status == 404
        assert answer.content_type == "text/html"
        assert "nothing at this address" in await answer.text()
