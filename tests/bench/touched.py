"""Memory of one replica while ever more documents are touched, with the product's settings."""

import asyncio
import itertools
import urllib.request
from typing import Any

import psutil
from codestudio.collaboration.v1 import (
    collaboration_service_pb2,
    collaboration_service_pb2_grpc,
    document_pb2,
)

from tests.bench.figures import mebibytes
from tests.bench.target import Target

STEPS = (500, 1_000, 2_000)
_AT_ONCE = 8
_KEPT = 400
"""`ROOMS_KEPT` as it is by default."""
_PATIENCE = 120.0
_CONTENT = "0123456789abcde\n" * 1024


async def measure(target: Target) -> dict[str, Any]:
    """Touch 2,000 documents of 16 KiB on one replica, then read each of them.

    Raises:
        AssertionError: One does not read right.
        TimeoutError: More stay in memory than may.
    """
    found: dict[str, Any] = {}
    async with target.channel("collaboration") as channel:
        stub = collaboration_service_pb2_grpc.CollaborationServiceStub(channel)
        numbers = asyncio.Semaphore(_AT_ONCE)

        async def touch(number: int) -> None:
            request = collaboration_service_pb2.OpenDocumentRequest(
                name=_name(number), initial_content=f"{number}\n{_CONTENT}"
            )
            change = collaboration_service_pb2.CodeChange(name=_name(number), text="edited ")
            change.offset.start = 0
            edit = collaboration_service_pb2.SyncCodeRequest(instance_id="bench", changes=[change])
            async with numbers:
                await stub.OpenDocument(request, metadata=target.metadata, timeout=60)
                await stub.SyncCode(edit, metadata=target.metadata, timeout=60)

        async def read(number: int) -> None:
            request = collaboration_service_pb2.GetDocumentRequest(name=_name(number))
            async with numbers:
                kept = await stub.GetDocument(request, metadata=target.metadata, timeout=60)
            assert kept.text == f"edited {number}\n{_CONTENT}", number

        found["at rest"] = await _memory(target)
        for begin, end in itertools.pairwise((0, *STEPS)):
            await asyncio.gather(*(touch(number) for number in range(begin, end)))
            found[f"after {end}"] = await _memory(target)
        await asyncio.gather(*(read(number) for number in range(STEPS[-1])))
        found["after reading all again"] = await _memory(target)
    return found


def _name(number: int) -> document_pb2.DocumentName:
    return document_pb2.DocumentName(project="bench-touched", path=f"{number}.txt")


async def _memory(target: Target) -> dict[str, float]:
    """Give the memory once no more documents are loaded than may stay."""
    async with asyncio.timeout(_PATIENCE):
        while (loaded := await asyncio.to_thread(_loaded, target)) > _KEPT:
            await asyncio.sleep(0.5)
    resident = psutil.Process(target.stack.pid("collaboration")).memory_info().rss
    return {"documents": loaded, "resident_mib": mebibytes(resident)}


def _loaded(target: Target) -> int:
    port = target.stack.plan.ports.admin("collaboration")
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("codestudio_collaboration_documents_loaded "):
                return int(float(line.split()[1]))
    raise RuntimeError("the replica does not tell how many documents it has")
