"""Faults happen to a stack that holds nothing but what their test made."""

import asyncio
from collections.abc import AsyncIterator

import codestudio
import pytest


@pytest.fixture(autouse=True)
async def empty(client: codestudio.AsyncClient) -> AsyncIterator[None]:
    """Delete every instance, before and after."""
    await _delete_all(client)
    yield
    await _delete_all(client)


async def _delete_all(client: codestudio.AsyncClient) -> None:
    left = [item async for item in client.instances.list()]
    await asyncio.gather(*(item.delete() for item in left))
    await asyncio.gather(*(item.wait_until_deleted(timeout=60) for item in left))
