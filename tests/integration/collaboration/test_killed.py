"""Replicas are killed where it hurts: nobody misses a message, nobody loses a credit."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest

from services.collaboration.repository import Repository
from services.devstack.stack import Stack
from tests.integration.collaboration import fleet, process, rig
from tests.integration.collaboration.fleet import Fleet, Member
from tests.integration.collaboration.test_revisions import (
    QUICK,
    committed,
    git,
    location,
    revisions,
    write,
)

RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.fixture
async def instances(infrastructure: Stack, parts: rig.Parts) -> AsyncIterator[Fleet]:
    async with fleet.fleet(infrastructure, parts) as running:
        yield running


async def test_messages_survive_the_death_of_a_replica(instances: Fleet, parts: rig.Parts) -> None:
    """The replica somebody writes to and listens at is killed: nothing missed, nothing twice."""
    ada, bob = await instances.instance("ada"), await instances.instance("bob")
    mesh = {"mesh_address": f"127.0.0.1:{instances.service.port}"}
    async with (
        process.process(parts, **mesh) as (victim, client),
        instances.replica() as second,
        fleet.listening(Member(client), second, instance_id=bob, user="bob") as listener,
    ):
        first = Member(client)
        sent: list[str] = []

        async def write_on() -> None:
            for number in range(100):
                request_id, turn = str(uuid.uuid4()), number
                while True:
                    member = (first, second)[turn % 2]
                    try:
                        await member.send(ada, bob, f"{number}", request_id=request_id)
                    except grpc.aio.AioRpcError as error:
                        if error.code() not in RETRYABLE:
                            raise
                        turn += 1
                    else:
                        break
                sent.append(f"{number}")

        writing = asyncio.create_task(write_on())
        while len(sent) < 30:
            assert not writing.done() or writing.result() is None
            await asyncio.sleep(0.01)
        await victim.kill()
        await asyncio.wait_for(writing, 60)
        await listener.heard(100, timeout=60)
        assert listener.messages == sent == [f"{number}" for number in range(100)]


async def test_who_wrote_is_known_after_any_death(parts: rig.Parts) -> None:
    """Replicas are killed while documents are written and committed: Git stays whole.

    The branch is one line that Git finds nothing wrong with, it has every text, and everybody who
    wrote is named.
    """
    quick = {**QUICK, "commit_quiet_seconds": 0.3, "commit_together_seconds": 0.0}
    async with rig.replica(parts, **quick) as lasting:
        texts: dict[str, str] = {}
        for number in range(4):
            async with process.process(parts, **quick) as (victim, client):
                path, user = f"doc{number}.txt", f"user{number}"
                await client.open(path, "")
                await write(client, path, user, "from the victim\n")
                # Now, or in the middle of the commit, or after it.
                await asyncio.sleep(0.15 * number)
                await victim.kill()
            texts[path] = "from the victim\n"
        await committed(lasting, texts, seconds=40)
        found = await revisions(lasting)
        writers = {
            (path, one.subject) for each in found for one in each.authors for path in each.paths
        }
        for number in range(4):
            assert (f"doc{number}.txt", f"user{number}") in writers
        git("fsck", "--strict", where=location(parts))
        line = git("log", "--format=%H", "main", where=location(parts)).split()
        assert line == [each.id for each in found]


async def test_a_killed_committer_leaves_a_whole_repository(parts: rig.Parts) -> None:
    """A process that does nothing but commit is killed again and again in the middle of it."""
    busy = {**QUICK, "commit_quiet_seconds": 0.05, "commit_together_seconds": 0.0}
    calm = {**QUICK, "commit_quiet_seconds": 3600.0}
    async with rig.replica(parts, **calm) as writer:
        for number in range(20):
            await writer.open(f"f{number}", "")
        stop = asyncio.Event()

        async def type_on() -> None:
            round_ = 0
            while not stop.is_set():
                round_ += 1
                for number in range(20):
                    async with writer.editor(f"f{number}", user="eve") as editor:
                        editor.insert(0, f"{round_} ")
                        await editor.stored()

        typing = asyncio.create_task(type_on())
        try:
            heads = set()
            for attempt in range(4):
                async with process.process(parts, **busy) as (victim, _):
                    before = Repository(location(parts)).head()
                    async with asyncio.timeout(30):
                        while Repository(location(parts)).head() == before:
                            await asyncio.sleep(0.005)
                    await asyncio.sleep(0.003 * attempt)
                    await victim.kill()
                heads.add(Repository(location(parts)).head())
                git("fsck", "--strict", where=location(parts))
        finally:
            stop.set()
            with contextlib.suppress(asyncio.CancelledError):
                await typing
        assert len(heads) == 4
        async with rig.replica(parts, **busy):
            texts = {f"f{number}": (await writer.get(f"f{number}")).text for number in range(20)}
            await committed(writer, texts, seconds=40)


async def test_a_replica_comes_back_by_its_name(parts: rig.Parts) -> None:
    """What it stores then, small or in many parts, is no duplicate of what it stored before."""
    named = {"replica_id": "collaboration-0.fleet.svc"}
    async with process.process(parts, **named) as (running, service):
        await service.open("a.txt", "")
        async with service.editor("a.txt") as ada:
            ada.insert(0, "before ")
            await ada.stored()
            await running.kill()
            await running.start()
            for text in ("after ", "x" * 2 * 1024**2):
                ada.insert(len(ada.text), text)
                await ada.stored()
            text = ada.text
    async with rig.replica(parts) as another:
        assert (await another.get("a.txt")).text == text
