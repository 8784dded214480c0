"""The outbox: what goes into the log together, and when."""

import asyncio
from collections.abc import Iterator
from typing import cast

import nats.js.errors
import pycrdt
import pytest

from services.chassis import errors
from services.collaboration import entry, storing
from services.collaboration.log import Log
from services.collaboration.names import Name
from services.collaboration.outbox import Outbox
from services.collaboration.subscriber import Promise

_TICK = 0.3
_ADA = entry.Author("ada", "Ada")


class _SlowLog:
    """A log that takes as long to store an entry as the test has it take."""

    def __init__(self) -> None:
        self.began: asyncio.Queue[tuple[float, entry.Draft]] = asyncio.Queue()
        """The entries, and when each was to be stored."""
        self.stored = asyncio.Event()

    async def store(self, _name: Name, _epoch: str, draft: entry.Draft) -> None:
        """Store an entry."""
        self.began.put_nowait((asyncio.get_running_loop().time(), draft))
        await self.stored.wait()


def _outbox(log: object, given_up: list[errors.DomainError], *, give_up: float = 60.0) -> Outbox:
    return Outbox(
        name=Name("default", "p", "a.txt"),
        epoch="e",
        log=cast("Log", log),
        origin="here",
        tick=_TICK,
        give_up=give_up,
        on_give_up=given_up.append,
    )


def _edits() -> Iterator[bytes]:
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    found = doc.get("content", type=pycrdt.Text)
    while True:
        before = doc.get_state()
        found += "x"
        yield doc.get_update(before)


async def test_what_comes_at_the_same_moment_goes_together_one_entry_a_tick() -> None:
    """So does what comes while it is being stored: however fast the log is, in the next tick."""
    log = _SlowLog()
    box = _outbox(log, [])
    edits = _edits()

    def add(numbers: range) -> None:
        for number in numbers:
            box.add(next(edits), _ADA, None, request=str(number))

    started = asyncio.get_running_loop().time()
    add(range(40))
    async with asyncio.timeout(10):
        _, first = await log.began.get()
        for number in range(40, 80):
            add(range(number, number + 1))
            await asyncio.sleep(0)
        log.stored.set()
        at, second = await log.began.get()
    assert [*first.requests] == [str(number) for number in range(40)]
    assert [*second.requests] == [str(number) for number in range(40, 80)]
    assert at - started >= _TICK
    for draft in (first, second):
        assert box.arrived(draft.id, 1)
    await box.settle()
    assert log.began.empty()


class _RefusingLog:
    """A log that JetStream answers with an error."""

    def __init__(self, *answers: nats.js.errors.APIError) -> None:
        self._answers = [*answers]
        self.tries = 0

    async def store(self, _name: Name, _epoch: str, _draft: entry.Draft) -> None:
        """Store an entry when the errors are used up."""
        self.tries += 1
        if self._answers:
            raise self._answers.pop(0)


async def test_what_can_never_be_stored_is_not_tried_again() -> None:
    """It is given up at once, and whoever waits is told."""
    refusal = nats.js.errors.BadRequestError(code=400, err_code=10054)
    log = _RefusingLog(refusal)
    given_up: list[errors.DomainError] = []
    box = _outbox(log, given_up)
    promise = Promise()
    box.add(next(_edits()), _ADA, promise)
    async with asyncio.timeout(10):
        with pytest.raises(errors.Unavailable):
            await promise.revision
        await box.settle()
    assert log.tries == 1
    assert [one.code for one in given_up] == ["NATS_UNAVAILABLE"]


async def test_what_cannot_be_stored_just_now_is_tried_again() -> None:
    """A batch that JetStream has lost some of is refused as a bad request too."""
    log = _RefusingLog(
        nats.js.errors.ServiceUnavailableError(code=503),
        nats.js.errors.BadRequestError(code=400, err_code=10176),
    )
    given_up: list[errors.DomainError] = []
    box = _outbox(log, given_up)
    box.add(next(_edits()), _ADA, None)
    async with asyncio.timeout(10):
        while log.tries < 3:
            await asyncio.sleep(0.01)
    assert not given_up
    assert box.size
    await box.close(storing.unavailable())
