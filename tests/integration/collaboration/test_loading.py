"""Nobody is served, and nothing stored, before all of the stored state is here."""

from __future__ import annotations

import asyncio

import pycrdt
import pytest
from codestudio.collaboration.v1 import collaborate_pb2

from services.collaboration.names import Name
from services.collaboration.store import Store
from services.devstack.stack import Stack
from tests.integration.collaboration import rig
from tests.integration.collaboration.editor import Request, Response


async def test_a_failed_load_is_an_error(own_infrastructure: Stack) -> None:
    """Without its stored state, from either store, a document is not served and not stored."""
    parts = rig.Parts(own_infrastructure, rig.new_project())
    victims = ("mongo", "nats")
    async with rig.replica(parts) as one:
        for victim in victims:
            await one.open(victim, "kept")
            async with one.editor(victim) as ada:
                ada.insert(4, " and more")
                await ada.stored()
    async with rig.replica(parts, dependency_timeout=1.0) as two:
        for victim in victims:
            await asyncio.to_thread(own_infrastructure.stop, victim)
            detail = await rig.refusal(two.get(victim))
            assert detail.code.endswith(("UNAVAILABLE", "EXCEEDED")), detail
            bob = two.editor(victim, user="bob")
            bob.start()
            with pytest.raises(TimeoutError):
                await bob.online(2.0)
            await bob.stop()
            assert bob.text == ""
            await asyncio.to_thread(own_infrastructure.start, victim)
            async with two.editor(victim, user="cyd") as cyd:
                assert cyd.text == "kept and more"


async def test_a_load_that_hangs(parts: rig.Parts) -> None:
    """Other documents on the same stream go on; what came behind the join is taken after it."""
    async with rig.replica(parts) as one:
        await one.open("a.txt", "kept")
        await one.open("b.txt", "kept")
    async with rig.replica(parts) as two:
        call = two.live.Collaborate(metadata=two.metadata)

        async def join(channel: int, path: str) -> None:
            wanted = collaborate_pb2.Join(name=parts.name(path))
            await call.write(Request(channel=channel, join=wanted))

        async def insert(channel: int, what: str) -> None:
            doc: pycrdt.Doc = pycrdt.Doc()
            doc.get("content", type=pycrdt.Text).insert(0, what)
            update = collaborate_pb2.Update(update=doc.get_update(), sequence=1)
            await call.write(Request(channel=channel, update=update))

        async def answer(channel: int, kind: str) -> Response:
            async with asyncio.timeout(15):
                while (found := await call.read()).WhichOneof("message") == "heartbeat":
                    pass
            assert (found.channel, found.WhichOneof("message")) == (channel, kind)
            return found

        async def joined(channel: int) -> str:
            doc: pycrdt.Doc = pycrdt.Doc()
            doc.apply_update((await answer(channel, "joined")).joined.update)
            return str(doc.get("content", type=pycrdt.Text))

        await join(1, "a.txt")
        assert await joined(1) == "kept"
        with rig.hanging(parts.stack, "mongo"):
            await join(2, "b.txt")
            await insert(2, "behind")
            await insert(1, "meanwhile")
            await answer(1, "ack")
        assert await joined(2) == "kept"
        await answer(2, "ack")
        call.cancel()
        # Of two who write at the beginning, either may be first.
        assert (await two.get("a.txt")).text in ("keptmeanwhile", "meanwhilekept")
        assert (await two.get("b.txt")).text in ("keptbehind", "behindkept")


async def test_an_edit_is_stored_during_a_load(
    parts: rig.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after the log was read, and before the document is here, is in it all the same."""
    read, go_on = asyncio.Event(), asyncio.Event()
    generation = Store.generation

    async def slowly(store: Store, name: Name) -> str:
        """Give the generation, which a load reads after the log, after a while."""
        found = await generation(store, name)
        if name.path == "a.txt":
            read.set()
            await go_on.wait()
        return found

    async with (
        rig.replica(parts, quiet_seconds=60.0) as one,
        rig.replica(parts, quiet_seconds=60.0) as two,
    ):
        await one.open("a.txt", "kept")
        await one.open("b.txt", "")
        async with one.editor("a.txt") as ada, two.editor("b.txt", user="bob") as bob:
            monkeypatch.setattr(Store, "generation", slowly)
            loading = asyncio.create_task(two.get("a.txt"))
            async with asyncio.timeout(15):
                await read.wait()
            ada.insert(4, " and more")
            await ada.stored()
            # Stored behind it, and acknowledged by the same log: so the other is there as well.
            bob.insert(0, "x")
            await bob.stored()
            go_on.set()
            found = await loading
            assert (found.text, found.revision) == ("kept and more", ada.revision)
