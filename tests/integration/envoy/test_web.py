"""Browsers' programs: gRPC-Web and CORS."""

import base64
import struct

import aiohttp
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from google.rpc import status_pb2

from tests.integration.envoy.door import Api, Door

PATH = "/codestudio.instance.v1.InstanceService/GetInstance"
ORIGIN = "https://app.example"


def frame(message: bytes) -> bytes:
    """Put a message into a gRPC-Web frame."""
    return b"\0" + struct.pack(">I", len(message)) + message


def frames(body: bytes) -> list[tuple[int, bytes]]:
    """Take a gRPC-Web body apart into (flags, content)."""
    found = []
    while body:
        length = struct.unpack(">I", body[1:5])[0]
        found.append((body[0], body[5 : 5 + length]))
        body = body[5 + length :]
    return found


async def test_grpc_web(door: Door, api: Api, http: aiohttp.ClientSession) -> None:
    """A browser calls a method by gRPC-Web and gets message and trailers in the body."""
    api.servicer.add("a")
    headers = {
        **door.bearer(),
        "content-type": "application/grpc-web+proto",
        "x-grpc-web": "1",
        "origin": ORIGIN,
    }
    body = frame(instance_service_pb2.GetInstanceRequest(id="a").SerializeToString())
    async with http.post(PATH, data=body, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in answer.headers
        (_, message), (flags, trailers) = frames(await answer.read())
    assert instance_pb2.Instance.FromString(message).id == "a"
    assert flags == 0x80
    assert b"grpc-status:0" in trailers


async def test_grpc_web_error_of_a_service(
    door: Door, api: Api, http: aiohttp.ClientSession
) -> None:
    """A service's error arrives with its detail."""
    assert api.servicer.records == {}
    headers = {**door.bearer(), "content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    body = frame(instance_service_pb2.GetInstanceRequest(id="a").SerializeToString())
    async with http.post(PATH, data=body, headers=headers) as answer:
        status, packed = answer.headers.get("grpc-status"), ""
        if status is None:
            trailers = frames(await answer.read())[-1][1].decode()
            fields = dict(line.split(":", 1) for line in trailers.splitlines() if line)
            status, packed = fields["grpc-status"], fields["grpc-status-details-bin"]
        else:
            packed = answer.headers["grpc-status-details-bin"]
    assert status.strip() == "5"
    assert detail(packed).code == "INSTANCE_NOT_FOUND"


async def test_grpc_web_error_of_the_gateway(door: Door, http: aiohttp.ClientSession) -> None:
    """The gateway's own error is a gRPC status too, readable for a page of another origin."""
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "origin": ORIGIN}
    async with http.post(PATH, data=frame(b""), headers=headers) as answer:
        assert answer.headers["grpc-status"] == "16"
        assert detail(answer.headers["grpc-status-details-bin"]).code == "TOKEN_MISSING"
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "grpc-status" in answer.headers["access-control-expose-headers"]
    assert door.url


def detail(packed: str) -> error_pb2.ErrorDetail:
    """Unpack our detail from the header grpc-status-details-bin."""
    packed = packed.strip()
    status = status_pb2.Status.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
    found = error_pb2.ErrorDetail()
    assert status.details[0].Unpack(found)
    return found


async def test_preflight(http: aiohttp.ClientSession) -> None:
    """Any page may ask whether it may call the API with a token; never with cookies."""
    headers = {
        "origin": ORIGIN,
        "access-control-request-method": "PUT",
        "access-control-request-headers": "authorization",
    }
    for path in (PATH, "/api/instances/a/start"):
        async with http.options(path, headers=headers) as answer:
            assert answer.status == 200
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert "PUT" in answer.headers["access-control-allow-methods"]
            assert "authorization" in answer.headers["access-control-allow-headers"]
            assert "access-control-allow-credentials" not in answer.headers


async def test_pages_are_for_their_own_origin(http: aiohttp.ClientSession) -> None:
    """Pages, sign-in and editors are never shared with another origin."""
    for path in ("/", "/auth/login", "/i/a/", "/i/a", "/nothing"):
        async with http.get(path, headers={"origin": ORIGIN}, allow_redirects=False) as answer:
            assert "access-control-allow-origin" not in answer.headers
