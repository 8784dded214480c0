"""Which processors an instance may use: as many as its limit, rounded up, and spread evenly."""

import collections
import math
from collections.abc import Collection


class Processors:
    """Assigns processors to instances; in memory, taken over from what runs after a restart."""

    def __init__(self, available: Collection[int]) -> None:
        """Begin with none assigned.

        Args:
            available: Numbers of the processors there are for instances.
        """
        self._available = frozenset(available)
        self._assigned: dict[str, frozenset[int]] = {}

    def assign(self, instance_id: str, millicores: int, has: Collection[int]) -> frozenset[int]:
        """Give the processors of an instance; the same ones as long as their number is right.

        Args:
            instance_id: The instance.
            millicores: Its limit of CPU.
            has: What it runs on now: kept where nothing was assigned yet, as after a restart.
        """
        count = min(len(self._available), max(1, math.ceil(millicores / 1000)))
        known = self._assigned.get(instance_id, frozenset(has) & self._available)
        if len(known) != count:
            known = frozenset(self._least_used(instance_id)[:count])
        self._assigned[instance_id] = known
        return known

    def forget(self, instance_id: str) -> None:
        """Assign an instance's processors to others."""
        self._assigned.pop(instance_id, None)

    def all_of_them(self, millicores: int) -> bool:
        """Whether a limit leaves an instance all processors, so that it holds nothing back."""
        return math.ceil(millicores / 1000) >= len(self._available)

    def _least_used(self, instance_id: str) -> list[int]:
        uses: collections.Counter[int] = collections.Counter()
        for name, processors in self._assigned.items():
            if name != instance_id and len(processors) < len(self._available):
                uses.update(processors)
        return sorted(self._available, key=lambda one: (uses[one], one))
