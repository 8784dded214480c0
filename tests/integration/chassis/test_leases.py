"""Leases on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from services.chassis import errors, leases
from tests.integration.quota.valkey import Valkey

KEY = "lease:instance:a"


@pytest.fixture
async def client(own_valkey: Valkey) -> AsyncIterator[redis.Redis]:
    async with redis.Redis.from_url(own_valkey.url, decode_responses=True) as connected:
        yield connected


async def test_one_holder_at_a_time(client: redis.Redis) -> None:
    """Of many who try at once one gets it; after its release the next does."""
    rivals = [leases.Lease(client, KEY, 10) for _ in range(20)]
    won = await asyncio.gather(*(one.try_acquire() for one in rivals))
    assert sum(won) == 1
    winner = rivals[won.index(True)]
    assert winner.held
    await winner.release()
    assert not winner.held
    assert await rivals[won.index(False)].try_acquire()


async def test_a_context_holds_it_beyond_its_ttl(client: redis.Redis) -> None:
    """Renewed while the body runs, given back at its end, refused to others meanwhile."""
    async with leases.Lease(client, KEY, 5) as lease:
        renewed, left = 0, await client.pttl(KEY)
        async with asyncio.timeout(30):
            while renewed < 2:
                await asyncio.sleep(0.05)
                before, left = left, await client.pttl(KEY)
                renewed += left > before
        with pytest.raises(errors.Aborted, match="LEASE_HELD"):
            async with leases.Lease(client, KEY, 5):
                pass
        assert lease.held
    assert not await client.exists(KEY)


async def test_a_dead_holder_loses_it(client: redis.Redis) -> None:
    """It ends by itself after its ttl."""
    assert await leases.Lease(client, KEY, 0.2).try_acquire()
    heir = leases.Lease(client, KEY, 10)
    async with asyncio.timeout(5):
        while not await heir.try_acquire():
            await asyncio.sleep(0.02)


async def test_a_lost_lease_is_noticed_and_not_taken_back(client: redis.Redis) -> None:
    """Who lost it learns so, and neither renews nor releases the other's."""
    async with leases.Lease(client, KEY, 0.3) as lease:
        await client.set(KEY, "somebody else")
        await asyncio.wait_for(lease.lost.wait(), 5)
        assert not lease.held
        assert not await lease.renew()
    assert await client.get(KEY) == "somebody else"


async def test_without_redis_it_counts_as_lost_after_its_ttl(
    client: redis.Redis, own_valkey: Valkey
) -> None:
    """Somebody else could hold it by then; leaving the body raises nothing of that."""
    async with leases.Lease(client, KEY, 0.3) as lease:
        own_valkey.kill()
        await asyncio.wait_for(lease.lost.wait(), 15)
