"""A client of Collaborate that sends valid frames as fast as it can, as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pycrdt
from codestudio.collaboration.v1 import collaborate_pb2, document_pb2

from services.collaboration import ywire

CLIENT = 7
"""Awareness client of its cursor."""

_METHOD = "/codestudio.collaboration.v1.CollaborationService/Collaborate"

Request = collaborate_pb2.CollaborateRequest
Response = collaborate_pb2.CollaborateResponse


async def flood(
    kind: str, address: str, token: str, project: str, path: str, seconds: float
) -> dict[str, Any]:
    """Join a document and send frames of one kind for a while; tells what was answered."""
    name = document_pb2.DocumentName(project=project, path=path)
    join = Request(channel=1, join=collaborate_pb2.Join(name=name))
    frames = {"updates": updates, "awareness": awareness, "joins": lambda: itertools.repeat(join)}
    told: dict[str, Any] = {"joined": 0, "acked": 0, "error": ""}
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(_METHOD)(metadata=(("authorization", f"Bearer {token}"),))
        await call.write(join.SerializeToString())
        await call.read()
        began = time.monotonic()
        reading = asyncio.create_task(read(call, told))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for frame in frames[kind]():
                    await call.write(frame.SerializeToString())
        told["seconds"] = time.monotonic() - began
        reading.cancel()
        call.cancel()
    return told


def updates() -> Iterator[Request]:
    """Give edits, each a character at the end, numbered."""
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    made: list[bytes] = []
    doc.observe(lambda event: made.append(event.update))
    text = doc.get("content", type=pycrdt.Text)
    for number in itertools.count(1):
        text += "x"
        yield Request(channel=1, update=collaborate_pb2.Update(update=made.pop(), sequence=number))


def awareness() -> Iterator[Request]:
    """Give a cursor that moves: its clock counts how often."""
    for clock in itertools.count(1):
        state = ywire.write_bytes(json.dumps({"cursor": clock}).encode())
        said = b"".join(map(ywire.write_uint, (1, CLIENT, clock))) + state
        yield Request(channel=1, awareness=collaborate_pb2.Awareness(update=said))


async def read(call: Any, told: dict[str, Any]) -> None:
    """Take note of what it is answered."""
    while (raw := await call.read()) is not grpc.aio.EOF:
        answer = Response.FromString(raw)
        match answer.WhichOneof("message"):
            case "joined":
                told["joined"] += 1
            case "ack":
                told["acked"] = answer.ack.sequence
            case "error":
                told["error"] = answer.error.code


if __name__ == "__main__":
    result = asyncio.run(flood(*sys.argv[1:6], seconds=float(sys.argv[6])))
    sys.stdout.write(json.dumps(result))
