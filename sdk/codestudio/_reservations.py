"""Reserving and giving back: what is asked for at about the same time goes out as one call."""

import asyncio
import collections
import copy
import datetime
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from codestudio import _amounts, _errors, _messages
from codestudio._services import QuotaService
from codestudio.quota.v1 import quota_service_pb2 as pb

Request = TypeVar("Request")
Result = TypeVar("Result")

_MOST = 250
"""Requests in a call: fewer than it may hold, so that none waits long for the others."""

_CALLS = 2
"""Calls under way at once: while one is worked on, the next travels."""

_WAITING = 100_000
"""Requests that may wait; more are refused."""


class Reservation(_messages.View[pb.Reservation]):
    """What an instance holds of its namespace's quota."""

    @property
    def namespace(self) -> str:
        """Name of the namespace."""
        return self.proto.namespace

    @property
    def instance_id(self) -> str:
        """The instance that holds it."""
        return self.proto.instance_id

    @property
    def amounts(self) -> _amounts.Amounts:
        """What it holds."""
        return _amounts.read(self.proto.amounts)

    @property
    def create_time(self) -> datetime.datetime | None:
        """When it was first reserved."""
        return _messages.time(self.proto, "create_time")


class Reservations:
    """Reserves and gives back through the middle tier."""

    def __init__(self, service: QuotaService) -> None:
        self._reserving = _Merged[pb.ReserveQuotaRequest, pb.BatchReserveResult](
            _reserve_all(service)
        )
        self._releasing = _Merged[pb.ReleaseQuotaRequest, pb.BatchReleaseResult](
            _release_all(service)
        )

    async def reserve(self, request: pb.ReserveQuotaRequest, timeout: float | None) -> Reservation:
        """Reserve. Raises CodeStudioError."""
        result = await self._reserving.ask(request, timeout)
        if result.WhichOneof("outcome") == "error":
            raise _errors.from_detail(result.error)
        return Reservation(result.reservation)

    async def release(self, request: pb.ReleaseQuotaRequest, timeout: float | None) -> None:
        """Give back. Raises CodeStudioError."""
        result = await self._releasing.ask(request, timeout)
        if result.HasField("error"):
            raise _errors.from_detail(result.error)


class _Merged(Generic[Request, Result]):
    """Sends requests at once while few calls are under way, else together with the next call."""

    def __init__(self, call: Callable[[Sequence[Request]], Awaitable[Sequence[Result]]]) -> None:
        self._call = call
        self._waiting: collections.deque[tuple[Request, asyncio.Future[Result]]] = (
            collections.deque()
        )
        self._senders: set[asyncio.Task[None]] = set()

    async def ask(self, request: Request, timeout: float | None) -> Result:
        if len(self._waiting) >= _WAITING:
            raise _errors.ResourceExhausted(f"{_WAITING} requests wait already")
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if len(self._senders) < _CALLS:
            sender = asyncio.create_task(self._send(), name="send reservations")
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise _errors.DeadlineExceeded(f"no answer within {timeout:g} s") from None

    async def _send(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
            batch = [one for one in batch if not one[1].done()]
            if not batch:
                continue
            try:
                results = await self._call([request for request, _ in batch])
            except _errors.CodeStudioError as error:
                for _, answer in batch:
                    if not answer.done():
                        # One each: whoever raises an exception writes its traceback into it.
                        answer.set_exception(copy.copy(error))
            except BaseException:
                for _, answer in batch:
                    answer.cancel()
                raise
            else:
                for (_, answer), result in zip(batch, results, strict=True):
                    if not answer.done():
                        answer.set_result(result)


def _reserve_all(
    service: QuotaService,
) -> Callable[[Sequence[pb.ReserveQuotaRequest]], Awaitable[Sequence[pb.BatchReserveResult]]]:
    async def call(requests: Sequence[pb.ReserveQuotaRequest]) -> Sequence[pb.BatchReserveResult]:
        batch = pb.BatchReserveQuotaRequest(requests=requests)
        return (await service.batch_reserve_quota(batch)).results

    return call


def _release_all(
    service: QuotaService,
) -> Callable[[Sequence[pb.ReleaseQuotaRequest]], Awaitable[Sequence[pb.BatchReleaseResult]]]:
    async def call(requests: Sequence[pb.ReleaseQuotaRequest]) -> Sequence[pb.BatchReleaseResult]:
        batch = pb.BatchReleaseQuotaRequest(requests=requests)
        return (await service.batch_release_quota(batch)).results

    return call
