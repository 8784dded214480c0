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
"""

import dataclasses
import datetime
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, Self, cast

from redis.exceptions import NoScriptError

from services.chassis import connectors
from services.quota.amounts import RESOURCES, Amounts, Shortage

_INDEX = "quota:namespaces"
_SCAN_COUNT = 1000
_RESERVATION_WORDS = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Reservation:
    """What an instance holds."""

    amounts: Amounts
    """How much."""
    create_time: datetime.datetime
    """When it was first reserved."""
    text: str
    """As it is stored; another one after every write, also of the same amounts."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reservation as the scripts write it."""
        words = [int(word) for word in text.split()]
        if len(words) != _RESERVATION_WORDS:
            raise ValueError(f"{text!r} is no reservation")
        *amounts, created, _ = words
        return cls(Amounts(*amounts), _moment(created), text)


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
        self._scripts = {name: _Script.load(name) for name in names}

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
            limits, usage, reservations = _keys(namespace)
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
        verdict, *rest = cast("list[str]", reply)
        if verdict == "refused":
            return _shortages(rest)
        reservation, first = rest
        if first == "1":
            await self.index([namespace])
        return Reservation.parse(reservation)

    async def check(
        self, namespace: str, instance_id: str, amounts: Amounts, default_limits: Amounts
    ) -> list[Shortage]:
        """Tell what would be in the way of a reservation."""
        reply = await self._run("check", namespace, *default_limits, instance_id, *amounts)
        return _shortages(cast("list[str]", reply))

    async def release(self, namespace: str, instance_id: str) -> bool:
        """Give back what an instance holds; whether it held anything."""
        return bool(await self._run("release", namespace, instance_id))

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
        found = await cast("Any", self._redis.client.hgetall(_keys(namespace)[2]))
        return {name: Reservation.parse(text) for name, text in found.items()}

    async def repair(
        self,
        namespace: str,
        instance_id: str,
        *,
        looked_at: str,
        grace_seconds: float,
        amounts: Amounts | None,
    ) -> bool:
        """Make a reservation what it must be whatever the limits, None for none at all.

        Does nothing, and returns False, if it is no longer the one looked at (empty for
        none), or if less would be held of one last reserved within the grace.
        """
        numbers = amounts or ()
        grace = int(grace_seconds * 1000)
        done = bool(await self._run("repair", namespace, instance_id, looked_at, grace, *numbers))
        if done and amounts:
            await self.index([namespace])
        return done

    async def recount(self, namespace: str) -> Amounts | None:
        """Make usage the sum of the reservations; what it wrongly was, or None if right."""
        before = cast("list[str]", await self._run("recount", namespace))
        return Amounts(*map(int, before)) if before else None

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
        script = self._scripts[name]
        keys = _keys(namespace)
        client = cast("Any", self._redis.client)
        try:
            return await client.evalsha(script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            # A server that was started anew does not have it; EVAL keeps it there.
            return await client.eval(script.text, len(keys), *keys, *arguments)


@dataclasses.dataclass(frozen=True, slots=True)
class _Script:
    """A Lua script, the common part before it."""

    text: str
    sha: str

    @classmethod
    def load(cls, name: str) -> Self:
        folder = resources.files("services.quota") / "lua"
        parts = [(folder / f"{part}.lua").read_text("utf-8") for part in ("common", name)]
        text = "\n".join(parts)
        # Not for security: the name Redis itself gives a script.
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _keys(namespace: str) -> tuple[str, str, str]:
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


def _shortages(items: Sequence[str]) -> list[Shortage]:
    rows = [items[i : i + 5] for i in range(0, len(items), 5)]
    return [Shortage(name, *map(int, numbers)) for name, *numbers in rows]


def _moment(milliseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def _or_empty(limit: int | None) -> str:
    return "" if limit is None else str(limit)
