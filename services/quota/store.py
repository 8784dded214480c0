"""The ledger in Redis. The only module that knows its keys and scripts.

A namespace has three keys, of one hash tag so that a script may use them together in a
cluster:

- ``quota:{<namespace>}:limits``: hash of the limits of its own; absent ones are the default.
- ``quota:{<namespace>}:usage``: hash of the sums of its reservations.
- ``quota:{<namespace>}:reservations``: hash of reservations by instance id.

``quota:namespaces`` is a sorted set of the namespaces that have any, for listing in order. It
lies on another node than the namespace, so no script can keep both: it follows. Writers add
their namespace after they changed it; `forget` takes one out only if it is empty and looks
again afterwards. What a crash between two such steps leaves out, `rebuild_index` finds.

``quota:repairs`` is a list of the last repairs, newest first.
"""

import dataclasses
import datetime
import enum
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, Self, cast

from services.chassis import connectors, scripts
from services.quota.amounts import RESOURCES, Amounts, Shortage

_INDEX = "quota:namespaces"
_REPAIRS = "quota:repairs"
_SCAN_COUNT = 1000
_RESERVATION_WORDS = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Reservation:
    """What an instance holds."""

    amounts: Amounts
    """How much."""
    create_time: datetime.datetime
    """When it was first reserved."""
    reserve_time: datetime.datetime
    """When it was last reserved."""
    text: str
    """As it is stored; another one after every write, also of the same amounts."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reservation as the scripts write it."""
        words = [int(word) for word in text.split()]
        if len(words) != _RESERVATION_WORDS:
            raise ValueError(f"{text!r} is no reservation")
        *amounts, created, reserved = words
        return cls(Amounts(*amounts), _moment(created), _moment(reserved), text)


class Repaired(enum.Enum):
    """What came of a repair. True where it was done."""

    DONE = "done"
    CHANGED = "changed"
    """It was no longer what had been looked at."""
    RECENT = "recent"
    """It was reserved a moment ago: what it is for may be under way."""

    def __bool__(self) -> bool:
        return self is Repaired.DONE


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """A namespace's limits of its own and what it holds."""

    own_limits: Mapping[str, int]
    """Limits of its own, by resource."""
    update_time: datetime.datetime | None
    """When those were last changed."""
    usage: Amounts
    """What it holds."""
    reservations: int
    """Instances that hold something."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is known of the namespace."""
        return not self.own_limits and not self.reservations


class Store:
    """The accounts of all namespaces."""

    def __init__(self, *, redis: connectors.Redis) -> None:
        self._redis = redis
        names = ("reserve", "release", "check", "update", "repair", "recount")
        self._texts = {name: script(name) for name in names}
        self._scripts = scripts.Scripts(redis=redis)

    async def account(self, namespace: str) -> Account:
        """Read a namespace."""
        (account,) = await self.accounts([namespace])
        return account

    async def accounts(self, namespaces: Sequence[str]) -> list[Account]:
        """Read many namespaces, in the order given."""
        if not namespaces:
            return []
        pipeline = self._redis.client.pipeline(transaction=False)
        for namespace in namespaces:
            limits, usage, reservations = keys(namespace)
            pipeline.hgetall(limits)
            pipeline.hgetall(usage)
            pipeline.hlen(reservations)
        replies = await pipeline.execute()
        return [_account(*replies[i : i + 3]) for i in range(0, len(replies), 3)]

    async def names(self, *, after: str, count: int) -> list[str]:
        """List up to `count` indexed namespaces in order of name, those behind `after`."""
        start = f"({after}" if after else "-"
        found = await self._redis.client.zrange(_INDEX, start, "+", bylex=True, offset=0, num=count)
        return cast("list[str]", found)

    async def reserve(
        self, namespace: str, instance_id: str, amounts: Amounts, default_limits: Amounts
    ) -> Reservation | list[Shortage]:
        """Reserve in place of what the instance holds; or tell what is in the way."""
        reply = await self._run("reserve", namespace, *default_limits, instance_id, *amounts)
        outcome, first = _reserved(reply)
        if first:
            await self.index([namespace])
        return outcome

    async def reserve_all(
        self, asked: Sequence[tuple[str, str, Amounts]], default_limits: Amounts
    ) -> list[Reservation | list[Shortage]]:
        """Reserve for many: namespace, instance and amounts of each, in order."""
        replies = await self._scripts.run_all(
            [
                self._call("reserve", namespace, *default_limits, instance_id, *amounts)
                for namespace, instance_id, amounts in asked
            ]
        )
        found = [_reserved(reply) for reply in replies]
        await self.index(
            {namespace for (namespace, _, _), (_, first) in zip(asked, found, strict=True) if first}
        )
        return [outcome for outcome, _ in found]

    async def check(
        self, namespace: str, instance_id: str, amounts: Amounts, default_limits: Amounts
    ) -> list[Shortage]:
        """Tell what would be in the way of a reservation."""
        reply = await self._run("check", namespace, *default_limits, instance_id, *amounts)
        return _shortages(cast("list[str]", reply))

    async def release(self, namespace: str, instance_id: str) -> bool:
        """Give back what an instance holds; whether it held anything."""
        return bool(await self._run("release", namespace, instance_id))

    async def release_all(self, asked: Sequence[tuple[str, str]]) -> None:
        """Give back what many hold: namespace and instance of each, in order."""
        await self._scripts.run_all(
            [self._call("release", namespace, instance_id) for namespace, instance_id in asked]
        )

    async def update(
        self,
        namespace: str,
        changes: Mapping[str, int | None],
        expected: Mapping[str, int] | None,
    ) -> bool:
        """Change limits, None for the default again; whether they were still as expected.

        `expected` are the limits of its own the namespace must still have, None for any.
        """
        condition = [_or_empty((expected or {}).get(resource)) for resource in RESOURCES]
        written = [part for name, limit in changes.items() for part in (name, _or_empty(limit))]
        compare = "0" if expected is None else "1"
        done = bool(await self._run("update", namespace, compare, *condition, *written))
        if done:
            await self.index([namespace])
        return done

    async def reservations(self, namespace: str) -> dict[str, Reservation]:
        """Read what every instance of a namespace holds."""
        found = await cast("Any", self._redis.client.hgetall(keys(namespace)[2]))
        return {name: Reservation.parse(text) for name, text in found.items()}

    async def repair(
        self,
        namespace: str,
        instance_id: str,
        *,
        looked_at: str,
        grace_seconds: float,
        amounts: Amounts | None,
    ) -> Repaired:
        """Make a reservation what it must be whatever the limits, None for none at all.

        Does nothing if it is no longer the one looked at (empty for none), or if less would be
        held of one last reserved within the grace.
        """
        numbers = amounts or ()
        grace = int(grace_seconds * 1000)
        reply = await self._run("repair", namespace, instance_id, looked_at, grace, *numbers)
        outcome = Repaired(str(reply))
        if outcome and amounts:
            await self.index([namespace])
        return outcome

    async def recount(
        self, namespace: str, *, validate_only: bool = False
    ) -> tuple[Amounts, Amounts] | None:
        """Make usage the sum of the reservations; what it wrongly was and is, or None if right."""
        told = cast("list[str]", await self._run("recount", namespace, int(not validate_only)))
        return (Amounts(*map(int, told[:4])), Amounts(*map(int, told[4:]))) if told else None

    async def keep_repairs(self, lines: Sequence[str], most: int) -> None:
        """Keep descriptions of repairs before those there are, and of all the newest."""
        pipeline = self._redis.client.pipeline(transaction=False)
        pipeline.lpush(_REPAIRS, *lines)
        pipeline.ltrim(_REPAIRS, 0, most - 1)
        await pipeline.execute()

    async def kept_repairs(self, most: int) -> list[str]:
        """Give descriptions of repairs, newest first."""
        found = await cast("Any", self._redis.client.lrange(_REPAIRS, 0, most - 1))
        return cast("list[str]", found)

    async def index(self, namespaces: Iterable[str]) -> None:
        """Have namespaces listed."""
        members = dict.fromkeys(namespaces, 0)
        if members:
            await self._redis.client.zadd(_INDEX, members)

    async def forget(self, namespace: str) -> None:
        """Have a namespace listed no longer, unless something is known of it."""
        await self._redis.client.zrem(_INDEX, namespace)
        # A writer that came in between has added it before the removal or adds it after this.
        if not (await self.account(namespace)).is_empty:
            await self.index([namespace])

    async def rebuild_index(self) -> None:
        """Have every namespace listed that has a key: a walk over all keys of the database."""
        found: set[str] = set()
        async for key in self._scan("quota:{*"):
            found.add(key.removeprefix("quota:{").rpartition("}:")[0])
            if len(found) >= _SCAN_COUNT:
                await self.index(found)
                found.clear()
        await self.index(found)

    def _scan(self, pattern: str) -> AsyncIterator[str]:
        return cast(
            "AsyncIterator[str]",
            self._redis.client.scan_iter(match=pattern, count=_SCAN_COUNT),
        )

    async def _run(self, name: str, namespace: str, *arguments: str | int) -> object:
        return await self._scripts.run(self._call(name, namespace, *arguments))

    def _call(self, name: str, namespace: str, *arguments: str | int) -> scripts.Call:
        return scripts.Call(self._texts[name], keys(namespace), arguments)


def script(name: str) -> scripts.Script:
    """Give a script of the ledger by its name, the common part before it."""
    folder = resources.files("services.quota") / "lua"
    parts = [(folder / f"{part}.lua").read_text("utf-8") for part in ("common", name)]
    return scripts.Script.of("\n".join(parts))


def keys(namespace: str) -> tuple[str, str, str]:
    """Give a namespace's keys, as the scripts want them: limits, usage, reservations."""
    tag = f"quota:{{{namespace}}}"
    return f"{tag}:limits", f"{tag}:usage", f"{tag}:reservations"


def _account(limits: dict[str, str], usage: dict[str, str], reservations: int) -> Account:
    updated = limits.get("updated")
    return Account(
        own_limits={name: int(limits[name]) for name in RESOURCES if name in limits},
        update_time=_moment(int(updated)) if updated else None,
        usage=Amounts(**{name: int(usage.get(name, 0)) for name in RESOURCES}),
        reservations=reservations,
    )


def _reserved(reply: object) -> tuple[Reservation | list[Shortage], bool]:
    """Read a reply of the script: what came of it, and whether the namespace held nothing."""
    verdict, *rest = cast("list[str]", reply)
    if verdict == "refused":
        return _shortages(rest), False
    text, first = rest
    return Reservation.parse(text), first == "1"


def _shortages(items: Sequence[str]) -> list[Shortage]:
    rows = [items[i : i + 5] for i in range(0, len(items), 5)]
    return [Shortage(name, *map(int, numbers)) for name, *numbers in rows]


def _moment(milliseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def _or_empty(limit: int | None) -> str:
    return "" if limit is None else str(limit)
