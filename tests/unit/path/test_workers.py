"""File work has bounds: at once, waiting, and in time; who gives up ends it."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from services.chassis import errors
from services.path.local.workers import AbandonedError, Order, Workers


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    """Give two threads and room for one more to wait."""
    made = Workers(threads=2, queue=1, calls_each=3, seconds=lambda: 20.0)
    yield made
    await made.close()


async def until(condition: object, seconds: float = 10) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_bounds(workers: Workers) -> None:
    """Two run, one waits, the fourth is refused at once; all that was taken is done."""
    gate, running = threading.Event(), set[int]()

    def work(number: int) -> int:
        running.add(number)
        assert gate.wait(10)
        return number

    calls = [
        asyncio.create_task(
            workers.run("test", f"i{number}", lambda _, number=number: work(number))
        )
        for number in range(3)
    ]
    await until(lambda: len(running) == 2)
    with pytest.raises(errors.ResourceExhausted) as refused:
        await workers.run("test", "fox", lambda _: None)
    assert refused.value.code == "FILES_BUSY"
    assert running == {0, 1}
    gate.set()
    assert await asyncio.gather(*calls) == [0, 1, 2]
    assert await workers.run("test", "fox", lambda _: 7) == 7


async def test_given_up(workers: Workers) -> None:
    """Who is cancelled ends the work at its next check; its thread is then free again."""
    begun, ended = threading.Event(), threading.Event()

    def work(order: Order) -> None:
        begun.set()
        try:
            while True:
                order.check()
        except AbandonedError:
            ended.set()
            raise

    call = asyncio.create_task(workers.run("test", "fox", work))
    await until(begun.is_set)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(ended.is_set)
    # Both threads and the place to wait are free.
    assert await asyncio.gather(*(workers.run("test", "fox", lambda _: 1) for _ in range(3))) == [
        1,
        1,
        1,
    ]


async def test_deadline() -> None:
    """Files that do not answer are told as such in time; the thread counts until it is back."""
    workers = Workers(threads=1, queue=1, calls_each=9, seconds=lambda: 0.2)
    gate = threading.Event()
    with pytest.raises(errors.DeadlineExceeded) as slow:
        await workers.run("test", "fox", lambda _: gate.wait(10))
    assert slow.value.code == "FILES_SLOW"
    with pytest.raises(errors.DeadlineExceeded):
        await workers.run("test", "fox", lambda _: None)
    gate.set()
    async with asyncio.timeout(10):
        while True:
            try:
                assert await workers.run("test", "fox", lambda _: 1) == 1
            except errors.DeadlineExceeded:
                continue
            break
    await workers.close()


async def test_errors_come_back(workers: Workers) -> None:
    """What the work raises, its caller gets."""
    with pytest.raises(FileNotFoundError):
        await workers.run("test", "fox", lambda _: open("/no/such/file"))  # noqa: PTH123, SIM115


async def test_nobody_takes_all(workers: Workers) -> None:
    """One instance has half of the threads, however often it asks; the others go on beside it."""
    gate, running = threading.Event(), set[int]()

    def work(number: int) -> int:
        running.add(number)
        assert gate.wait(10)
        return number

    calls = [
        asyncio.create_task(workers.run("test", "greedy", lambda _, number=number: work(number)))
        for number in range(3)
    ]
    await until(lambda: running)
    with pytest.raises(errors.ResourceExhausted) as refused:
        await workers.run("test", "greedy", lambda _: None)
    assert refused.value.code == "FILES_BUSY"
    for _ in range(5):
        assert await workers.run("test", "modest", lambda _: 1) == 1
    assert len(running) == 1
    gate.set()
    assert await asyncio.gather(*calls) == [0, 1, 2]
    assert await workers.run("test", "greedy", lambda _: 1) == 1


async def test_nobody_takes_all_by_giving_up(workers: Workers) -> None:
    """Work whose caller is gone counts as the instance's until it has ended."""
    gate, running = threading.Event(), set[int]()

    def work(number: int) -> int:
        running.add(number)
        assert gate.wait(10)
        return number

    def call(number: int) -> asyncio.Task[int]:
        return asyncio.create_task(workers.run("test", "greedy", lambda _: work(number)))

    first = call(0)
    await until(lambda: running)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second, third = call(1), call(2)
    for _ in range(5):
        assert await workers.run("test", "modest", lambda _: 1) == 1
    assert running == {0}
    # The one given up is one of the three calls an instance may have.
    with pytest.raises(errors.ResourceExhausted):
        await workers.run("test", "greedy", lambda _: None)
    gate.set()
    assert await asyncio.gather(second, third) == [1, 2]
    assert await workers.run("test", "greedy", lambda _: 1) == 1
