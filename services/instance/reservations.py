"""Reservations of quota: those asked for at about the same time travel as one call.

Many are, where many instances are created at once. Each is granted or refused by itself, and what
the Quota service does twice it has done once: so whoever is told of a failure, or nothing, gives
back what may have been reserved. A call goes on without those who have gone: what is given back
before it is `settled` may be reserved after that.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

from codestudio.quota.v1 import quota_service_pb2 as pb
from codestudio.quota.v1 import quota_service_pb2_grpc

from services.chassis import context, errors, merging, mesh

_MOST = 250
"""Reservations in a call at most: fewer than it may hold, so that none waits long for others."""


class Reservations:
    """Reserves through the mesh."""

    def __init__(self, *, mesh: mesh.Mesh, seconds: float) -> None:
        """Prepare.

        Args:
            mesh: The way to the Quota service.
            seconds: Longest wait for a reservation.
        """
        self._mesh = mesh
        self._seconds = seconds
        self._under_way: dict[str, asyncio.Future[None]] = {}
        """By instance, the end of the last call that reserves for it."""
        self._merged = merging.Merged[tuple[context.RequestContext, pb.ReserveQuotaRequest], None](
            self._reserve,
            name="reserve quota",
            # Two would share what comes: twice the calls for the same.
            at_once=1,
            most=_MOST,
            refusal=lambda: errors.Unavailable(
                "QUOTA_OVERLOADED",
                f"{merging.WAITING} reservations wait already; try again shortly",
            ),
        )

    async def reserve(self, request: pb.ReserveQuotaRequest) -> None:
        """Reserve.

        Raises:
            errors.DomainError: As ReserveQuota answers.
        """
        try:
            async with asyncio.timeout(context.timeout(self._seconds)):
                await self._merged.ask((context.current(), request))
        except TimeoutError:
            raise errors.DeadlineExceeded(
                "DEADLINE_EXCEEDED", "The reservation of quota took too long"
            ) from None

    async def settled(self, instance_id: str) -> None:
        """Wait until no call that reserves for an instance is under way, whoever asked."""
        while call := self._under_way.get(instance_id):
            await asyncio.wait([call])

    async def _reserve(
        self, asked: Sequence[tuple[context.RequestContext, pb.ReserveQuotaRequest]]
    ) -> Sequence[errors.DomainError | None]:
        requests = [request for _, request in asked]
        with self._marked([request.instance_id for request in requests]):
            return await self._call([asker for asker, _ in asked], requests)

    @contextlib.contextmanager
    def _marked(self, instance_ids: Sequence[str]) -> Iterator[None]:
        call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way |= dict.fromkeys(instance_ids, call)
        try:
            yield
        finally:
            call.set_result(None)
            for one in set(instance_ids):
                if self._under_way[one] is call:
                    del self._under_way[one]

    async def _call(
        self, askers: Sequence[context.RequestContext], requests: Sequence[pb.ReserveQuotaRequest]
    ) -> Sequence[errors.DomainError | None]:
        stub = self._mesh.stub(quota_service_pb2_grpc.QuotaServiceStub)
        with self._on_behalf_of(askers):
            if len(requests) == 1:
                await stub.ReserveQuota(requests[0], timeout=self._seconds)
                return [None]
            answer = await stub.BatchReserveQuota(
                pb.BatchReserveQuotaRequest(requests=requests), timeout=self._seconds
            )
        return [
            errors.from_detail(one.error, _KINDS.get(one.error.code, errors.FailedPrecondition))
            if one.HasField("error")
            else None
            for one in answer.results
        ]

    @contextlib.contextmanager
    def _on_behalf_of(self, askers: Sequence[context.RequestContext]) -> Iterator[None]:
        """Call as the one asker, or as nobody in particular. Deadlines are the askers' own.

        A call that ended with its asker's patience would still be carried out.
        """
        if len(askers) == 1:
            # The task is shared with whoever comes after it: each sets its own.
            context.enter(dataclasses.replace(askers[0], deadline=None))
            yield
        else:
            with context.scope("reserve quota", seconds=self._seconds):
                yield


_KINDS = {"QUOTA_EXCEEDED": errors.ResourceExhausted, "INVALID_ARGUMENT": errors.InvalidArgument}
"""What a reservation of a batch can be refused with, which is told without its status."""
