"""Does file work on threads: so many at once, so many waiting, and none for longer than a time."""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from prometheus_client import Gauge, Histogram

from services.chassis import context, errors

_SECONDS = Histogram(
    "codestudio_path_work_seconds",
    "Time file work took once it had a thread, in seconds.",
    ("work",),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_WAITING = Gauge("codestudio_path_work_waiting", "File work that waits for a thread.")

Result = TypeVar("Result")


class AbandonedError(Exception):
    """Nobody waits for this work any more."""


class Order:
    """What work must look at while it is done."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        """When whoever asked stops waiting, by `time.monotonic`."""
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Have the work end at its next check."""
        self._given_up.set()

    def check(self) -> None:
        """Raise AbandonedError when nobody waits any more."""
        if self._given_up.is_set():
            raise AbandonedError


class _Share:
    """What one instance has of the threads: half, so that others never wait for it alone."""

    def __init__(self, threads: int) -> None:
        self.turns = asyncio.Semaphore(max(1, threads // 2))
        self.calls = 0
        """Calls that have a turn or wait for one."""


class Workers:
    """Threads that touch files, so that the event loop never does."""

    def __init__(
        self, *, threads: int, queue: int, calls_each: int, seconds: Callable[[], float]
    ) -> None:
        """Prepare.

        Args:
            threads: Work done at once; of one instance, half of that.
            queue: Work that may wait for a thread.
            calls_each: Work of one instance, waiting or done.
            seconds: Gives the longest time for one piece of work, its waiting included.
        """
        self._threads = threads
        self._calls_each = calls_each
        self._shares: dict[str, _Share] = {}
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, "files")
        self._free = asyncio.Semaphore(threads)
        self._queue = queue
        self._seconds = seconds
        self._waiting = 0
        self._orders: set[Order] = set()

    async def run(self, name: str, instance_id: str, work: Callable[[Order], Result]) -> Result:
        """Have work done on a thread.

        Args:
            name: What it is, for the metrics.
            instance_id: Whose files it is about.
            work: What to do; it looks at its order often.

        Whoever gives up waiting ends the work at its next check; until then it keeps its thread,
        and its part of what the instance may have.

        Raises:
            errors.DeadlineExceeded: It was not done in time (FILES_SLOW).
            errors.ResourceExhausted: Too much waits already (FILES_BUSY).
        """
        seconds = context.timeout(self._seconds())
        order = Order(time.monotonic() + seconds)
        try:
            async with asyncio.timeout(seconds):
                with contextlib.ExitStack() as held:
                    await self._share(instance_id, held)
                    await self._turn(held)
                    return await self._do(name, work, order, held)
        except TimeoutError as error:
            raise errors.DeadlineExceeded(
                "FILES_SLOW", f"The files did not answer within {seconds:g} s; try again later"
            ) from error

    async def close(self) -> None:
        """End all work at its next check; start none any more."""
        for order in self._orders:
            order.give_up()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _share(self, instance_id: str, held: contextlib.ExitStack) -> None:
        """Wait for one of the instance's turns."""
        share = self._shares.setdefault(instance_id, _Share(self._threads))
        if share.calls >= self._calls_each:
            raise _busy(f"{share.calls} calls look at the files of {instance_id}", share.calls)
        share.calls += 1
        held.callback(self._leave, instance_id, share)
        await share.turns.acquire()
        held.callback(share.turns.release)

    def _leave(self, instance_id: str, share: _Share) -> None:
        share.calls -= 1
        if not share.calls:
            del self._shares[instance_id]

    async def _turn(self, held: contextlib.ExitStack) -> None:
        """Wait for a thread."""
        if self._free.locked():
            if self._waiting >= self._queue:
                raise _busy(f"{self._waiting} calls wait for files", self._queue)
            self._waiting += 1
            _WAITING.set(self._waiting)
            try:
                await self._free.acquire()
            finally:
                self._waiting -= 1
                _WAITING.set(self._waiting)
        else:
            await self._free.acquire()
        held.callback(self._free.release)

    async def _do(
        self,
        name: str,
        work: Callable[[Order], Result],
        order: Order,
        held: contextlib.ExitStack,
    ) -> Result:
        def timed() -> Result:
            with _SECONDS.labels(name).time():
                return work(order)

        future = asyncio.get_running_loop().run_in_executor(self._pool, timed)
        self._orders.add(order)
        # What the work holds it keeps until it is done, whoever still waits for it by then.
        kept = held.pop_all()
        kept.callback(self._orders.discard, order)
        future.add_done_callback(lambda _: kept.close())
        try:
            return await asyncio.shield(future)
        finally:
            if not future.done():
                order.give_up()
                future.add_done_callback(_forget)


def _busy(what: str, limit: int) -> errors.ResourceExhausted:
    return errors.ResourceExhausted(
        "FILES_BUSY", f"{what} already; try again shortly", metadata={"limit": str(limit)}
    )


def _forget(future: "asyncio.Future[Result]") -> None:
    """Look at an error nobody waits for, or asyncio would complain of it."""
    with contextlib.suppress(asyncio.CancelledError):
        future.exception()
