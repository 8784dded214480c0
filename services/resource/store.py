"""Allocations in Redis. The only module that knows its keys and scripts.

``port_ranges`` is the index: a hash of first port → the whole allocation as JSON. Every
decision is one script on this one key, so it is atomic also in a Redis Cluster, where the
specification's keys, which have no hash tag, could not be used together with it.

``port_allocations:<instance id>`` is the specification's hash, written after the decision.
Whatever a crash or lost data leaves of the two, each rebuilds the other (`reconcile`).
"""

import dataclasses
import datetime
import enum
import json
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import Any, cast

import redis.asyncio
from redis.commands.core import AsyncScript

from services.chassis import clock, connectors
from services.resource.ports import PortPlan
from services.resource.workload import Resources

_INDEX = "port_ranges"
_HASH = "port_allocations:"
_SCAN_COUNT = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Allocation:
    """What an instance has."""

    instance_id: str
    namespace: str
    web_port: int
    """First port of its range."""
    resources: Resources
    allocated_at: datetime.datetime
    claim: str = dataclasses.field(default="", compare=False)
    """Changes whenever it is claimed, also by who has it: what was decided on an earlier look
    does not hold any more."""
    size: int = dataclasses.field(default=0, compare=False)
    """Ports in its range, as the plan was at that time; 0 where nobody noted it."""


class Verdict(enum.Enum):
    """What became of a claim."""

    HELD = "HELD"
    """The instance has a range already."""
    CLAIMED = "CLAIMED"
    """It has one now."""
    TAKEN = "TAKEN"
    """Another instance has the one it asked for."""
    UNUSABLE = "UNUSABLE"
    """The one it asked for is to be avoided."""
    EXHAUSTED = "EXHAUSTED"
    """There is none left."""


class Store:
    """The allocations of all instances. Redis being down raises its library's exceptions."""

    def __init__(self, *, redis: connectors.Redis, plan: Callable[[], PortPlan]) -> None:
        """Prepare.

        Args:
            redis: The connection.
            plan: Gives the ranges there are at that moment.
        """
        self._redis = redis
        self._plan = plan
        self._claim = self._script("claim")
        self._release = self._script("release")
        self._replace = self._script("replace")

    async def claim(
        self, wish: Allocation, *, unusable: int = 0, avoid: Iterable[int] = ()
    ) -> tuple[Verdict, Allocation]:
        """Claim a range; atomic, and idempotent by instance id.

        Args:
            wish: What is wanted, web_port 0 for any.
            unusable: A range the instance gives up for another; 0 for none.
            avoid: Ranges, by first port, that cannot be used now.

        Returns:
            What became of it, and what the instance has for HELD and CLAIMED.
        """
        plan = self._plan()
        wish = dataclasses.replace(wish, size=wish.size or plan.size)
        verdict, port, text = await self._claim(
            keys=[_INDEX],
            args=[
                *(wish.instance_id, plan.base, plan.size, plan.capacity, wish.web_port, unusable),
                _encode(wish),
                *avoid,
            ],
        )
        return Verdict(verdict), _decode(int(port), text) if text else wish

    async def release(self, instance_id: str, web_port: int = 0) -> list[int]:
        """Take back one range of an instance in the index; its only one by default.

        Returns:
            The first ports of what was taken back.
        """
        return cast("list[int]", await self._release(keys=[_INDEX], args=[instance_id, web_port]))

    async def replace(self, held: Allocation, after: Allocation | None) -> bool:
        """Write an allocation of the same range over one, if nobody changed it meanwhile.

        Args:
            held: The allocation as it was read.
            after: What it is to be; None to take the range back.

        Returns:
            Whether it was written.
        """
        text = "" if after is None else _encode(after)
        return bool(await self._replace(keys=[_INDEX], args=[held.web_port, _encode(held), text]))

    async def by_port(self) -> dict[int, Allocation]:
        """Read the index: all allocations by web port."""
        entries = await cast("Any", self._client.hgetall(_INDEX))
        return {int(port): _decode(int(port), text) for port, text in entries.items()}

    async def write_hash(self, allocation: Allocation) -> None:
        """Write the specification's hash of an allocation."""
        first, last = self._plan().callback_range(allocation.web_port, allocation.size)
        fields = {
            "instance_id": allocation.instance_id,
            "web_port": str(allocation.web_port),
            "callback_port_range": json.dumps({"start": first, "end": last}),
            "allocated_at": clock.iso(allocation.allocated_at),
            "namespace": allocation.namespace,
            "resources": json.dumps(dataclasses.asdict(allocation.resources)),
        }
        client = cast("Any", self._client)
        await client.hset(_HASH + allocation.instance_id, mapping=fields)

    async def delete_hash(self, instance_id: str) -> None:
        """Delete the specification's hash of an instance."""
        await self._client.delete(_HASH + instance_id)

    async def has_hash(self, instance_id: str) -> bool:
        """Tell whether an instance has the specification's hash."""
        return bool(await self._client.exists(_HASH + instance_id))

    async def by_hash(self) -> dict[str, Allocation]:
        """Read the specification's hashes: all allocations by instance id.

        A walk over all keys of the database, and one command an instance.
        """
        found = {}
        keys = cast("Any", self._client.scan_iter(match=_HASH + "*", count=_SCAN_COUNT))
        async for key in keys:
            fields = await cast("Any", self._client.hgetall(key))
            allocation = _from_hash(fields)
            if allocation is not None:
                found[allocation.instance_id] = allocation
        return found

    @property
    def _client(self) -> redis.asyncio.Redis:
        return self._redis.client

    def _script(self, name: str) -> AsyncScript:
        folder = resources.files("services.resource") / "lua"
        text = (folder / f"{name}.lua").read_text("utf-8")
        return self._client.register_script(text)


def _encode(allocation: Allocation) -> str:
    return json.dumps(
        {
            "instance_id": allocation.instance_id,
            "namespace": allocation.namespace,
            "resources": dataclasses.asdict(allocation.resources),
            "allocated_at": clock.iso(allocation.allocated_at),
            **({"claim": allocation.claim} if allocation.claim else {}),
            **({"size": allocation.size} if allocation.size else {}),
        }
    )


def _decode(port: int, text: str) -> Allocation:
    fields = json.loads(text)
    return Allocation(
        instance_id=fields["instance_id"],
        namespace=fields["namespace"],
        web_port=port,
        resources=Resources(**fields["resources"]),
        allocated_at=clock.parse(fields["allocated_at"]),
        claim=fields.get("claim", ""),
        size=fields.get("size", 0),
    )


def _from_hash(fields: Mapping[str, str]) -> Allocation | None:
    try:
        web_port = int(fields["web_port"])
        return Allocation(
            instance_id=fields["instance_id"],
            namespace=fields["namespace"],
            web_port=web_port,
            resources=Resources(**json.loads(fields["resources"])),
            allocated_at=clock.parse(fields["allocated_at"]),
            size=int(json.loads(fields["callback_port_range"])["end"]) - web_port + 1,
        )
    except (KeyError, ValueError, TypeError):
        return None  # gone meanwhile, or not ours
