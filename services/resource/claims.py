"""What callers from outside may allocate and take back: nothing that contradicts an instance.

The Instance service allocates for instances it is starting and takes back from those it took
down; it is taken at its word. Anybody else is checked against its records first:

- an instance that is up has its range already, and gets nothing but that;
- one that is down has none until it is started;
- an id that no instance has may have a range ahead of its instance, for a while (`reclaim`).
"""

import dataclasses

from codestudio.instance.v1 import instance_pb2

from services.chassis import errors
from services.chassis.quantities import parse_cpu, parse_memory
from services.resource.allocator import Allocator
from services.resource.instances import Instances, is_down, state_name
from services.resource.runtimes import Runtime
from services.resource.store import Allocation
from services.resource.workload import Resources


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What a caller asks for; empty, zero and None are for what it leaves open."""

    instance_id: str
    namespace: str = ""
    cpu: int | None = None
    """Millicores."""
    memory: int | None = None
    """Bytes."""
    storage: int | None = None
    """Bytes."""
    web_port: int = 0


class Claims:
    """Allocates for callers from outside."""

    def __init__(self, *, allocator: Allocator, instances: Instances, runtime: Runtime) -> None:
        self._allocator = allocator
        self._instances = instances
        self._runtime = runtime

    async def allocate(self, wish: Wish, namespace: str, default: Resources) -> Allocation:
        """Give an instance its range, or an id a range ahead of its instance.

        Args:
            wish: What is asked for.
            namespace: Namespace of an id without an instance that leaves it open.
            default: Resources of the same.

        Raises:
            errors.FailedPrecondition: It contradicts the instance's record
                (ALLOCATION_CONTRADICTS), or the port cannot be had (PORT_UNAVAILABLE).
            errors.ResourceExhausted: PORTS_EXHAUSTED.
            errors.Unavailable: The instances cannot be asked for.
        """
        instance = await self._instances.find(wish.instance_id)
        if instance is not None:
            namespace, default = instance.namespace, resources_of(instance)
            if differences := _differences(wish, instance):
                raise errors.FailedPrecondition(
                    "ALLOCATION_CONTRADICTS",
                    f"Instance {wish.instance_id} {differences}",
                    instance_id=wish.instance_id,
                    metadata={"state": state_name(instance)},
                )
        wanted = Resources(
            wish.cpu or default.cpu, wish.memory or default.memory, wish.storage or default.storage
        )
        return await self._allocator.allocate(
            wish.instance_id, wish.namespace or namespace, wanted, web_port=wish.web_port
        )

    async def deallocate(self, instance_id: str) -> None:
        """Take back what nobody uses; nothing happens where there is nothing.

        Raises:
            errors.FailedPrecondition: The instance uses it (INSTANCE_USES_RESOURCES).
            errors.Unavailable: The instances cannot be asked for.
        """
        held = (await self._allocator.by_instance()).get(instance_id)
        instance = await self._instances.find(instance_id)
        state = "" if instance is None or is_down(instance) else state_name(instance)
        workload = self._runtime.get(instance_id)
        if not state and workload is not None and workload.phase.is_alive:
            state = workload.phase.value
        if state:
            raise errors.FailedPrecondition(
                "INSTANCE_USES_RESOURCES",
                f"Instance {instance_id} is {state} and uses its ports; stop it first",
                instance_id=instance_id,
                metadata={"state": state},
            )
        if held is not None:
            # If it was started since we asked, it has claimed its range anew, and keeps it.
            await self._allocator.take_back(held)


def resources_of(instance: instance_pb2.Instance) -> Resources:
    """Give what an instance is to have."""
    asked = instance.resources
    return Resources(parse_cpu(asked.cpu), parse_memory(asked.memory), parse_memory(asked.storage))


def _differences(wish: Wish, instance: instance_pb2.Instance) -> str:
    """Say how a wish contradicts an instance, and what to do instead; empty if it does not."""
    if is_down(instance) or instance.state == instance_pb2.INSTANCE_STATE_DELETING:
        return f"is {state_name(instance)} and has no ports; StartInstance gives it some"
    if wish.namespace not in ("", instance.namespace):
        return f"is in namespace {instance.namespace}"
    has = resources_of(instance)
    for name in ("cpu", "memory", "storage"):
        if getattr(wish, name) not in (None, getattr(has, name)):
            asked = getattr(instance.resources, name)
            return f"has {asked} of {name}; UpdateInstance changes that"
    if wish.web_port and instance.ports.web_port not in (0, wish.web_port):
        return f"has the ports from {instance.ports.web_port}"
    return ""
