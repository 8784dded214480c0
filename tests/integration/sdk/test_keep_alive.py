"""Keeping an instance alive, for a while or for as long as a block runs."""

import asyncio
import datetime
import time

import codestudio
import grpc
import pytest

from tests.integration.sdk.faulty import Fault
from tests.integration.sdk.gateway import Gateway

UNAVAILABLE = Fault(grpc.StatusCode.UNAVAILABLE, text="reset")


async def test_a_lease(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """The length reaches the service; the answer says until when."""
    instance = await aclient.instances.create("a")
    await instance.keep_alive(datetime.timedelta(hours=2))
    assert gateway.requests("KeepInstanceAlive")[0].duration.seconds == 7200
    assert instance.keep_alive_until is not None
    assert (await aclient.instances.keep_alive("a", 0)).id == "a"
    assert gateway.requests("KeepInstanceAlive")[1].HasField("duration")


async def test_a_block_renews_in_time(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """Before each lease ends, whatever a gateway that is away for a moment; none afterwards."""
    instance = await aclient.instances.create("a")
    async with instance.kept_alive(0.3) as kept, asyncio.timeout(20):
        gateway.faults["KeepInstanceAlive"] = [UNAVAILABLE] * 2
        while len(gateway.requests("KeepInstanceAlive")) < 6:
            await asyncio.sleep(0.01)
        assert kept.lost is None
    renewals = len(gateway.requests("KeepInstanceAlive"))
    await asyncio.sleep(0.3)
    assert len(gateway.requests("KeepInstanceAlive")) == renewals


async def test_a_refusal_ends_renewing(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """Who stopped the instance is not worked against, and the block can tell."""
    instance = await aclient.instances.create("a")
    async with instance.kept_alive(0.1) as kept, asyncio.timeout(20):
        await instance.delete()
        while kept.lost is None:
            await asyncio.sleep(0.01)
        renewals = len(gateway.requests("KeepInstanceAlive"))
        await asyncio.sleep(0.2)
        assert len(gateway.requests("KeepInstanceAlive")) == renewals
    assert isinstance(kept.lost, codestudio.NotFound)


async def test_a_block_begins_with_a_lease_or_not_at_all(
    aclient: codestudio.AsyncClient,
) -> None:
    """What cannot be kept alive is said at once."""
    instance = await aclient.instances.create("a", wait=True)
    await instance.delete()
    await instance.wait_until_deleted(timeout=10)
    with pytest.raises(codestudio.NotFound):
        async with instance.kept_alive():
            raise AssertionError("never reached")


def test_for_ordinary_code(gateway: Gateway, sclient: codestudio.Client) -> None:
    """The same with `with`, renewed while the block is busy with other things."""
    instance = sclient.instances.create("a")
    with instance.kept_alive(0.3) as kept:
        deadline = time.monotonic() + 20
        while len(gateway.requests("KeepInstanceAlive")) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert kept.lost is None
    sclient.instances.keep_alive("a", 60)
    instance.keep_alive(60)
