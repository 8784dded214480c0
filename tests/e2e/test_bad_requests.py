"""Requests that are wrong as HTTP, as JSON, as gRPC: refused at the door, in the same form."""

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import grpc.aio
import pytest
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

from tests.e2e import envelope, scenes
from tests.e2e.people import People
from tests.e2e.ways import INSTANCES, Grpc, Http, RefusedError, Rest, refusal

pytestmark = pytest.mark.stack

_MIB = 1024 * 1024
CREATE = "/api/instances"


@dataclasses.dataclass(frozen=True)
class Case:
    """A request by HTTP that no contract allows."""

    name: str
    verb: str
    path: str
    status: int
    code: str
    told: str = ""
    data: bytes | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


CASES = [
    *(
        Case(f"body {name}", "POST", CREATE, 400, "INVALID_JSON", data=data)
        for name, data in {
            "cut off": b'{"id": "blue"',
            "single quotes": b"{'id': 'blue'}",
            "trailing comma": b'{"id": "blue",}',
            "text": b"hello",
            "two values": b"{} {}",
            "form": b"id=blue",
            "nested": b"[" * 100_000,
            "NaN": b'{"ports": {"web_port": NaN}}',
        }.items()
    ),
    Case("unknown field", "POST", CREATE, 400, "INVALID_ARGUMENT", "colour", _json({"colour": 1})),
    Case(
        "unknown inner field",
        "POST",
        CREATE,
        400,
        "INVALID_ARGUMENT",
        "resources.cpus",
        _json({"resources": {"cpus": "1"}}),
    ),
    *(
        Case(f"type of {name}", "POST", CREATE, 400, "INVALID_ARGUMENT", told, _json(body))
        for name, told, body in (
            ("id", "id", {"id": {"a": 1}}),
            ("web port", "web_port", {"ports": {"web_port": "eighty"}}),
            ("a float port", "web_port", {"ports": {"web_port": 80.5}}),
            ("a huge port", "web_port", {"ports": {"web_port": 2**40}}),
            ("resources", "resources", {"resources": "many"}),
            ("labels", "labels", {"labels": ["a"]}),
            ("a label", "labels", {"labels": {"a": {"b": 1}}}),
            ("desired state", "desired_state", {"desired_state": "DANCING"}),
            ("a duration", "idle_timeout", {"idle_timeout": "long"}),
            ("the body, a list", "", [1, 2]),
            ("the body, a number", "", 7),
        )
    ),
    Case("a body that is not UTF-8", "POST", CREATE, 400, "", data=b'{"id": "\xff\xfe"}'),
    Case("a body in UTF-16", "POST", CREATE, 400, "", data='{"id": "a"}'.encode("utf-16")),
    Case("half a character", "POST", CREATE, 400, "", data=b'{"display_name": "\\ud800"}'),
    Case(
        "unknown parameter", "GET", "/api/instances?colour=red", 400, "INVALID_ARGUMENT", "colour"
    ),
    Case(
        "parameter's type",
        "GET",
        "/api/instances?page_size=many",
        400,
        "INVALID_ARGUMENT",
        "page_size",
    ),
    Case(
        "huge parameter",
        "GET",
        f"/api/instances?page_size={10**20}",
        400,
        "INVALID_ARGUMENT",
        "page_size",
    ),
    Case("parameter's bytes", "GET", "/api/instances?filter=%ff%fe", 400, "INVALID_MESSAGE"),
    Case(
        "boolean parameter",
        "POST",
        f"{CREATE}?validate_only=perhaps",
        400,
        "INVALID_ARGUMENT",
        "validate_only",
        b"{}",
    ),
    Case("unknown route", "GET", "/api/nothing", 404, "ROUTE_NOT_FOUND"),
    Case("no id", "DELETE", "/api/instances/", 405, "METHOD_NOT_ALLOWED", "GET, POST"),
    Case("no id to start", "PUT", "/api/instances//start", 400, "INVALID_ARGUMENT", "id"),
    Case(
        "unknown field behind a slash",
        "POST",
        f"{CREATE}/",
        400,
        "INVALID_ARGUMENT",
        "colour",
        _json({"colour": 1}),
    ),
    Case("no route at all", "GET", "/nowhere", 404, "ROUTE_NOT_FOUND"),
    Case("internal service", "POST", "/api/workloads", 404, "ROUTE_NOT_FOUND", data=b"{}"),
    Case("wrong method", "PUT", CREATE, 405, "METHOD_NOT_ALLOWED", "POST", b"{}"),
    Case("wrong verb of an instance", "PUT", "/api/instances/a", 405, "METHOD_NOT_ALLOWED"),
    Case(
        "oversize body",
        "POST",
        CREATE,
        413,
        "REQUEST_TOO_LARGE",
        "4 MiB",
        _json({"display_name": "x" * 5 * _MIB}),
    ),
    Case(
        "oversize header", "GET", CREATE, 431, "HEADERS_TOO_LARGE", headers={"x-long": "x" * 70_000}
    ),
    Case(
        "many headers",
        "GET",
        CREATE,
        431,
        "HEADERS_TOO_LARGE",
        headers={f"x-{number}": "" for number in range(200)},
    ),
    *(
        Case(f"traversal {path}", "GET", path, 404, "ROUTE_NOT_FOUND")
        for path in (
            "/i/..%2f..%2fetc%2fpasswd",
            "/i/../../etc/passwd",
            "/i//etc/passwd",
            "/i/A/",
        )
    ),
    *(
        Case(f"id {path}", "GET", f"/api/instances/{path}", 400, "INVALID_ARGUMENT", "id")
        for path in ("..%2f..%2fetc", "a%20b", "A", "n" * 300)
    ),
    Case("an id that is NUL", "GET", "/api/instances/%00", 400, "BAD_REQUEST"),
    Case("an id that is not UTF-8", "GET", "/api/instances/%ff", 400, "INVALID_MESSAGE"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_by_http(http: Http, people: People, case: Case) -> None:
    """Status, code and envelope are exact, and what is wrong is named."""
    answer = await http.ask(
        case.verb, case.path, token=people.admin, data=case.data, headers=case.headers
    )
    detail = answer.error()
    assert answer.status == case.status, detail
    assert detail.code == case.code or not case.code, detail
    assert case.told in envelope.named_fields(detail), detail


@pytest.mark.parametrize("path", ["/i/%2e%2e/", "/i/..;/", "/i/a/../../"])
async def test_dots_lead_to_the_front_page(http: Http, people: People, path: str) -> None:
    """Dots are resolved before anything is matched: what is left is a path like any other."""
    assert (await http.ask("GET", path)).status == (await http.ask("GET", "/")).status
    with_token = await http.ask("GET", path, token=people.admin)
    front = await http.ask("GET", "/", token=people.admin)
    assert (with_token.status, with_token.headers["content-type"]) == (
        front.status,
        front.headers["content-type"],
    )


async def test_what_is_allowed_is_said(http: Http, people: People) -> None:
    """A refused method comes with the header Allow (RFC 9110, 15.5.6)."""
    answer = await http.ask("DELETE", CREATE, token=people.admin)
    assert set(answer.headers["allow"].split(", ")) == {"GET", "POST"}


async def test_an_upstream_is_not_for_clients_to_name(
    http: Http, people: People, namespace: str
) -> None:
    """A client's x-envoy-original-dst-host and its like lead nowhere."""
    made = await scenes.create(Rest(http), people.user("ann"), namespace=namespace)
    port = http.url.rsplit(":", 1)[1]
    for header in ("x-envoy-original-dst-host", "x-envoy-original-path"):
        for token in (people.user("ann"), people.user("bob"), ""):
            answer = await http.ask(
                "GET", made.url, token=token, headers={header: f"127.0.0.1:{port}"}
            )
            # Stopped: with the header honoured it would be another answer than a refusal.
            assert answer.status in (401, 403, 404, 409, 400, 503), answer
            answer.error()


async def test_a_clients_request_id_is_not_taken(http: Http, people: People) -> None:
    """Ids of requests are the door's: a client can neither choose nor forge them in logs."""
    answer = await http.ask(
        "GET", "/api/nothing", token=people.admin, headers={"x-request-id": "mine\u00e4"}
    )
    assert answer.error().request_id != "mine"


async def test_a_trace_is_kept(http: Http, people: People) -> None:
    """The trace id of a W3C traceparent comes back, so that a caller finds it in the logs."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    for path in ("/api/nothing", "/api/instances/No%20Name"):
        answer = await http.ask(
            "GET",
            path,
            token=people.admin,
            headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"},
        )
        answer.error()
        assert answer.json()["trace_id"] == trace


async def _refused(channel: grpc.aio.Channel, method: str, data: bytes, token: str) -> RefusedError:
    call = channel.unary_unary(method)(
        data, metadata=[("authorization", f"Bearer {token}")], timeout=20
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal(caught.value)


async def test_unknown_grpc_methods(channel: grpc.aio.Channel, people: People) -> None:
    """No method, no service, or one that is internal: UNIMPLEMENTED."""
    for method in (
        f"/{INSTANCES}/Dance",
        "/codestudio.nothing.v1.Nothing/Get",
        "/codestudio.resource.v1.WorkloadService/ListWorkloads",
    ):
        found = await _refused(channel, method, b"", people.admin)
        assert found.status is grpc.StatusCode.UNIMPLEMENTED, found


async def test_bytes_that_are_no_message(channel: grpc.aio.Channel, people: People) -> None:
    """Bytes that are not protobuf are the caller's fault, not a fault of ours."""
    for data in (b"\xff\xff\xff", b"\x0a\x05abc", b"\x0a\x04\x0a\x02\xff\xfe"):
        found = await _refused(channel, f"/{INSTANCES}/CreateInstance", data, people.admin)
        assert found.status is grpc.StatusCode.INVALID_ARGUMENT, found


async def test_a_message_over_the_limit(channel: grpc.aio.Channel, people: People) -> None:
    """5 MiB by gRPC: RESOURCE_EXHAUSTED."""
    request = instance_service_pb2.CreateInstanceRequest(
        config=instance_pb2.InstanceConfig(display_name="x" * 5 * _MIB)
    )
    with pytest.raises(RefusedError) as refused:
        await Grpc(channel).call(INSTANCES, "CreateInstance", request, people.admin)
    assert refused.value.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.value.detail.code == "REQUEST_TOO_LARGE"


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /api/instances HTTP/1.1\r\nhost: a\r\ncontent-length: -5\r\n\r\n",
    ],
)
async def test_what_is_not_http(http: Http, sent: bytes) -> None:
    """Even a broken request line is answered by the envelope."""
    _, address = http.url.split("//")
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    first, *lines = head.decode().splitlines()
    assert first == "HTTP/1.1 400 Bad Request"
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert envelope.read(json.loads(body), headers).code == "BAD_REQUEST"
