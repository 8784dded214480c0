"""Recorded sessions, typed again through the real service by as many clients as they had people."""

import asyncio
import gzip
import json
from typing import Any

import pycrdt
import pytest

from services.collaboration import ywire
from services.devstack.layout import REPOSITORY
from tests.integration.collaboration import rig
from tests.integration.collaboration.editor import Editor

DATA = REPOSITORY.parent / "shared" / "data"
_PACE = 200
"""Transactions between two breaths: other tasks have to run."""


def recording(name: str) -> dict[str, Any]:
    path = DATA / f"{name}.json.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return found


class Writer:
    """One person of a recording: edits at the state of their own, as it was then."""

    def __init__(self, editor: Editor, seed: bytes) -> None:
        self.editor = editor
        self.doc: pycrdt.Doc = pycrdt.Doc(client_id=editor.doc.client_id + 1)
        self.root = self.doc.get("content", type=pycrdt.Text)
        self.doc.apply_update(seed)
        self.text = str(self.root)
        self.seen: set[int] = set()
        self._made: list[bytes] = []
        self._subscription = self.doc.observe(lambda event: self._made.append(event.update))

    def type(self, patches: list[Any]) -> bytes:
        """Make a transaction; gives it as an update."""
        self._made.clear()
        with self.doc.transaction():
            for at, deleted, inserted in patches:
                start = len(self.text[:at].encode())
                if deleted:
                    gone = self.text[at : at + deleted]
                    del self.root[start : start + len(gone.encode())]
                if inserted:
                    self.root.insert(start, inserted)
                self.text = self.text[:at] + inserted + self.text[at + deleted :]
        return b"".join(self._made)

    def learn(self, update: bytes) -> None:
        """Take over what somebody else typed."""
        self.doc.apply_update(update)
        self.text = str(self.root)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["sveltecomponent", "rustcode", "friendsforever"])
async def test_recording(parts: rig.Parts, name: str) -> None:
    """It ends in exactly the text it ended in, for everybody, on both replicas."""
    recorded = recording(name)
    transactions = recorded["txns"]
    people = len({one.get("agent", 0) for one in transactions})
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        opened = await one.open("a.txt", recorded.get("startContent", ""), include_state=True)
        editors = [
            # Where two typed at one place, the recording has the first one's text first.
            (one, two)[number % 2].editor(
                "a.txt", user=f"user-{number}", client_id=1000 + 2 * number
            )
            for number in range(people)
        ]
        for editor in editors:
            editor.start()
            await editor.online()
        writers = [Writer(editor, opened.state) for editor in editors]
        made: list[bytes] = []
        clocks: list[dict[int, int]] = []
        for number, transaction in enumerate(transactions):
            writer = writers[transaction.get("agent", 0)]
            for parent in transaction.get("parents", ()):
                await _catch_up(writer, parent, transactions, made, clocks)
            update = writer.type(transaction["patches"])
            writer.seen.add(number)
            made.append(update)
            clocks.append(ywire.read_state_vector(writer.doc.get_state()) if people > 1 else {})
            writer.editor.apply_own(update)
            if number % _PACE == 0:
                await asyncio.sleep(0)
        for editor in editors:
            await editor.stored(120)
        async with asyncio.timeout(60):
            while {editor.text for editor in editors} != {recorded["endContent"]}:
                await asyncio.sleep(0.05)
        for replica in (one, two):
            assert (await replica.get("a.txt")).text == recorded["endContent"]
        for editor in editors:
            await editor.stop()


async def _catch_up(
    writer: Writer,
    parent: int,
    transactions: list[Any],
    made: list[bytes],
    clocks: list[dict[int, int]],
) -> None:
    """Have a writer know a transaction and all before it, once the service has brought it."""
    missing = []
    stack = [parent]
    while stack:
        number = stack.pop()
        if number not in writer.seen:
            writer.seen.add(number)
            missing.append(number)
            stack.extend(transactions[number].get("parents", ()))
    if not missing:
        return
    wanted = clocks[parent]
    await writer.editor.until(
        lambda: all(
            clock <= ywire.read_state_vector(writer.editor.doc.get_state()).get(client, 0)
            for client, clock in wanted.items()
        )
    )
    for number in sorted(missing):
        writer.learn(made[number])
