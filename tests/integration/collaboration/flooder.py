"""A client of Collaborate that sends valid frames as fast as it can, as a process of its own.

It goes on until its standard input ends, and it was answered as often as it has to be.
"""

from __future__ import annotations

import asyncio
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

_ANSWERED = {"updates": "acked", "joins": "joined"}
_METHOD = "/codestudio.collaboration.v1.CollaborationService/Collaborate"

Request = collaborate_pb2.CollaborateRequest
Response = collaborate_pb2.CollaborateResponse


async def flood(
    kind: str, address: str, token: str, project: str, path: str, least: int
) -> dict[str, Any]:
    """Join a document and send frames of one kind; tells what was answered."""
    name = document_pb2.DocumentName(project=project, path=path)
    told: dict[str, Any] = {"joined": 0, "acked": 0, "error": ""}
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(_METHOD)(metadata=(("authorization", f"Bearer {token}"),))
        await call.write(next(joins(name)).SerializeToString())
        await call.read()
        began = time.monotonic()
        reading = asyncio.create_task(read(call, told))
        sending = asyncio.create_task(send(call, _FRAMES[kind](name)))
        await ended()
        while not told["error"] and told.get(_ANSWERED.get(kind), least) < least:
            assert not sending.done(), sending.exception()
            await asyncio.sleep(0.01)
        told["seconds"] = time.monotonic() - began
        sending.cancel()
        reading.cancel()
        call.cancel()
    return told


async def pretend(kind: str) -> None:
    """Be as busy with frames of one kind, and send them nowhere."""
    ending = asyncio.create_task(ended())
    for frame in _FRAMES[kind](document_pb2.DocumentName()):
        frame.SerializeToString()
        await asyncio.sleep(0)
        if ending.done():
            return


async def ended() -> None:
    """Wait until the standard input ends."""
    await asyncio.to_thread(sys.stdin.read)


async def send(call: Any, frames: Iterator[Request]) -> None:
    """Send frames one after the other, for ever."""
    for frame in frames:
        await call.write(frame.SerializeToString())


def updates(_: document_pb2.DocumentName) -> Iterator[Request]:
    """Give edits, each a character at the end, numbered."""
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    made: list[bytes] = []
    doc.observe(lambda event: made.append(event.update))
    text = doc.get("content", type=pycrdt.Text)
    for number in itertools.count(1):
        text += "x"
        yield Request(channel=1, update=collaborate_pb2.Update(update=made.pop(), sequence=number))


def awareness(_: document_pb2.DocumentName) -> Iterator[Request]:
    """Give a cursor that moves: its clock counts how often."""
    for clock in itertools.count(1):
        state = ywire.write_bytes(json.dumps({"cursor": clock}).encode())
        said = b"".join(map(ywire.write_uint, (1, CLIENT, clock))) + state
        yield Request(channel=1, awareness=collaborate_pb2.Awareness(update=said))


def joins(name: document_pb2.DocumentName) -> Iterator[Request]:
    """Give requests for the document's state."""
    return itertools.repeat(Request(channel=1, join=collaborate_pb2.Join(name=name)))


_FRAMES = {"updates": updates, "awareness": awareness, "joins": joins}


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
    kind, address, *where, least = sys.argv[1:]
    if address:
        sys.stdout.write(json.dumps(asyncio.run(flood(kind, address, *where, least=int(least)))))
    else:
        asyncio.run(pretend(kind))
