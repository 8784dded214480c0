"""What a room sends to whom: others' edits and cursors, together, once, to those who read."""

import asyncio
import contextlib

import pycrdt
from codestudio.collaboration.v1 import collaborate_pb2

from services.collaboration import ywire
from services.collaboration.awareness import read
from tests.integration.collaboration import rig
from tests.integration.collaboration.editor import Editor, Request


async def test_busy_rooms_coalesce(parts: rig.Parts) -> None:
    """What comes between two rounds of sending leaves as one frame, and not to who typed it."""
    async with rig.replica(parts, flush_per_socket=0.02) as service:
        await service.open("a.txt", "")
        async with service.editor("a.txt") as ada, service.editor("a.txt", user="bob") as bob:
            for number in range(500):
                ada.insert(len(ada.text), f"{number},")
            await ada.stored()
            await bob.until(lambda: bob.text == ada.text)
            assert len(bob.received) < 100
            assert ada.received == []


async def test_cursors_of_all_are_not_a_frame_each_for_everybody(parts: rig.Parts) -> None:
    """Of N clients that move M times, each is told in a few frames: not M x N, and not of itself.

    The newest of everybody comes all the same.
    """
    people, moves = 20, 20
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(rig.replica(parts, flush_per_socket=0.02))
        await service.open("a.txt", "")
        editors = [
            await stack.enter_async_context(service.editor("a.txt", user=f"user-{number}"))
            for number in range(people)
        ]
        for one in editors:
            one.awareness.clear()
        for move in range(1, moves + 1):
            for number, one in enumerate(editors):
                state = f'{{"cursor":{move}}}'.encode()
                said = (ywire.write_uint(part) for part in (1, number + 1, move))
                one.say(b"".join(said) + ywire.write_bytes(state))
            await asyncio.sleep(0)

        def told(one: Editor) -> dict[int, int]:
            return {each.client: each.clock for said in one.awareness for each in read(said)}

        for number, one in enumerate(editors):
            others = {each + 1: moves for each in range(people) if each != number}
            await one.until(lambda one=one, others=others: told(one) == others)
        frames = sum(len(one.awareness) for one in editors)
        assert frames < people * 12, f"of {people * people * moves} one by one"
        # Nor is anybody told again of those that stay where they are.
        for one in editors:
            one.awareness.clear()
        moved, other = (
            b"".join(ywire.write_uint(part) for part in (1, client, moves + 1))
            + ywire.write_bytes(b"{}")
            for client in (1, 2)
        )
        editors[0].say(moved)
        for one in editors[1:]:
            await one.until(lambda one=one: one.awareness)
            assert [told(one), len(one.awareness)] == [{1: moves + 1}, 1]
            one.awareness.clear()
        # Nor where another editor says again what it was told.
        editors[1].say(moved)
        editors[1].say(other)
        for one in (editors[0], *editors[2:]):
            await one.until(lambda one=one: told(one) == {2: moves + 1})


async def test_an_edit_does_not_come_back_as_an_edit(parts: rig.Parts) -> None:
    """Neither from the room nor through the log, on one replica or two: others' edits alone come.

    Whoever types alone gets nothing, whoever types with others gets each edit of theirs once.
    """
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        await one.open("a.txt", "")
        async with (
            one.editor("a.txt") as ada,
            one.editor("a.txt", user="bob") as bob,
            two.editor("a.txt", user="cyd") as cyd,
        ):
            everybody = (ada, bob, cyd)
            for number in range(30):
                ada.insert(len(ada.text), f"<a{number}>")
                await asyncio.sleep(0.005)
            await ada.stored()
            for other in (bob, cyd):
                await other.until(lambda other=other: other.text == ada.text)
            assert ada.received == []
            alone = len(ada.text)
            bob.insert(0, "<bob>")
            await bob.stored()
            cyd.insert(0, "<cyd>")
            await cyd.stored()
            for each in everybody:
                await each.until(lambda each=each: len(each.text) == alone + 10)
            # On its own, a document of what one received has the others' edits and no own ones.
            got: pycrdt.Doc = pycrdt.Doc()
            for update in ada.received:
                got.apply_update(update)
            assert ada.doc.client_id not in ywire.read_state_vector(got.get_state())
            heard = sum(map(len, ada.received))
            assert heard < 200, "once each"


async def test_a_slow_stream_is_resynchronised(parts: rig.Parts) -> None:
    """A client that does not read is not buffered for, and has everything after it joins again."""
    async with rig.replica(parts, backlog_bytes=100_000, flush_per_socket=0) as service:
        await service.open("a.txt", "")
        call = service.live.Collaborate(metadata=service.metadata)
        join = collaborate_pb2.Join(name=service.parts.name("a.txt"))
        await call.write(Request(channel=1, join=join))
        assert (await call.read()).WhichOneof("message") == "joined"
        async with service.editor("a.txt") as ada:
            for number in range(300):
                ada.insert(len(ada.text), f"{number:04}" + "x" * 20_000)
                await asyncio.sleep(0.001)
            await ada.stored()
            async with asyncio.timeout(30):
                while (await call.read()).WhichOneof("message") != "resync":
                    pass
            await call.write(Request(channel=1, join=join))
            async with asyncio.timeout(30):
                while (answer := await call.read()).WhichOneof("message") != "joined":
                    pass
            doc: pycrdt.Doc = pycrdt.Doc()
            doc.apply_update(answer.joined.update)
            assert str(doc.get("content", type=pycrdt.Text)) == ada.text
        call.cancel()
