"""kill -9 of a replica, of NATS and of the database while ten clients type.

Clients that come again bring everything they hold, so a loss shows only where none comes again.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections.abc import AsyncIterator

import grpc
import pytest
from codestudio.collaboration.v1 import (
    collaboration_service_pb2,
    collaboration_service_pb2_grpc,
    document_pb2,
)

from services.devstack import ports
from services.devstack.stack import Stack
from tests import programs
from tests.integration.collaboration import rig
from tests.integration.collaboration.editor import OPTIONS, Editor

TOKEN = re.compile(r"<\d+\.\d+>")
CLIENTS = 10

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


def addresses(stack: Stack) -> list[str]:
    """Give where the replicas answer."""
    table = stack.plan.ports
    return [f"127.0.0.1:{table[name]}" for name in ports.replicas("collaboration")]


async def call(stack: Stack, address: str, method: str, request: object) -> document_pb2.Document:
    """Call a replica until it answers."""
    metadata = (("authorization", f"Bearer {rig.mint(stack)}"),)
    deadline = asyncio.get_running_loop().time() + 60
    while True:
        try:
            async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
                stub = collaboration_service_pb2_grpc.CollaborationServiceStub(channel)
                return await getattr(stub, method)(request, metadata=metadata, timeout=5)
        except grpc.aio.AioRpcError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.2)


class Typist:
    """Types one word after another, and knows which of them were acknowledged."""

    def __init__(self, number: int, editor: Editor) -> None:
        self.number = number
        self.editor = editor
        self.typed: list[tuple[str, int]] = []
        self._random = random.Random(number)

    @property
    def acknowledged(self) -> set[str]:
        """The words that the service said it has stored."""
        return {word for word, sequence in self.typed if sequence <= self.editor.acked}

    async def type(self, until: asyncio.Event) -> None:
        count = 0
        while not until.is_set():
            text = self.editor.text
            # Before a word or at the end: nobody writes into a word.
            places = [match.start() for match in TOKEN.finditer(text)] or [0]
            word = f"<{self.number}.{count}>"
            self.editor.insert(self._random.choice([*places, len(text)]), word)
            self.typed.append((word, self.editor.sent))
            count += 1
            await asyncio.sleep(self._random.uniform(0.005, 0.03))


async def typing(stack: Stack, name: document_pb2.DocumentName) -> AsyncIterator[list[Typist]]:
    """Have ten clients on both replicas, and through Envoy."""
    where = [*addresses(stack), f"127.0.0.1:{stack.plan.ports['gateway']}"]
    request = collaboration_service_pb2.OpenDocumentRequest(name=name)
    await call(stack, where[0], "OpenDocument", request)
    typists = []
    for number in range(CLIENTS):
        first = number % len(where)
        order = where[first:] + where[:first]
        token = rig.mint(stack, f"user-{number}")
        typists.append(Typist(number, Editor(order, token, name)))
    for typist in typists:
        typist.editor.start()
    try:
        for typist in typists:
            await typist.editor.online(60)
        yield typists
    finally:
        for typist in typists:
            await typist.editor.stop()


async def heard(typists: list[Typist]) -> None:
    """Wait until some words of each are acknowledged."""
    async with asyncio.timeout(60):
        while not all(one.acknowledged for one in typists):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "victims",
    [
        ("collaboration",),
        ("nats",),
        ("mongo",),
        ("collaboration", "nats", "mongo"),
        ("collaboration", "collaboration-2"),
    ],
    ids="+".join,
)
async def test_kill_in_the_middle_of_typing(stack: Stack, victims: tuple[str, ...]) -> None:
    """All reconnect and have the same text; all that was typed is there, and nothing twice."""
    name = document_pb2.DocumentName(project=rig.new_project(), path="a.txt")
    async for typists in typing(stack, name):
        stop = asyncio.Event()
        work = [asyncio.create_task(one.type(stop)) for one in typists]
        await asyncio.sleep(1.0)
        await heard(typists)
        for victim in victims:
            programs.kill(stack, victim)
        await asyncio.sleep(3.0)
        stop.set()
        await asyncio.gather(*work)
        for one in typists:
            await one.editor.stored(90)
        stack.wait_healthy(timeout=60)
        words = [word for one in typists for word, _ in one.typed]
        async with asyncio.timeout(60):
            while len({one.editor.text for one in typists}) > 1:
                await asyncio.sleep(0.05)
        text = typists[0].editor.text
        assert sorted(TOKEN.findall(text)) == sorted(words)
        request = collaboration_service_pb2.GetDocumentRequest(name=name)
        answers = [
            await call(stack, address, "GetDocument", request) for address in addresses(stack)
        ]
        assert {one.text for one in answers} == {text}
        assert len({one.revision for one in answers}) == 1


@pytest.mark.parametrize(
    ("victims", "hanging"),
    [
        (("collaboration", "collaboration-2", "nats"), 0.4),
        (("nats", "mongo", "collaboration", "collaboration-2"), 0.0),
    ],
    ids=["NATS hangs first", "the database too"],
)
async def test_acknowledged_is_stored(
    stack: Stack, victims: tuple[str, ...], hanging: float
) -> None:
    """Everything is killed and no client comes again: what was acknowledged is there, once.

    A NATS that hangs before it dies takes what it was sent with it, so nothing sent then may be
    acknowledged. Of what was not acknowledged, words may be there, but whole ones.
    """
    name = document_pb2.DocumentName(project=rig.new_project(), path="a.txt")
    async for typists in typing(stack, name):
        work = [asyncio.create_task(one.type(asyncio.Event())) for one in typists]
        await heard(typists)
        await asyncio.sleep(random.uniform(1.0, 2.5))
        pids = [programs.pid(stack, victim) for victim in victims]
        if hanging:
            os.kill(programs.pid(stack, "nats"), signal.SIGSTOP)
            await asyncio.sleep(hanging)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        # Nothing ran since the first died: nobody can have come again.
        for task in work:
            task.cancel()
        await asyncio.gather(*work, *(one.editor.stop() for one in typists), return_exceptions=True)
        stack.wait_healthy(timeout=60)
        request = collaboration_service_pb2.GetDocumentRequest(name=name)
        texts = {
            (await call(stack, address, "GetDocument", request)).text
            for address in addresses(stack)
        }
        assert len(texts) == 1
        text = texts.pop()
        words = TOKEN.findall(text)
        assert "".join(words) == text
        assert len(words) == len(set(words))
        assert all(one.acknowledged for one in typists)
        acknowledged = set().union(*(one.acknowledged for one in typists))
        assert acknowledged <= set(words) <= {word for one in typists for word, _ in one.typed}
