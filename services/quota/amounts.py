"""Amounts of everything that is limited, as whole numbers."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

from services.chassis.quantities import MAX_EXACT, format_cpu, format_memory

MAX_AMOUNT = MAX_EXACT
"""The largest amount: up to here the ledger's scripts, whose numbers are doubles, are exact."""

RESOURCES = ("instances", "cpu", "memory", "storage")
"""What is limited, in the order it is told."""

_FORMAT: Mapping[str, Callable[[int], str]] = {
    "instances": str,
    "cpu": format_cpu,
    "memory": format_memory,
    "storage": format_memory,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Amounts:
    """So much of everything. Also a set of limits."""

    instances: int = 0
    """Instances."""
    cpu: int = 0
    """CPU in millicores."""
    memory: int = 0
    """Memory in bytes."""
    storage: int = 0
    """Disk in bytes."""

    def __iter__(self) -> Iterator[int]:
        """Give the numbers in the order of `RESOURCES`."""
        return iter((self.instances, self.cpu, self.memory, self.storage))

    def __bool__(self) -> bool:
        """Tell whether there is anything of anything."""
        return any(self)


def quantity(resource: str, amount: int) -> str:
    """Write an amount of a resource for people, such as ``1500m`` or ``2Gi``."""
    return _FORMAT[resource](amount)


@dataclasses.dataclass(frozen=True, slots=True)
class Shortage:
    """A limit that is in the way of a reservation."""

    resource: str
    """One of `RESOURCES`."""
    limit: int
    """The limit."""
    used: int
    """What the namespace holds, the instance in question included."""
    held: int
    """What the instance in question holds of that; its reservation would be replaced."""
    requested: int
    """What was asked for."""

    @property
    def exceeded_by(self) -> int:
        """By how much the limit would be passed."""
        return self.used - self.held + self.requested - self.limit

    def facts(self) -> dict[str, str]:
        """Give the numbers as quantities, by their names in the contract."""
        numbers = {
            "limit": self.limit,
            "used": self.used,
            "requested": self.requested,
            "exceeded_by": self.exceeded_by,
        }
        return {name: quantity(self.resource, number) for name, number in numbers.items()}

    def __str__(self) -> str:
        fact = self.facts()
        own = f" ({quantity(self.resource, self.held)} by this instance)" if self.held else ""
        return (
            f"{self.resource}: {fact['used']} of {fact['limit']} in use{own}, "
            f"{fact['requested']} asked for, {fact['exceeded_by']} over the limit"
        )
