"""Clients that send or ask for more than anybody needs, all of it well-formed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import prometheus_client
from codestudio.collaboration.v1 import collaborate_pb2

from services.collaboration import awareness
from tests.integration.collaboration import flooder, rig
from tests.integration.collaboration.editor import Editor, Request
from tests.integration.collaboration.process import process

_ROOT = Path(__file__).parents[3]
_SECONDS = 2.0
_RATE, _BURST = 20, 100
"""Messages a second, and at once, that a connection may send for the shares set here."""
_LATENCY = 1.0
"""Seconds until everybody has an edit, whatever others send. Alone it is a thousandth."""
_MEMORY = 64 * 1024**2


async def test_floods_harm_nobody(parts: rig.Parts) -> None:
    """Edits, cursors and requests for the state, by editors and viewers at once.

    Each gets through as fast as its share allows and no faster, what a viewer may not do is
    refused with a typed error, and the others' edits are there within a bound all the while.
    """
    shares = {"connection_share": 0.002, "connection_credit": 0.01}
    async with process(parts, **shares) as (running, service):
        await service.open("a.txt", "")
        async with service.editor("a.txt") as ada, service.editor("a.txt", user="bob") as bob:
            await exchanged(ada, bob, 0)
            memory = running.memory()
            floods = {
                (kind, role): asyncio.create_task(flooding(parts, service.live_address, kind, role))
                for kind, role in (
                    ("updates", "user"),
                    ("updates", "viewer"),
                    ("awareness", "viewer"),
                    ("joins", "viewer"),
                )
            }
            took = []
            while not all(each.done() for each in floods.values()):
                took.append(await exchanged(ada, bob, len(took) + 1))
                await asyncio.sleep(0.1)  # faster than people type, within the share
            told = {of: each.result() for of, each in floods.items()}
            assert running.memory() - memory < _MEMORY
            assert len(took) > 10
            assert max(took) < _LATENCY
            cursors = [
                one.clock
                for update in bob.awareness
                for one in awareness.read(update)
                if one.client == flooder.CLIENT
            ]
        assert told["updates", "viewer"]["error"] == "READ_ONLY"
        seconds = max(each["seconds"] for each in told.values())
        for count in (
            told["updates", "user"]["acked"],
            max(cursors),
            told["joins", "viewer"]["joined"],
        ):
            assert _BURST / 4 < count < _BURST + 2 * _RATE * seconds


async def test_answers_nobody_reads(service: rig.Replica) -> None:
    """Of a large document asked for again and again, a few copies are made, not one a request."""
    size, joins = 1_500_000, 40
    await service.open("a.txt", "x" * size)
    call = service.live.Collaborate(metadata=service.metadata)
    for channel in range(1, joins + 1):
        join = collaborate_pb2.Join(name=service.parts.name("a.txt"))
        await call.write(Request(channel=channel, join=join))
    before = -1.0
    while before != (before := clients()):
        await asyncio.sleep(0.3)
    assert 1 <= clients() <= 8
    async with asyncio.timeout(30):
        for _ in range(joins):
            while not (answer := await call.read()).HasField("joined"):
                pass
            assert len(answer.joined.update) > size
    call.cancel()


async def flooding(parts: rig.Parts, address: str, kind: str, role: str) -> dict[str, Any]:
    """Run a client that floods; gives what it was answered."""
    token = parts.token(f"eve-{kind}", role)
    arguments = (kind, address, token, parts.project, "a.txt", str(_SECONDS))
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", flooder.__name__, *arguments),
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await running.communicate()
    found: dict[str, Any] = json.loads(said)
    return found


async def exchanged(ada: Editor, bob: Editor, number: int) -> float:
    """Have one edit and the other see it; gives how long that took."""
    began = time.monotonic()
    ada.insert(0, f"<{number}>")
    # Not always first: who floods begins at the beginning too, maybe in the same moment.
    await bob.until(lambda: f"<{number}>" in bob.text)
    return time.monotonic() - began


def clients() -> float:
    """Tell how many clients there are in documents."""
    found = prometheus_client.REGISTRY.get_sample_value(
        "codestudio_collaboration_clients", {"protocol": "grpc"}
    )
    return found or 0.0
