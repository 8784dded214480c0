"""Documents that nobody has open are let go and joined again, and no edit is lost by that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from services.collaboration.rooms import Rooms
from services.devstack.stack import Stack
from tests import counted
from tests.integration.collaboration import rig
from tests.integration.instance.rig import until


async def test_reconnects_race_unloads(parts: rig.Parts) -> None:
    """A document is let go and joined again all the time, and no edit vanishes."""
    async with rig.replica(parts, unload_seconds=0.05, quiet_seconds=0.05, rooms_kept=1) as service:
        await service.open("a.txt", "")
        for number in range(25):
            async with service.editor("a.txt") as ada:
                ada.insert(len(ada.text), f"<{number}>")
                if number % 3:
                    await ada.stored()
                else:
                    await asyncio.sleep(0.01 * (number % 7))
                    ada.insert(0, "!")
                    await ada.stored()
            await asyncio.sleep(0.1 * (number % 8))
        text = (await service.get("a.txt")).text
        assert all(text.count(f"<{number}>") == 1 for number in range(25))
        assert text.count("!") == 9


async def test_what_is_not_stored_is_not_let_go(own_infrastructure: Stack) -> None:
    """Neither because it is unused nor to make room: nobody comes again to bring it."""
    parts = rig.Parts(own_infrastructure, rig.new_project())
    before = clients()
    async with rig.replica(parts, unload_seconds=0.05, quiet_seconds=0.05, rooms_max=2) as one:
        await one.open("a.txt", "")
        await one.open("b.txt", "")
        ada, bob = one.editor("a.txt"), one.editor("a.txt", user="bob")
        cyd = one.editor("b.txt", user="cyd")
        for each in (ada, bob, cyd):
            each.start()
            await each.stored()
        await _until(lambda: one.loaded() == 2, "both are in memory")
        with rig.hanging(own_infrastructure, "nats"):
            # NATS has the first, and takes it in the end; the second waits for that here.
            for word in ("sent ", "kept"):
                ada.insert(len(ada.text), word)
                await bob.until(lambda: bob.text == ada.text)
            assert ada.acked < ada.sent - 1
            await ada.stop()
            await bob.stop()
            await _until(lambda: clients() == before + 1, "only Cyd is there")
            assert (await rig.refusal(one.get("c.txt"))).code == "TOO_MANY_DOCUMENTS"
            await cyd.stop()
            await _until(lambda: one.loaded() < 2, "what is stored and unused is let go")
        async with rig.replica(parts) as two:

            async def stored() -> bool:
                return (await two.get("a.txt")).text == "sent kept"

            await until(stored, "all is stored")


async def test_a_join_calls_off_an_unload(own_infrastructure: Stack) -> None:
    """Who comes while a document is stored to be let go is in it, and stays."""
    parts = rig.Parts(own_infrastructure, rig.new_project())
    async with rig.replica(
        parts, unload_seconds=0.05, quiet_seconds=60.0, dependency_timeout=30.0
    ) as one:
        await one.open("a.txt", "")
        ada, bob = one.editor("a.txt"), one.editor("a.txt", user="bob")
        ada.start()
        await ada.online()
        ada.insert(0, "before ")
        await ada.stored()
        snapshots = counted.value("codestudio_collaboration_snapshots_total")
        with rig.hanging(own_infrastructure, "mongo"):
            await ada.stop()
            await _until(unloads, "it is being let go")
            bob.start()
            await bob.online()
            (unload,) = unloads()
        async with asyncio.timeout(30):
            await asyncio.wait([unload])
        assert counted.value("codestudio_collaboration_snapshots_total") == snapshots + 1
        bob.insert(len(bob.text), "after")
        await bob.stored()
        assert bob.joins == 1
        await bob.stop()
        async with rig.replica(parts) as two:
            assert (await two.get("a.txt")).text == "before after"


def clients() -> float:
    """Tell how many clients are in documents."""
    return counted.value("codestudio_collaboration_clients", protocol="grpc")


def unloads() -> list[asyncio.Task[Any]]:
    """Give what is letting go of a document at this moment."""
    wanted = Rooms._let_go.__qualname__
    return [one for one in asyncio.all_tasks() if one.get_coro().__qualname__ == wanted]


async def _until(condition: Callable[[], object], what: str) -> None:
    async def true() -> bool:
        return bool(condition())

    await until(true, what, 30)
