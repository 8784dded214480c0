"""Live documents by the Python client: through Envoy, and what it adds to pycrdt by itself."""

import asyncio
import random
import statistics
import time
import uuid
from typing import Any

import codestudio
import pycrdt
from codestudio._live.edits import Edit, difference
from codestudio._live.replica import Replica

from tests.bench.figures import milliseconds
from tests.bench.target import Target

_EDITS = 3000
_TYPED = 500
_PAUSE = 0.02
_TEXTS = {"ASCII": "x" * 20_000, "beyond ASCII": "é🙂x" * 7_000}


async def measure(target: Target) -> dict[str, Any]:
    """Measure all of it."""
    found: dict[str, Any] = {name: _apart(text) for name, text in _TEXTS.items()}
    async with (
        codestudio.AsyncClient(target.gateway_url, token=target.token) as one,
        codestudio.AsyncClient(target.gateway_url, token=target.token) as other,
    ):
        found["two clients"] = await _together(one, other)
        found["join of a document of 1 MB"] = await _join(one, other)
    return found


def _apart(text: str) -> dict[str, Any]:
    """Measure single characters put into a text, and taken in from others; by pycrdt, and by us."""
    chance = random.Random(1)
    places = [chance.randint(0, len(text)) for _ in range(_EDITS)]
    in_bytes = [len(text[:place].encode()) for place in places]
    bare: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    root = bare.get("content", type=pycrdt.Text)
    root.insert(0, text)
    bare.observe(lambda event: event.update)
    by_pycrdt = _rate(lambda number: root.insert(in_bytes[number], "y"))
    updates: list[bytes] = []
    replica = Replica(updates.append)
    replica.edit([Edit(0, "", text)])
    first = len(updates)
    by_us = _rate(lambda number: replica.edit([Edit(places[number], "", "y")]))
    taking, ours = pycrdt.Doc[pycrdt.Text](), Replica(lambda _: None)
    taken = taking.get("content", type=pycrdt.Text)
    taken.observe(lambda event: getattr(event, "delta", None))
    for update in updates[:first]:
        taking.apply_update(update)
        ours.apply(update)
    taken_by_pycrdt = _rate(lambda number: taking.apply_update(updates[first + number]))
    taken_by_us = _rate(lambda number: ours.apply(updates[first + number]))
    return {
        "own edits a second": {
            "client": round(by_us),
            "pycrdt": round(by_pycrdt),
            "ratio": round(by_us / by_pycrdt, 2),
        },
        "others' edits a second": {
            "client": round(taken_by_us),
            "pycrdt": round(taken_by_pycrdt),
            "ratio": round(taken_by_us / taken_by_pycrdt, 2),
        },
    }


def _rate(act: Any) -> float:
    started = time.perf_counter()
    for number in range(_EDITS):
        act(number)
    return _EDITS / (time.perf_counter() - started)


async def _together(one: codestudio.AsyncClient, other: codestudio.AsyncClient) -> dict[str, Any]:
    """Measure from a keystroke to the other client, and to the acknowledgement."""
    project = f"bench-{uuid.uuid4().hex[:8]}"
    sent: dict[str, float] = {}
    seen: list[float] = []

    async def watch(document: codestudio.AsyncDocument) -> None:
        async for change in document.changes():
            now = time.perf_counter()
            lines = "".join(edit.inserted for edit in change.edits).split("\n")
            seen.extend(now - sent.pop(line) for line in lines if line in sent)

    async with (
        one.documents.open(project, "a", content="") as a,
        other.documents.open(project, "a") as b,
    ):
        watching = asyncio.create_task(watch(b))
        await asyncio.sleep(0)
        for number in range(_TYPED):
            sent[str(number)] = time.perf_counter()
            a.insert(0, f"{number}\n")
            await asyncio.sleep(_PAUSE)
        while sent:
            await asyncio.sleep(_PAUSE)
        watching.cancel()
        acknowledged = []
        for _ in range(100):
            started = time.perf_counter()
            a.insert(0, "x")
            await a.flush()
            acknowledged.append(time.perf_counter() - started)
        unary = []
        for _ in range(100):
            started = time.perf_counter()
            await one.documents.get(project, "a")
            unary.append(time.perf_counter() - started)
    base = statistics.median(unary)
    return {
        "seen by the other": milliseconds(seen),
        "acknowledged": milliseconds(acknowledged),
        "GetDocument": milliseconds(unary),
        "seen, ratio": round(statistics.median(seen) / base, 2),
        "acknowledged, ratio": round(statistics.median(acknowledged) / base, 2),
    }


async def _join(one: codestudio.AsyncClient, other: codestudio.AsyncClient) -> dict[str, Any]:
    project = f"bench-{uuid.uuid4().hex[:8]}"
    text = "".join(f"{number} some line of text\n" for number in range(48_000))
    await one.documents.create(project, "a", text)
    joins, reads = [], []
    for _ in range(5):
        started = time.perf_counter()
        async with other.documents.open(project, "a") as document:
            joins.append(time.perf_counter() - started)
            assert document.text == text
        started = time.perf_counter()
        await one.documents.get(project, "a")
        reads.append(time.perf_counter() - started)
    started = time.perf_counter()
    difference(text, text.replace("777 some", "777 other"))
    return {
        "join": milliseconds(joins),
        "GetDocument": milliseconds(reads),
        "ratio": round(statistics.median(joins) / statistics.median(reads), 2),
        "a difference of 48 lines in it, ms": round((time.perf_counter() - started) * 1000),
    }
