"""Whatever happens to clients, connections and replicas: all end with one text, and the right one.

The model is plain: a set of marks. Every insertion has marks of its own around a text of all
kinds of characters; a deletion takes out what somebody sees. In the end each mark that nobody
deleted stands in the text once, with what was put beside it, and no other one does.
"""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from services.devstack.stack import Stack
from tests.integration.collaboration import process, rig
from tests.integration.collaboration.editor import Editor

CLIENTS = 3
FILLERS = st.text(st.sampled_from("ab \n\r\té漢字🙂\u0301👩‍💻"), max_size=6)
MARK = re.compile(r"⟦(\d+)⟧[^⟦⟧]*⟦/\1⟧")

pytestmark = pytest.mark.timeout(600)


class Machine(RuleBasedStateMachine):
    """Three clients, two replicas, one document."""

    stack: Stack
    loop: asyncio.AbstractEventLoop
    """One for all: answers to gRPC calls that were cut off still come to it later."""
    processes: list[process.Process]
    """Of the replicas: they go on from one document to the next, unless they are ended."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = rig.Parts(self.stack, rig.new_project())
        self.numbers = itertools.count()
        self.inserted: dict[int, str] = {}
        self.deleted: set[int] = set()
        self.replicas: list[rig.Replica] = []
        self.editors: list[Editor] = []
        self.online = [True] * CLIENTS

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    @initialize()
    def begin(self) -> None:
        self.run(self._begin())

    async def _begin(self) -> None:
        while len(self.processes) < 2:
            await self._start()
        self.replicas = [one.client(self.parts) for one in self.processes]
        await self.replicas[0].open("a.txt", "")
        for number in range(CLIENTS):
            editor = self.replicas[0].editor("a.txt", user=f"user-{number}")
            editor.point_to([one.live_address for one in self.replicas], first=number)
            editor.start()
            await editor.online()
            self.editors.append(editor)

    async def _start(self) -> None:
        # So small that snapshots, trimming and letting go happen all the time.
        starting = process.Process(
            self.parts,
            snapshot_entries=3,
            quiet_seconds=0.05,
            unload_seconds=0.1,
            rooms_kept=1,
            drain_seconds=0.2,
            backlog_bytes=2000,
        )
        self.processes.append(starting)
        await starting.start()

    @rule(who=st.integers(0, CLIENTS - 1), place=st.integers(0, 50), filler=FILLERS)
    def insert(self, who: int, place: int, filler: str) -> None:
        """Put in a marked text, between two others."""
        number = next(self.numbers)
        text = f"⟦{number}⟧{filler}⟦/{number}⟧"
        self.inserted[number] = text

        async def work() -> None:
            editor = self.editors[who]
            found = [match.start() for match in MARK.finditer(editor.text)]
            places = [*found, len(editor.text)]
            editor.insert(places[place % len(places)], text)

        self.run(work())

    @rule(who=st.integers(0, CLIENTS - 1), which=st.integers(0, 50))
    def delete(self, who: int, which: int) -> None:
        """Take out a whole marked text that one sees."""

        async def work() -> None:
            editor = self.editors[who]
            found = list(MARK.finditer(editor.text))
            if found:
                match = found[which % len(found)]
                self.deleted.add(int(match[1]))
                editor.delete(match.start(), len(match[0]))

        self.run(work())

    @rule(which=st.integers(0, 1), filler=FILLERS, old=st.integers(0, 5))
    def sync_code(self, which: int, filler: str, old: int) -> None:
        """Put in a marked text by SyncCode, at the beginning of some revision."""
        number = next(self.numbers)
        text = f"⟦{number}⟧{filler}⟦/{number}⟧"

        async def work() -> None:
            replica = self.replicas[which]
            revision = (await replica.get("a.txt")).revision
            change = pb.CodeChange(
                name=self.parts.name("a.txt"), text=text, base_revision=max(1, revision - old)
            )
            change.offset.start = 0
            request = pb.SyncCodeRequest(instance_id="fox", changes=[change])
            try:
                await replica.stub.SyncCode(request, metadata=replica.metadata, timeout=20)
            except Exception as error:
                if "not known any more" not in str(error):
                    raise
            else:
                self.inserted[number] = text

        self.run(work())

    @rule(who=st.integers(0, CLIENTS - 1))
    def go(self, who: int) -> None:
        """Go offline, or come back, to the other replica."""

        async def work() -> None:
            editor = self.editors[who]
            if self.online[who]:
                await editor.stop()
            else:
                editor.start()
            self.online[who] = not self.online[who]

        self.run(work())

    @rule(who=st.integers(0, CLIENTS - 1))
    def cut(self, who: int) -> None:
        """Break a connection in the middle of whatever it does."""

        async def work() -> None:
            if self.online[who]:
                self.editors[who].cut()

        self.run(work())

    @rule(who=st.integers(0, CLIENTS - 1))
    def repeat(self, who: int) -> None:
        """Send everything once more."""

        async def work() -> None:
            if self.online[who] and self.editors[who].online_now:
                self.editors[who].resend()

        self.run(work())

    @rule(who=st.integers(0, CLIENTS - 1))
    def swap(self, who: int) -> None:
        """Send two edits the wrong way round."""
        numbers = [next(self.numbers), next(self.numbers)]
        texts = [f"⟦{one}⟧x⟦/{one}⟧" for one in numbers]
        self.inserted.update(zip(numbers, texts, strict=True))

        async def work() -> None:
            self.editors[who].insert_swapped(texts)

        self.run(work())

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        """Stop a replica; another one takes its place."""
        self.run(self._replace(which, process.Process.stop))

    @rule(which=st.integers(0, 1))
    def kill(self, which: int) -> None:
        """Kill a replica in whatever it does; another one takes its place."""
        self.run(self._replace(which, process.Process.kill))

    async def _replace(self, which: int, end: Callable[[process.Process], Awaitable[None]]) -> None:
        await end(self.processes.pop(which))
        await self.replicas.pop(which).close()
        await self._start()
        self.replicas.append(self.processes[-1].client(self.parts))
        addresses = [one.live_address for one in self.replicas]
        for number, editor in enumerate(self.editors):
            editor.point_to(addresses, first=number)

    @rule(milliseconds=st.integers(1, 300))
    def wait(self, milliseconds: int) -> None:
        """Let time pass."""
        self.run(asyncio.sleep(milliseconds / 1000))

    def teardown(self) -> None:
        try:
            if self.editors:
                self.run(self._check())
        finally:
            self.run(self._end())

    async def _check(self) -> None:
        for number, editor in enumerate(self.editors):
            if not self.online[number]:
                editor.start()
        for editor in self.editors:
            await editor.stored(40)
        async with asyncio.timeout(40):
            while len({editor.text for editor in self.editors}) > 1:
                await asyncio.sleep(0.02)
        text = self.editors[0].text
        found = [(int(match[1]), match[0]) for match in MARK.finditer(text)]
        assert MARK.sub("", text) == "", "nothing stands between the marks"
        assert sorted(found) == sorted(
            (number, content)
            for number, content in self.inserted.items()
            if number not in self.deleted
        )
        for replica in self.replicas:
            assert (await replica.get("a.txt")).text == text

    async def _end(self) -> None:
        for editor in self.editors:
            await editor.stop()
        for replica in self.replicas:
            await replica.close()


def test_everybody_ends_with_the_same_text(infrastructure: Stack) -> None:
    """Through edits, breaks, repetitions, restarts, kills, snapshots, trimming, in any order."""
    loop = asyncio.new_event_loop()
    processes: list[process.Process] = []
    shared = {"stack": infrastructure, "loop": loop, "processes": processes}
    try:
        run_state_machine_as_test(
            type("Machine", (Machine,), shared),
            settings=settings(
                max_examples=25,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        for running in processes:
            loop.run_until_complete(running.kill())
        loop.close()
