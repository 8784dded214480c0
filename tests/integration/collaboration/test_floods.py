"""Clients that send or ask for more than anybody needs, all of it well-formed."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import prometheus_client
from codestudio.collaboration.v1 import collaborate_pb2

from services.collaboration import awareness
from tests.integration.collaboration import flooder, rig
from tests.integration.collaboration.editor import Editor, Request
from tests.integration.collaboration.process import process

_ROOT = Path(__file__).parents[3]
_RATE, _BURST = 20, 100
"""Messages a second, and at once, that a connection may send for the shares set here."""
_LATENCY = 1.0
"""Seconds that an edit may take longer to get to everybody where others flood the service, than
where they are as busy by themselves. Alone it is a thousandth of one."""
_LEAST = _BURST // 4
"""Messages that get through of each flood."""
_EXCHANGES = 20
_FLOODS = (
    ("updates", "user"),
    ("updates", "viewer"),
    ("awareness", "viewer"),
    ("joins", "viewer"),
)
_MEMORY = 64 * 1024**2


async def test_floods_harm_nobody(parts: rig.Parts) -> None:
    """Edits, cursors and requests for the state, by editors and viewers at once.

    Each gets through as fast as its share allows and no faster, what a viewer may not do is
    refused with a typed error, and the others' edits are there about as soon as beside programs
    that are as busy, and have nothing to do with the service.
    """
    shares = {"connection_share": 0.002, "connection_credit": 0.01}
    async with process(parts, **shares) as (running, service):
        await service.open("a.txt", "")
        async with service.editor("a.txt") as ada, service.editor("a.txt", user="bob") as bob:
            await exchanged(ada, bob)
            beside, _ = await flooded(parts, "", ada, bob)
            memory = running.memory()
            took, told = await flooded(parts, service.live_address, ada, bob)
            assert running.memory() - memory < _MEMORY
            assert slow(took) < slow(beside) + _LATENCY
            cursors = clocks(bob)
        assert told["updates", "viewer"]["error"] == "READ_ONLY"
        seconds = max(each["seconds"] for each in told.values())
        for count in (
            told["updates", "user"]["acked"],
            max(cursors),
            told["joins", "viewer"]["joined"],
        ):
            assert _LEAST <= count < _BURST + 2 * _RATE * seconds


async def test_answers_nobody_reads(service: rig.Replica) -> None:
    """Of a large document asked for again and again, a few copies are made, not one a request."""
    size, joins = 1_500_000, 40
    await service.open("a.txt", "x" * size)
    call = service.live.Collaborate(metadata=service.metadata)
    for channel in range(1, joins + 1):
        join = collaborate_pb2.Join(name=service.parts.name("a.txt"))
        await call.write(Request(channel=channel, join=join))
    async with asyncio.timeout(30):
        before = 0.0
        while not before or before != clients():
            before = clients()
            await asyncio.sleep(0.3)
    assert 1 <= clients() <= 8
    async with asyncio.timeout(30):
        for _ in range(joins):
            while not (answer := await call.read()).HasField("joined"):
                pass
            assert len(answer.joined.update) > size
    call.cancel()


async def flooded(
    parts: rig.Parts, address: str, ada: Editor, bob: Editor
) -> tuple[list[float], dict[tuple[str, str], dict[str, Any]]]:
    """Have two edit while clients flood a service, or do as if, where there is no address.

    Gives how long each edit took from one to the other, and what the floods were answered.
    """
    floods: dict[tuple[str, str], asyncio.subprocess.Process] = {}
    for kind, role in _FLOODS:
        token = parts.token(f"eve-{kind}", role)
        floods[kind, role] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", flooder.__name__),
            *(kind, address, token, parts.project, "a.txt", str(_LEAST)),
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
    took: list[float] = []
    told: dict[tuple[str, str], dict[str, Any]] = {}
    try:
        while len(took) < _EXCHANGES or (address and max(clocks(bob), default=0) < _LEAST):
            took.append(await exchanged(ada, bob))
            await asyncio.sleep(0.1)  # faster than people type, within the share
        said = asyncio.gather(*(each.communicate(b"") for each in floods.values()))
        while not said.done():
            took.append(await exchanged(ada, bob))
            await asyncio.sleep(0.1)
        if address:
            told = dict(zip(floods, (json.loads(out) for out, _ in said.result()), strict=True))
    finally:
        for each in floods.values():
            if each.returncode is None:
                each.kill()
                await each.wait()
    return took, told


def slow(took: list[float]) -> float:
    """Give what nine of ten took at most: the machine itself may stop for a while."""
    return statistics.quantiles(took, n=10)[-1]


def clocks(bob: Editor) -> list[int]:
    """Give the places in the flood of the cursors somebody saw of it."""
    return [
        one.clock
        for update in bob.awareness
        for one in awareness.read(update)
        if one.client == flooder.CLIENT
    ]


async def exchanged(ada: Editor, bob: Editor) -> float:
    """Have one edit and the other see it; gives how long that took."""
    began = time.monotonic()
    mark = f"<{uuid.uuid4()}>"
    ada.insert(0, mark)
    # Not always first: who floods begins at the beginning too, maybe in the same moment.
    await bob.until(lambda: mark in bob.text)
    return time.monotonic() - began


def clients() -> float:
    """Tell how many clients there are in documents."""
    found = prometheus_client.REGISTRY.get_sample_value(
        "codestudio_collaboration_clients", {"protocol": "grpc"}
    )
    return found or 0.0
