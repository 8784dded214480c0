"""What comes for a channel while its document is being loaded."""

import asyncio

from codestudio.collaboration.v1 import collaborate_pb2

from services.collaboration.joining import Joining

Request = collaborate_pb2.CollaborateRequest


def _join(channel: int) -> Request:
    return Request(channel=channel, join=collaborate_pb2.Join())


def _update(channel: int, sequence: int, size: int = 0) -> Request:
    update = collaborate_pb2.Update(update=bytes(size), sequence=sequence)
    return Request(channel=channel, update=update)


class Slow:
    """Takes joins when it is told to, and everything else at once."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []
        self.loaded = asyncio.Event()

    async def take(self, request: Request) -> None:
        if request.HasField("join"):
            await self.loaded.wait()
        self.taken.append((request.channel, request.update.sequence))


async def test_a_channels_messages_stay_in_order() -> None:
    """What came behind a join is taken behind it, another join included; others wait for nobody."""
    slow = Slow()
    joining = Joining()
    joining.begin(_join(1), slow.take)
    assert all(joining.keeps(one) for one in (_update(1, 1), _join(1), _update(1, 2)))
    assert not joining.keeps(_update(2, 1))
    await asyncio.sleep(0)
    assert slow.taken == []
    slow.loaded.set()
    await asyncio.wait_for(joining.done(), 5)
    assert slow.taken == [(1, 0), (1, 1), (1, 0), (1, 2)]
    assert not joining.keeps(_update(1, 3))


async def test_what_waits_is_bounded() -> None:
    """Past a mebibyte it says that no more should be read, until that has been taken."""
    slow = Slow()
    joining = Joining()
    joining.begin(_join(1), slow.take)
    sequence = 0
    while not joining.full:
        sequence += 1
        assert joining.keeps(_update(1, sequence, 1000))
    assert 800 < sequence < 1100
    drained = asyncio.create_task(joining.drained())
    await asyncio.sleep(0)
    assert not drained.done()
    slow.loaded.set()
    await asyncio.wait_for(drained, 5)
    assert not joining.full
