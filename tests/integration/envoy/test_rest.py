"""REST as callers see it: names, values, streams, ids."""

import asyncio
import json
import re

import aiohttp
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

from tests.integration.envoy.door import Api, Door


async def test_json_has_the_contracts_names(
    door: Door, api: Api, http: aiohttp.ClientSession
) -> None:
    """Fields are snake_case, enums are names, and zero values are there."""
    api.servicer.add("a", display_name="A")
    async with http.get("/api/instances/a", headers=door.bearer()) as answer:
        assert answer.content_type == "application/json"
        body = await answer.json()
    assert body["display_name"] == "A"
    assert body["state"] == "INSTANCE_STATE_RUNNING"
    assert body["reconciling"] is False
    assert body["restarts"] == 0
    assert body["conditions"] == []


async def test_a_stream_is_one_object_a_line(
    door: Door, api: Api, http: aiohttp.ClientSession
) -> None:
    """A server stream is newline-delimited JSON, each message sent as it comes."""
    api.servicer.events = [
        instance_service_pb2.WatchInstancesResponse(
            event=instance_service_pb2.InstanceEvent(instance=instance_pb2.Instance(id=name))
        )
        for name in ("a", "b")
    ]
    async with http.get("/api/instances:watch", headers=door.bearer()) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/x-ndjson"
        lines = [json.loads(line) async for line in answer.content]
    assert [line["event"]["instance"]["id"] for line in lines] == ["a", "b"]


async def test_every_call_has_a_deadline(door: Door, api: Api, http: aiohttp.ClientSession) -> None:
    """REST has no deadline of its own; the service is given one a little before the gateway's."""
    api.servicer.add("a")
    async with http.get("/api/instances/a", headers=door.bearer()):
        assert api.servicer.remaining is not None
        assert 25 < api.servicer.remaining <= 29


async def test_request_id_and_trace(door: Door, api: Api, http: aiohttp.ClientSession) -> None:
    """A request has an id of the gateway's and a trace, the caller's own if it brings one."""
    api.servicer.add("a")
    headers = {**door.bearer(), "x-request-id": "mine"}
    async with http.get("/api/instances/a", headers=headers) as answer:
        identifier = answer.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f-]{36}", identifier)
    assert api.servicer.metadata["x-request-id"] == identifier
    assert identifier.replace("-", "") in api.servicer.metadata["traceparent"]
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with http.get("/api/instances/a", headers={**door.bearer(), "traceparent": trace}):
        assert api.servicer.metadata["traceparent"] == trace


async def test_access_log(door: Door, api: Api, http: aiohttp.ClientSession) -> None:
    """Each request is one line of JSON with its ids, and without what is behind the "?"."""
    api.servicer.add("a")
    async with http.get("/api/instances?filter=secret", headers=door.bearer()) as answer:
        identifier = answer.headers["x-request-id"]
    async with asyncio.timeout(20):
        while identifier not in (text := door.log.read_text()):
            await asyncio.sleep(0.1)
    line = json.loads(next(line for line in text.splitlines() if identifier in line))
    assert line["path"] == "/api/instances"
    assert line["rpc"] == "/codestudio.instance.v1.InstanceService/ListInstances"
    assert (line["status"], line["service"]) == (200, "instance-service")
    assert line["traceparent"].startswith("00-")
    assert "secret" not in json.dumps(line)
    assert "Bearer" not in text
