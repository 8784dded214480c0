"""Brings port ranges back that nobody has any more: compares them with the instances.

A range is given back by the Instance service when its instance is down. Killed between two steps,
or after data was lost, it may leave one behind, which no instance would ever give back. A range
is taken back when

- its instance is gone or down, and nothing of it runs;
- two looks in a row saw the very same allocation so, and nobody claimed it since;
- if there is no such instance: it is older than a range may wait for its instance.

If the instances cannot be listed to the end, nothing is taken back.
"""

import asyncio
import datetime

import structlog
from prometheus_client import Counter, Gauge

from services.chassis import clock, context, errors
from services.resource.allocator import Allocator
from services.resource.instances import Instances, is_down
from services.resource.runtimes import Runtime
from services.resource.store import Allocation

_log = structlog.get_logger(__name__)

RECLAIMED = Counter(
    "codestudio_port_ranges_reclaimed", "Port ranges taken back that no instance had any more."
)
COMPARISONS = Counter(
    "codestudio_port_ranges_comparisons",
    "Comparisons of port ranges with instances, by outcome.",
    ("outcome",),
)
USED = Gauge("codestudio_port_ranges_used", "Port ranges in use.")

_PASS_SECONDS = 30.0


class Reclaim:
    """Compares and takes back."""

    def __init__(
        self,
        *,
        allocator: Allocator,
        instances: Instances,
        runtime: Runtime,
        every_seconds: float,
        unclaimed_seconds: float,
    ) -> None:
        """Begin with nothing suspected.

        Args:
            allocator: Knows the allocations.
            instances: Knows the instances.
            runtime: Knows what runs.
            every_seconds: Time between two looks.
            unclaimed_seconds: How long a range may wait for its instance to be created.
        """
        self._allocator = allocator
        self._instances = instances
        self._runtime = runtime
        self._every = every_seconds
        self._unclaimed = datetime.timedelta(seconds=unclaimed_seconds)
        self._suspected: dict[str, Allocation] = {}

    async def run(self) -> None:
        """Compare for ever."""
        while True:
            try:
                with context.scope("compare port ranges", seconds=_PASS_SECONDS):
                    await self.once()
                COMPARISONS.labels("compared").inc()
            except Exception as error:
                known = errors.from_exception(error)
                if isinstance(known, errors.Internal):
                    raise
                self._suspected = {}
                COMPARISONS.labels("failed").inc()
                _log.info("port ranges are not compared", code=known.code, why=known.message)
            await asyncio.sleep(self._every)

    async def once(self) -> list[str]:
        """Look once, and take back what the look before saw too; gives whose ranges those were.

        Raises:
            errors.DomainError: The instances cannot be listed; nothing was taken back.
        """
        # In this order: what is allocated has a record, and is allocated only while it is up.
        allocations = await self._allocator.by_instance()
        instances = await self._instances.all()
        USED.set(len(allocations))
        running = {one.instance_id for one in self._runtime.list() if one.phase.is_alive}
        found: dict[str, Allocation] = {}
        for name, allocation in allocations.items():
            instance = instances.get(name)
            if name in running or (instance is not None and not is_down(instance)):
                continue
            if instance is None and clock.now() - allocation.allocated_at < self._unclaimed:
                continue
            found[name] = allocation
        taken = []
        for name, allocation in found.items():
            before = self._suspected.get(name)
            same = before == allocation and before.claim == allocation.claim
            if same and await self._allocator.take_back(allocation):
                taken.append(name)
                RECLAIMED.inc()
                _log.warning(
                    "port range taken back that no instance has",
                    instance_id=name,
                    port=allocation.web_port,
                )
        self._suspected = {name: one for name, one in found.items() if name not in taken}
        return taken
