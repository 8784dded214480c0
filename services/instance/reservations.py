"""Reservations of quota: those asked for at about the same time travel as one call.

Many are, where many instances are created at once. Each is granted or refused by itself, and what
the Quota service does twice it has done once: so whoever is told of a failure, or nothing, gives
back what may have been reserved.
"""

import asyncio
import contextlib
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
        self._merged = merging.Merged[tuple[context.RequestContext, pb.ReserveQuotaRequest], None](
            self._reserve,
            name="reserve quota",
            at_once=2,
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

    async def _reserve(
        self, asked: Sequence[tuple[context.RequestContext, pb.ReserveQuotaRequest]]
    ) -> Sequence[errors.DomainError | None]:
        requests = [request for _, request in asked]
        stub = self._mesh.stub(quota_service_pb2_grpc.QuotaServiceStub)
        with self._on_behalf_of([asker for asker, _ in asked]):
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
        """Call as the one asker, or as nobody in particular: deadlines are not shared."""
        if len(askers) == 1:
            # The task is shared with whoever comes after it: each sets its own.
            context.enter(askers[0])
            yield
        else:
            with context.scope("reserve quota", seconds=self._seconds):
                yield


_KINDS = {"QUOTA_EXCEEDED": errors.ResourceExhausted, "INVALID_ARGUMENT": errors.InvalidArgument}
"""What a reservation of a batch can be refused with, which is told without its status."""
