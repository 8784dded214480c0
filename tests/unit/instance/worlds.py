"""An instance's world in memory, in which anything may break at any moment.

The records, the quota ledger, ports, workloads and disks outlive a crash; everything else is
made anew by `World.boot`. `World.effects` counts the side effects; at a chosen one the process
dies, before or after it, or somebody else gets in between.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from unittest import mock

from services.chassis import errors, identity
from services.instance import admission, decide, times, updates
from services.instance.actions import Actions
from services.instance.admission import Admission, Request
from services.instance.cache import Cache
from services.instance.desires import Desires
from services.instance.lifetimes import Lifetimes
from services.instance.passes import Means, Pass
from services.instance.record import InForce, Pending, Ports, Quota, Record, Step
from services.instance.settings import InstanceSettings
from services.instance.specification import Specification
from services.instance.store import Taken
from services.instance.withdrawal import Withdrawal
from services.instance.workload import Activity, Phase, Sight, Workload
from services.instance.workqueue import Urgency

POLICY = decide.Policy(
    budgets={
        Step.QUOTA: 15_000,
        Step.RESOURCES: 15_000,
        Step.PATHS: 15_000,
        Step.WORKLOAD: 15_000,
        Step.EDITOR: 60_000,
    },
    crash_limit=5,
    crash_window=60_000,
    crash_backoff=1_000,
    ports_tried=20,
    claim_abandon=30_000,
    lifetimes=Lifetimes(InstanceSettings),
)

ALICE = identity.Caller("alice", "Alice", "user", roles=("user",), namespaces=("*",))


IDLE = 30_000
"""Milliseconds an instance may be idle: less than `World.settle` lets go by at a time."""


class Killed(BaseException):
    """The process dies here."""


def specification(instance_id: str, desired: str = "RUNNING") -> Specification:
    """Ask for an instance."""
    return Specification(
        id=instance_id,
        namespace="team",
        display_name="",
        labels={},
        environment={},
        cpu="500m",
        memory="1Gi",
        storage="10Gi",
        web_port=0,
        desired=decide.Desired(desired),
        idle_timeout=IDLE,
        max_lifetime=0,
    )


class Memory:
    """The store's contract, in memory."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.records: dict[str, Record] = {}

    async def insert(self, record: Record) -> None:
        async with self._world.effect():
            if record.id in self.records or any(
                one.request_key == record.request_key != "" for one in self.records.values()
            ):
                raise Taken
            self.records[record.id] = record

    async def get(self, instance_id: str) -> Record | None:
        return self.records.get(instance_id)

    async def of_request(self, key: str) -> Record | None:
        return next((one for one in self.records.values() if one.request_key == key), None)

    async def update(self, before: Record, after: Record) -> Record | None:
        async with self._world.effect():
            known = self.records.get(before.id)
            if known is None or known.rev != before.rev or known.uid != before.uid:
                return None
            written = dataclasses.replace(after, rev=before.rev + 1)
            self.records[before.id] = written
            return written

    async def remove(self, record: Record) -> bool:
        async with self._world.effect():
            known = self.records.get(record.id)
            if known is None or known.rev != record.rev or known.uid != record.uid:
                return False
            del self.records[record.id]
            return True


class Outside:
    """Quota, ports and workloads, in memory."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.limit = 100
        self.away = False
        self.broken: dict[str, errors.DomainError] = {}
        self.held: dict[str, Quota] = {}
        self.amounts: dict[str, tuple[str, str, str]] = {}
        """CPU, memory and disk of what is held."""
        self.room = 2000
        """Millicores one instance may hold."""
        self.ports: dict[str, int] = {}
        self.workloads: dict[str, Workload] = {}
        self.disks: set[str] = set()
        self.abandoned: dict[str, int] = {}
        """Instances that nobody uses, since when."""
        self.environments: dict[str, dict[str, str]] = {}
        """What each workload was started with."""

    async def reserve_quota(self, record: Record, level: Quota) -> None:
        async with self._world.effect():
            self._meet("reserve_quota")
            if record.id not in self.held and len(self.held) >= self.limit:
                raise errors.ResourceExhausted("QUOTA_EXCEEDED", "no")
            if level is Quota.RUNNING and int(record.cpu.removesuffix("m")) > self.room:
                raise errors.ResourceExhausted("QUOTA_EXCEEDED", "no")
            self.held[record.id] = level
            self.amounts[record.id] = (record.cpu, record.memory, record.storage)

    async def check_quota(self, record: Record, level: Quota) -> None:
        self._meet("check_quota")

    async def release_quota(self, record: Record) -> None:
        async with self._world.effect():
            self._meet("release_quota")
            self.held.pop(record.id, None)
            self.amounts.pop(record.id, None)

    async def allocate(self, record: Record) -> Ports:
        async with self._world.effect():
            self._meet("allocate")
            port = self.ports.get(record.id)
            if port is None or port == record.unusable_port:
                taken = {*self.ports.values(), record.unusable_port}
                port = next(one for one in range(8000, 60000, 100) if one not in taken)
            self.ports[record.id] = port
            return Ports(port, port + 50, port + 99)

    async def deallocate(self, instance_id: str) -> None:
        async with self._world.effect():
            self._meet("deallocate")
            self.ports.pop(instance_id, None)

    async def apply(self, record: Record) -> Workload:
        async with self._world.effect():
            self._meet("apply")
            known = self.workloads.get(record.id)
            if known is None or not known.runs:
                self._world.starts += 1
                known = Workload(
                    Phase.STARTING, f"pid {self._world.starts}", start_time=self._world.clock
                )
                self.disks.add(record.id)
                self.environments[record.id] = dict(record.environment)
            pending = self.environments[record.id] != dict(record.environment)
            in_force = InForce(
                record.cpu, record.memory, record.storage, ("environment",) if pending else ()
            )
            known = dataclasses.replace(known, in_force=in_force)
            self.workloads[record.id] = known
            return known

    async def stop(self, instance_id: str) -> Workload | None:
        async with self._world.effect():
            self._meet("stop")
            known = self.workloads.get(instance_id)
            if known is None:
                return None
            stopped = dataclasses.replace(known, phase=Phase.STOPPED)
            self.workloads[instance_id] = stopped
            return stopped

    async def delete(self, instance_id: str) -> None:
        async with self._world.effect():
            self._meet("delete")
            self.workloads.pop(instance_id, None)
            self.disks.discard(instance_id)

    async def observe(self, instance_id: str) -> Workload | None:
        self._meet("observe")
        return self.look(instance_id)

    def look(self, instance_id: str) -> Workload | None:
        """Give a workload with when it was used: now, or when it was abandoned."""
        known = self.workloads.get(instance_id)
        if known is None or not known.runs:
            return known
        now = self._world.clock
        used = self.abandoned.get(instance_id, now)
        return dataclasses.replace(known, activity=Activity(known.start_time, now, used))

    async def notify(self, instance_id: str, message: str, *, offer_to_keep: bool) -> None:
        self._meet("notify")

    async def logs(self, instance_id: str, lines: int) -> list[str]:
        return []

    def _meet(self, method: str) -> None:
        if self.away:
            raise errors.Unavailable("SERVICE_UNAVAILABLE", "away")
        if method in self.broken:
            raise self.broken[method]


class View:
    """What the watch of workloads gives: here always the truth."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def sight(self, instance_id: str) -> Sight:
        return Sight(known=True, workload=self._outside.look(instance_id))

    def running(self) -> list[str]:
        return [name for name, one in self._outside.workloads.items() if one.runs]

    def tell(self, instance_id: str, workload: Workload | None) -> Sight:
        return Sight(known=True, workload=workload, confirmed=True)


class Told:
    """An outbox that tells at once; what was told is part of the world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._told: dict[str, tuple[int, int]] = {}

    def untold(self, record: Record) -> list[Pending]:
        told = self._told.get(record.id, (0, 0))
        return [one for one in record.outbox if (one.created_at, one.version) > told]

    def remaining(self, record: Record) -> tuple[Pending, ...]:
        return tuple(self.untold(record))

    def forget(self, instance_id: str) -> None:
        self._told.pop(instance_id, None)

    async def tell(self, record: Record) -> bool:
        for one in self.untold(record):
            self._world.told.append((record.id, one))
            self._told[record.id] = (one.created_at, one.version)
        return True


class Queue:
    """Remembers what is to be looked at."""

    def __init__(self) -> None:
        self.keys: dict[str, None] = {}

    def add(self, key: str, urgency: Urgency) -> None:
        self.keys[key] = None

    def add_later(self, key: str, seconds: float, urgency: Urgency) -> None:
        self.keys[key] = None


class Held:
    """A lease that is held."""

    held = True


class World:
    """Everything."""

    def __init__(self) -> None:
        self.clock = 1_700_000_000_000
        self.starts = 0
        self.looking = False
        """Whether somebody has the lease."""
        self.store = Memory(self)
        self.outside = Outside(self)
        self.told: list[tuple[str, Pending]] = []
        self.ever_abandoned: set[str] = set()
        self.kill_at: int | None = None
        """Die at this side effect: 2n before, 2n + 1 after the n-th."""
        self.meddle_at: tuple[int, Callable[[], Awaitable[None]]] | None = None
        self._effects = 0
        self.boot()

    def boot(self) -> None:
        """Begin a new process."""
        store, outside = self.store, self.outside
        self.queue = Queue()
        withdrawal = Withdrawal(store=store, peers=outside)  # type: ignore[arg-type]
        view = View(outside)
        self.means = Means(
            store=store,  # type: ignore[arg-type]
            actions=Actions(peers=outside, workloads=view, policy=POLICY),  # type: ignore[arg-type]
            withdrawal=withdrawal,
            workloads=view,  # type: ignore[arg-type]
            outbox=Told(self),  # type: ignore[arg-type]
            cache=Cache(seconds=1, entries=10, healthy=lambda: True),
            queue=self.queue,  # type: ignore[arg-type]
            policy=POLICY,
        )
        wanted = lambda record: self.queue.add(record.id, Urgency.HUMAN)  # noqa: E731
        self.admission = Admission(
            store=store,  # type: ignore[arg-type]
            peers=outside,
            withdrawal=withdrawal,
            settings=InstanceSettings(),
            lifetimes=POLICY.lifetimes,
            on_admitted=wanted,
        )
        self.desires = Desires(
            store=store,  # type: ignore[arg-type]
            peers=outside,
            on_wanted=wanted,
        )
        self.updates = updates.Updates(
            store=store,  # type: ignore[arg-type]
            peers=outside,
            desires=self.desires,
            policy=POLICY,
        )

    def effect(self) -> "_Effect":
        """Surround a side effect."""
        number, self._effects = self._effects, self._effects + 1
        return _Effect(self, number)

    def arm(self) -> None:
        """Count side effects from here."""
        self._effects = 0

    async def create(self, instance_id: str, desired: str, key: str = "") -> Record:
        """Create an instance as alice."""
        return await self.admission.create(
            specification(instance_id, desired), Request("alice", key, "body" if key else "")
        )

    async def look(self, instance_id: str, fresh: Record | None = None) -> None:
        """Look at one instance, as the reconciler does."""
        await Pass(self.means, instance_id, Held(), tidy=True).run(fresh)  # type: ignore[arg-type]

    async def settle(self) -> None:
        """Let time go by, with everything in order, until nothing happens any more."""
        self.kill_at = self.meddle_at = None
        calm = 0
        for _ in range(60):
            # Longer than any claim or mark of somebody who died is honoured.
            self.clock += 31_000
            for name, workload in self.outside.workloads.items():
                if workload.phase is Phase.STARTING:
                    ready = dataclasses.replace(workload, phase=Phase.READY)
                    self.outside.workloads[name] = ready
            before = dict(self.store.records), dict(self.outside.held)
            for instance_id in {*self.store.records, *self.outside.workloads}:
                with contextlib.suppress(errors.DomainError):
                    await self.look(instance_id)
            calm = calm + 1 if before == (self.store.records, self.outside.held) else 0
            starting = (one.phase is Phase.STARTING for one in self.outside.workloads.values())
            if calm >= 2 and not any(starting):
                return
        raise AssertionError(f"no rest: {self.store.records}")


class _Effect:
    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._number = number

    async def __aenter__(self) -> None:
        world = self._world
        if world.meddle_at is not None and world.meddle_at[0] == self._number:
            (_, meddle), world.meddle_at = world.meddle_at, None
            await meddle()
        if world.kill_at == 2 * self._number:
            raise Killed

    async def __aexit__(self, *_: object) -> None:
        if self._world.kill_at == 2 * self._number + 1:
            raise Killed
        await asyncio.sleep(0)


@contextlib.contextmanager
def time_of(world: World) -> Iterator[None]:
    """Make the world's clock everybody's; it goes on when somebody waits."""

    def now() -> int:
        return world.clock

    async def wait(pause: float) -> float:
        world.clock += 500
        await asyncio.sleep(0)
        return pause

    async def pause() -> None:
        await wait(0)

    with (
        mock.patch.object(times, "now", now),
        mock.patch.object(admission, "_wait", wait),
        mock.patch.object(updates, "_pause", pause),
    ):
        yield
