"""What the door gives besides the contracts: editors, reflection, browsers' gRPC, CORS."""

import asyncio
import json
import struct
import sys
from pathlib import Path

import aiohttp
import grpc.aio
import pytest
from codestudio.quota.v1 import quota_service_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.devstack.stack import Stack
from tests.e2e import scenes
from tests.e2e.people import People
from tests.e2e.ways import Http, Rest

pytestmark = pytest.mark.stack


@pytest.mark.editor
async def test_the_editor_is_served_to_its_owner(
    http: Http, stack: Stack, people: People, namespace: str
) -> None:
    """Page and WebSocket of a running instance answer its owner's bearer, and nobody else."""
    ann, rest = people.user("ann"), Rest(http)
    made = await scenes.create(rest, ann, namespace=namespace, desired_state=1)
    await scenes.reached(rest, ann, made.id, 3)
    page = await http.ask("GET", f"/i/{made.id}/", token=ann, headers={"accept": "text/html"})
    assert page.status == 302, page  # VS Code sends to its folder
    folder = page.headers["location"].removeprefix("./")
    page = await http.ask("GET", f"/i/{made.id}/{folder}", token=ann)
    assert page.status == 200, page
    assert b"vscode" in page.body or b"workbench" in page.body

    # A client's own word on where the editor is leads nowhere: Envoy's admin port answers 200 too.
    health = f"/i/{made.id}/healthz"
    admin_port = stack.plan.ports["envoy-admin"]
    for headers in ({}, {"x-envoy-original-dst-host": f"127.0.0.1:{admin_port}"}):
        answer = await http.ask("GET", health, token=ann, headers=headers)
        assert (answer.status, "lastHeartbeat" in answer.json()) == (200, True), answer

    bare = await http.ask("GET", f"/i/{made.id}", token=ann)
    assert (bare.status, bare.headers["location"].split("/", 3)[-1]) == (307, f"i/{made.id}/")

    for token, status in (("", 401), (people.user("bob"), 403), (people.forged(), 401)):
        refused = await http.ask("GET", f"/i/{made.id}/", token=token)
        assert refused.status == status, refused
        refused.error()

    address = f"{http.url}/i/{made.id}/stable-none?reconnectionToken=t&skipWebSocketFrames=false"
    # VS Code waits for its own protocol to close; nothing here speaks it.
    async with http.session.ws_connect(
        address,
        headers={"authorization": f"Bearer {ann}", "origin": http.url},
        timeout=aiohttp.ClientWSTimeout(ws_close=0.1),
    ) as socket:
        assert not socket.closed
    with pytest.raises(aiohttp.WSServerHandshakeError) as shut:
        async with http.session.ws_connect(address, headers={"origin": http.url}):
            pass
    assert shut.value.status == 401


async def test_an_editor_that_does_not_run_says_so(
    http: Http, people: People, namespace: str
) -> None:
    """A stopped instance's address answers with the envelope, or a page for people."""
    ann = people.user("ann")
    made = await scenes.create(Rest(http), ann, namespace=namespace)
    answer = await http.ask("GET", f"/i/{made.id}/", token=ann)
    assert 400 <= answer.status < 600
    assert answer.status != 500
    assert answer.error().instance_id == made.id
    page = await http.ask("GET", f"/i/{made.id}/", token=ann, headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")


async def test_reflection_without_a_token(channel: grpc.aio.Channel) -> None:
    """Tools find the contracts, all that is served, before they have a token."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        *(
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)
            for name in (
                "codestudio.instance.v1.InstanceService",
                "codestudio.resource.v1.ResourceService",
                "codestudio.quota.v1.QuotaService",
            )
        ),
    ]
    answers = [answer async for answer in stub.ServerReflectionInfo(iter(asked), timeout=10)]
    names = {service.name for service in answers[0].list_services_response.service}
    assert "codestudio.instance.v1.InstanceService" in names
    for answer in answers[1:]:
        assert answer.file_descriptor_response.file_descriptor_proto, answer.error_response


async def test_health_without_a_token(channel: grpc.aio.Channel) -> None:
    """A prober may ask the door for gRPC health."""
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_buf_curl(stack: Stack, people: People, namespace: str) -> None:
    """`buf curl` needs an address and a token, nothing else: contracts come by reflection."""

    async def curl(method: str, body: object) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("buf")),
            "curl",
            "--protocol",
            "grpc",
            "--http2-prior-knowledge",
            "-H",
            f"authorization: Bearer {people.admin}",
            "-d",
            json.dumps(body),
            f"http://127.0.0.1:{stack.plan.ports['gateway']}/{method}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    listing = "codestudio.instance.v1.InstanceService/ListInstances"
    code, out, err = await curl(listing, {"filter": f"namespace = {namespace}"})
    assert (code, err, json.loads(out)) == (0, "", {})
    code, out, err = await curl(
        "codestudio.quota.v1.QuotaService/GetQuota", {"namespace": namespace}
    )
    assert (code, err) == (0, "")
    assert json.loads(out)["namespace"] == namespace
    code, _, err = await curl(listing, {"pageSize": 100_000})
    assert code == 3 << 3, err
    assert "page_size" in err


async def test_grpc_web(http: Http, people: People, namespace: str) -> None:
    """A browser's gRPC works over HTTP/1.1, errors and their details included."""

    async def call(name: str) -> tuple[dict[int, bytes], dict[str, str]]:
        message = quota_service_pb2.GetQuotaRequest(namespace=name).SerializeToString()
        answer = await http.ask(
            "POST",
            "/codestudio.quota.v1.QuotaService/GetQuota",
            token=people.admin,
            data=b"\0" + struct.pack(">I", len(message)) + message,
            headers={
                "content-type": "application/grpc-web+proto",
                "x-grpc-web": "1",
                "origin": "https://app.example",
            },
        )
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/grpc-web+proto"
        assert answer.headers["access-control-allow-origin"]
        return _frames(answer.body), dict(answer.headers)

    frames, _ = await call(namespace)
    assert quota_service_pb2.Quota.FromString(frames[0]).namespace == namespace
    assert b"grpc-status:0" in frames[0x80].replace(b" ", b"")
    frames, headers = await call("UPPER CASE")
    trailers = frames.get(0x80, b"").replace(b" ", b"")
    assert headers.get("grpc-status") == "3" or b"grpc-status:3" in trailers


async def test_cors_preflight(http: Http) -> None:
    """Any page may ask, without a token, whether it may call; cookies are never invited."""
    answer = await http.ask(
        "OPTIONS",
        "/api/instances",
        headers={
            "origin": "https://app.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        },
    )
    assert answer.status in (200, 204)
    assert answer.headers["access-control-allow-origin"] in ("*", "https://app.example")
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


def _frames(body: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(body):
        flag, length = struct.unpack_from(">BI", body, at)
        found[flag] = body[at + 5 : at + 5 + length]
        at += 5 + length
    return found
