"""What instances must hold, and where the ledger says otherwise. Decisions only, no I/O."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping

from codestudio.instance.v1 import instance_pb2

from services.chassis.quantities import parse_cpu, parse_memory
from services.quota.amounts import Amounts
from services.quota.store import Reservation

Held = Mapping[str, Mapping[str, Reservation]]
"""Reservations by namespace and instance id."""

_NOTHING_IN_STATE = frozenset(
    {instance_pb2.INSTANCE_STATE_FAILED, instance_pb2.INSTANCE_STATE_DELETING}
)


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """An instance whose reservation is not what its record says. Equal ones are the same."""

    namespace: str
    """Namespace of the reservation."""
    instance_id: str
    """The instance."""
    looked_at: str
    """The reservation as it is stored; empty for none."""
    amounts: Amounts | None
    """What it must hold; None for nothing."""
    before: Amounts | None = dataclasses.field(default=None, compare=False)
    """What it holds; None for nothing."""
    reserve_time: datetime.datetime | None = dataclasses.field(default=None, compare=False)
    """When it was last reserved."""
    reason: str = dataclasses.field(default="", compare=False)
    """Why, for people."""

    @property
    def kind(self) -> str:
        """What a repair does: ``release``, ``reserve`` or ``resize``."""
        if self.amounts is None:
            return "release"
        return "resize" if self.looked_at else "reserve"

    @property
    def shrinks(self) -> bool:
        """Whether less of anything would be held."""
        after = self.amounts or Amounts()
        return any(held > to_hold for held, to_hold in zip(self.before or (), after, strict=False))


def holding(instance: instance_pb2.Instance) -> Amounts | None:
    """Tell what an instance must hold: all while it is to run, its disk while it is stopped.

    A failed one keeps its disk but holds nothing (DESIGN §5), nor does one being deleted.

    Raises:
        ValueError: The record has resources that are no quantities.
    """
    if (
        instance.state in _NOTHING_IN_STATE
        or instance.desired_state == instance_pb2.DESIRED_STATE_DELETED
    ):
        return None
    storage = parse_memory(instance.resources.storage)
    if (
        instance.state == instance_pb2.INSTANCE_STATE_STOPPED
        or instance.desired_state == instance_pb2.DESIRED_STATE_STOPPED
    ):
        return Amounts(instances=1, storage=storage)
    return Amounts(
        instances=1,
        cpu=parse_cpu(instance.resources.cpu),
        memory=parse_memory(instance.resources.memory),
        storage=storage,
    )


def differences(held: Held, instances: Iterable[instance_pb2.Instance]) -> set[Difference]:
    """Compare reservations with records.

    Raises:
        ValueError: A record has resources that are no quantities.
    """
    found: set[Difference] = set()
    due: set[tuple[str, str]] = set()
    states: dict[tuple[str, str], str] = {}
    for instance in instances:
        amounts = holding(instance)
        states[instance.namespace, instance.id] = _told(instance)
        if amounts is None:
            continue
        due.add((instance.namespace, instance.id))
        reservation = held.get(instance.namespace, {}).get(instance.id)
        if reservation is None or reservation.amounts != amounts:
            found.add(
                Difference(
                    instance.namespace,
                    instance.id,
                    reservation.text if reservation else "",
                    amounts,
                    reservation.amounts if reservation else None,
                    reservation.reserve_time if reservation else None,
                    _told(instance),
                )
            )
    for namespace, reservations in held.items():
        for instance_id, reservation in reservations.items():
            key = (namespace, instance_id)
            if key not in due:
                reason = states.get(key, "there is no such instance")
                found.add(
                    Difference(
                        *key,
                        reservation.text,
                        None,
                        reservation.amounts,
                        reservation.reserve_time,
                        reason,
                    )
                )
    return found


def _told(instance: instance_pb2.Instance) -> str:
    """Say what a record says."""
    state = instance_pb2.InstanceState.Name(instance.state).removeprefix("INSTANCE_STATE_")
    desired = instance_pb2.DesiredState.Name(instance.desired_state)
    return f"the instance is {state}, to be {desired.removeprefix('DESIRED_STATE_')}"
