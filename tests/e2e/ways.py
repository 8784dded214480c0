"""The two ways in, REST and gRPC, as one: the same request, the same answer, the same error.

A test of a contract is written once, with the contract's messages, and run by both. How a
message becomes a REST request is read from the contract (google.api.http), as a reader of the
API reference would do it.
"""

import dataclasses
import io
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import grpc.aio
import yarl
from codestudio.collaboration.v1 import collaboration_service_pb2_grpc
from codestudio.common.v1 import error_pb2
from codestudio.config.v1 import config_service_pb2_grpc
from codestudio.instance.v1 import instance_service_pb2_grpc
from codestudio.path.v1 import path_service_pb2_grpc
from codestudio.quota.v1 import quota_service_pb2_grpc
from codestudio.resource.v1 import resource_service_pb2_grpc, workload_service_pb2_grpc
from google.api import annotations_pb2
from google.protobuf import descriptor, descriptor_pool, json_format, message_factory
from google.protobuf.message import Message

from services.chassis import status as statuses
from tests.e2e import envelope

HTTP_OF: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""The HTTP status of a service's error (google.rpc.Code), but for the gateway's own errors."""

COLLABORATION = "codestudio.collaboration.v1.CollaborationService"
CONFIG = "codestudio.config.v1.ConfigService"
INSTANCES = "codestudio.instance.v1.InstanceService"
PATHS = "codestudio.path.v1.PathService"
QUOTA = "codestudio.quota.v1.QuotaService"
RESOURCES = "codestudio.resource.v1.ResourceService"
WORKLOADS = "codestudio.resource.v1.WorkloadService"

_STUBS = {
    COLLABORATION: collaboration_service_pb2_grpc.CollaborationServiceStub,
    CONFIG: config_service_pb2_grpc.ConfigServiceStub,
    INSTANCES: instance_service_pb2_grpc.InstanceServiceStub,
    PATHS: path_service_pb2_grpc.PathServiceStub,
    QUOTA: quota_service_pb2_grpc.QuotaServiceStub,
    RESOURCES: resource_service_pb2_grpc.ResourceServiceStub,
    WORKLOADS: workload_service_pb2_grpc.WorkloadServiceStub,
}
_SECONDS = 20.0
_VARIABLE = re.compile(r"\{([a-z_.]+)(=\*\*)?\}")


class RefusedError(Exception):
    """A call was answered by an error, complete in every respect."""

    def __init__(self, status: grpc.StatusCode | int, detail: error_pb2.ErrorDetail) -> None:
        super().__init__(f"{status}: {detail.code}: {detail.message}")
        self.status = status
        """gRPC status, or HTTP status by REST."""
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the gateway answered by HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Give the body as JSON."""
        return json.loads(self.body)

    def error(self) -> error_pb2.ErrorDetail:
        """Give the error; fails unless it is the whole envelope."""
        return envelope.read(self.json(), self.headers)


class Way(Protocol):
    """One way in."""

    name: str

    async def call(self, service: str, method: str, request: Message, token: str) -> Any:
        """Call a method. Raises RefusedError."""

    def stream(self, service: str, method: str, request: Message, token: str) -> AsyncIterator[Any]:
        """Call a method that streams. Raises RefusedError."""


class Http:
    """Requests to the gateway exactly as written, down to the last percent sign."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def ask(
        self,
        verb: str,
        path: str,
        *,
        token: str = "",
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask with a body as JSON, or `data` as it is; redirects are not followed."""
        content = json.dumps(body).encode() if body is not None else data
        sent = {"authorization": f"Bearer {token}"} if token else {}
        if content is not None:
            sent["content-type"] = "application/json"
        async with self.session.request(
            verb,
            yarl.URL(self.url + path, encoded=True),
            data=None if content is None else io.BytesIO(content),
            headers={**sent, **(headers or {})},
            allow_redirects=False,
        ) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, found, await response.read())


class Rest:
    """REST, by the routes the contract declares."""

    name = "rest"

    def __init__(self, http: Http) -> None:
        self.http = http

    async def call(self, service: str, method: str, request: Message, token: str) -> Any:
        """Call a method. Raises RefusedError."""
        declared = _method(service, method)
        verb, path, body = transcode(declared, request)
        answer = await self.http.ask(verb, path, token=token, body=body)
        if answer.status != 200:
            raise RefusedError(answer.status, answer.error())
        assert answer.headers["content-type"] == "application/json"
        return _parse(declared, answer.json())

    async def stream(
        self, service: str, method: str, request: Message, token: str
    ) -> AsyncIterator[Any]:
        """Call a method that streams; each line is a message. Raises RefusedError."""
        declared = _method(service, method)
        verb, path, _ = transcode(declared, request)
        async with self.http.session.request(
            verb,
            yarl.URL(self.http.url + path, encoded=True),
            headers={"authorization": f"Bearer {token}"},
        ) as response:
            if response.status != 200:
                found = {name.lower(): value for name, value in response.headers.items()}
                raise RefusedError(
                    response.status,
                    Answer(response.status, found, await response.read()).error(),
                )
            assert response.headers["content-type"] == "application/x-ndjson"
            async for line in response.content:
                yield _parse(declared, json.loads(line))


class Grpc:
    """gRPC, by the generated stubs."""

    name = "grpc"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stubs = {name: make(channel) for name, make in _STUBS.items()}

    async def call(self, service: str, method: str, request: Message, token: str) -> Any:
        """Call a method. Raises RefusedError."""
        call = getattr(self._stubs[service], method)(
            request, metadata=_metadata(token), timeout=_SECONDS
        )
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise refusal(error) from None

    async def stream(
        self, service: str, method: str, request: Message, token: str
    ) -> AsyncIterator[Any]:
        """Call a method that streams. Raises RefusedError."""
        call = getattr(self._stubs[service], method)(request, metadata=_metadata(token))
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise refusal(error) from None
        finally:
            call.cancel()


def refusal(error: grpc.aio.AioRpcError) -> RefusedError:
    """Read a failed call; fails unless it carries the whole detail."""
    metadata = [*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())]
    detail = statuses.unpack(metadata)
    assert detail is not None, error
    envelope.check_detail(detail)
    assert {value for key, value in metadata if key == "x-request-id"} == {detail.request_id}
    assert error.details() == detail.message
    return RefusedError(error.code(), detail)


def transcode(
    method: descriptor.MethodDescriptor, request: Message
) -> tuple[str, str, dict[str, Any] | None]:
    """Give verb, path with query, and body of a request by REST (google.api.http)."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    fields = json_format.MessageToDict(request, preserving_proto_field_name=True)

    def fill(match: re.Match[str]) -> str:
        value: Any = request
        inner = fields
        *outer, last = match[1].split(".")
        for name in outer:
            value, inner = getattr(value, name), inner.get(name, {})
        inner.pop(last, None)
        return quote(getattr(value, last), safe="/" if match[2] else "")

    path = _VARIABLE.sub(fill, getattr(rule, verb))
    body = None
    if rule.body == "*":
        body, fields = fields, {}
    elif rule.body:
        body = fields.pop(rule.body, {})
    query = list(_flat(fields))
    return verb.upper(), path + (f"?{urlencode(query)}" if query else ""), body


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give fields as a query has them: those of a message by their path, lists one by one."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield from ((f"{prefix}{name}", one) for one in value)
        else:
            yield f"{prefix}{name}", str(value).lower() if isinstance(value, bool) else value


def _method(service: str, method: str) -> descriptor.MethodDescriptor:
    found = descriptor_pool.Default().FindServiceByName(service)
    declared: descriptor.MethodDescriptor = found.methods_by_name[method]
    return declared


def _parse(method: descriptor.MethodDescriptor, body: Any) -> Any:
    return json_format.ParseDict(body, message_factory.GetMessageClass(method.output_type)())


def _metadata(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")] if token else []
