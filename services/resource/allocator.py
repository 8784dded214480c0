"""Gives instances port ranges and resources, and keeps the books true."""

import asyncio
import contextlib
import dataclasses
import secrets
import time
import weakref
from collections.abc import AsyncIterator, Callable

import structlog

from services.chassis import clock, errors
from services.resource.ports import PortPlan
from services.resource.runtimes import Runtime
from services.resource.store import Allocation, Store, Verdict
from services.resource.workload import Resources, Workload

_log = structlog.get_logger(__name__)

_ATTEMPTS = 10
"""Claims tried when a range is taken back in between; one more is enough."""


class Allocator:
    """Allocates, idempotent by instance id."""

    def __init__(
        self,
        *,
        store: Store,
        plan: Callable[[], PortPlan],
        runtime: Runtime,
        unusable_seconds: float,
        rest_seconds: float,
        every_seconds: float,
    ) -> None:
        """Begin with no range known to be unusable.

        Args:
            store: Where allocations are kept.
            plan: Gives the ranges there are at that moment. What is allocated stays so until it
                is released, whatever it says by then.
            runtime: Knows what runs, and which ports can be used.
            unusable_seconds: How long a range is left alone that could not be used.
            rest_seconds: How long a range is given to nobody else after it was given back.
            every_seconds: Time between two comparisons of the books.
        """
        self._store = store
        self._plan = plan
        self._runtime = runtime
        self._unusable_seconds = unusable_seconds
        self._rest_seconds = rest_seconds
        self._every_seconds = every_seconds
        self._unusable: dict[int, float] = {}
        # Who had a range last, and until when it rests. In memory: where ranges are shared by
        # one machine's instances, one replica acts (see Records.try_lock).
        self._resting: dict[int, tuple[str, float]] = {}
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def allocate(
        self,
        instance_id: str,
        namespace: str,
        resources: Resources,
        *,
        web_port: int = 0,
        unusable: int = 0,
    ) -> Allocation:
        """Give an instance a range: the one it has, the one it wants, or the lowest free one.

        One that has a range keeps it and gets the resources.

        Args:
            instance_id: The instance.
            namespace: Its namespace.
            resources: What it is to have.
            web_port: First port of the range it wants; 0 for any.
            unusable: First port of a range it has and could not use; 0 for none.

        Raises:
            errors.FailedPrecondition: PORT_UNAVAILABLE: the wanted range is another's, or
                something else on the machine listens there.
            errors.ResourceExhausted: PORTS_EXHAUSTED.
        """
        if unusable:
            self._avoid(unusable)
        async with self._lock(instance_id):
            wish = Allocation(
                *(instance_id, namespace, web_port, resources, clock.now()),
                claim=secrets.token_hex(4),
            )
            for _ in range(_ATTEMPTS):
                allocation = await self._find(wish, unusable)
                if allocation.claim != wish.claim:
                    held, allocation = allocation, _renewed(allocation, wish)
                    if not await self._store.replace(held, allocation):
                        continue  # taken back just now, as nobody's
                await self._store.write_hash(allocation)
                return allocation
        raise errors.Aborted(
            "ALLOCATION_BUSY",
            f"The ports of {instance_id} are changing all the time; try again",
            instance_id=instance_id,
        )

    async def take_back(self, allocation: Allocation) -> bool:
        """Take back an allocation, unless it was claimed again since it was read."""
        async with self._lock(allocation.instance_id):
            if not await self._store.replace(allocation, None):
                return False
            await self._store.delete_hash(allocation.instance_id)
            self._rest(allocation.web_port, allocation.instance_id)
            return True

    async def _find(self, wish: Allocation, unusable: int) -> Allocation:
        """Find the range an instance has or can have; claims it."""
        # Redis may have lost what is in use: what runs keeps its ports, whoever asks.
        running = self._running_ports()
        own = running.pop(wish.instance_id, 0)
        in_use = {*running.values()}
        if own and own != unusable and not wish.web_port:
            verdict, allocation = await self._store.claim(
                dataclasses.replace(wish, web_port=own), avoid=in_use
            )
            if verdict in {Verdict.HELD, Verdict.CLAIMED}:
                return allocation
        return await self._claim(wish, unusable, in_use)

    async def deallocate(self, instance_id: str) -> None:
        """Take back what an instance has; nothing happens where it has nothing."""
        async with self._lock(instance_id):
            for port in await self._store.release(instance_id):
                self._rest(port, instance_id)
            await self._store.delete_hash(instance_id)
            # Between the two, another replica that compares the books may have taken the hash
            # for all that lost data left, and entered it again.
            await self._store.release(instance_id)

    async def holds(self, instance_id: str, web_port: int) -> bool:
        """Tell whether an instance has the range that starts there."""
        held = (await self._store.by_port()).get(web_port)
        return held is not None and held.instance_id == instance_id

    async def by_instance(self) -> dict[str, Allocation]:
        """Give all allocations by instance id."""
        return {one.instance_id: one for one in (await self._store.by_port()).values()}

    async def run(self) -> None:
        """Compare the books now and then, until cancelled."""
        while True:
            with contextlib.suppress(errors.Unavailable):  # the runtime: not ready yet
                await self.reconcile()
            await asyncio.sleep(self._every_seconds)

    async def reconcile(self) -> None:
        """Rebuild index, hashes and the claims of what runs from each other."""
        hashes = await self._store.by_hash()
        index = await self.by_instance()
        for workload in self._runtime.list():
            if workload.instance_id not in index and (claim := _claim_of(workload)) is not None:
                hashes.setdefault(workload.instance_id, claim)
        for instance_id, allocation in hashes.items():
            if instance_id not in index:
                await self._enter_again(allocation)
        for instance_id, allocation in index.items():
            if instance_id not in hashes:
                await self._write_again(allocation)

    async def _enter_again(self, allocation: Allocation) -> None:
        """Enter into the index what only a hash, or a running workload, tells."""
        name = allocation.instance_id
        async with self._lock(name):
            runs = self._running_ports().get(name) == allocation.web_port
            verdict, _ = await self._store.claim(allocation)
            if verdict is Verdict.CLAIMED:
                _log.warning("allocation restored", instance_id=name, port=allocation.web_port)
                if runs:
                    await self._store.write_hash(allocation)
                elif not await self._store.has_hash(name):
                    await self._store.release(name)  # deallocated meanwhile
            elif verdict is Verdict.TAKEN:
                _log.error("port range lost to another", instance_id=name, port=allocation.web_port)
                if not runs:
                    await self._store.delete_hash(name)

    async def _write_again(self, allocation: Allocation) -> None:
        """Write the hash of what only the index tells."""
        name = allocation.instance_id
        async with self._lock(name):
            await self._store.write_hash(allocation)
            if name not in await self.by_instance():
                await self._store.delete_hash(name)  # deallocated meanwhile

    async def _claim(self, wish: Allocation, unusable: int, in_use: set[int]) -> Allocation:
        """Claim a range that can be used: those that turn out not to be are given back."""
        tried: set[int] = set()
        while True:
            resting = self._resting_for(wish)
            avoid = in_use | self._avoided() | tried | resting.keys()
            verdict, allocation = await self._store.claim(wish, unusable=unusable, avoid=avoid)
            match verdict:
                case Verdict.HELD:
                    return allocation
                case Verdict.CLAIMED:
                    if await asyncio.to_thread(self._runtime.port_is_free, allocation.web_port):
                        return allocation
                    self._avoid(allocation.web_port)
                    unusable = allocation.web_port
                    tried.add(unusable)
                    continue
                case Verdict.UNUSABLE | Verdict.EXHAUSTED if resting:
                    await asyncio.sleep(min(resting.values()))
                    continue
            if tried:
                # What it had before, it gave up for the first of these.
                await self._store.release(wish.instance_id, unusable)
                await self._store.delete_hash(wish.instance_id)
            raise self._refusal(verdict, wish)

    def _refusal(self, verdict: Verdict, wish: Allocation) -> errors.DomainError:
        if verdict is Verdict.EXHAUSTED:
            capacity = self._plan().capacity
            return errors.ResourceExhausted(
                "PORTS_EXHAUSTED",
                f"All {capacity} port ranges are in use",
                instance_id=wish.instance_id,
                metadata={"limit": str(capacity)},
            )
        who = "something else on this machine listens there"
        if verdict is Verdict.TAKEN:
            who = "another instance has it"
        return errors.FailedPrecondition(
            "PORT_UNAVAILABLE",
            f"Port range {wish.web_port} cannot be had: {who}",
            instance_id=wish.instance_id,
            metadata={"web_port": str(wish.web_port)},
        )

    def _running_ports(self) -> dict[str, int]:
        return {
            one.instance_id: one.spec.web_port
            for one in self._runtime.list()
            if one.phase.is_alive and one.spec is not None
        }

    def _rest(self, web_port: int, instance_id: str) -> None:
        self._resting[web_port] = (instance_id, time.monotonic() + self._rest_seconds)

    def _avoid(self, web_port: int) -> None:
        self._unusable[web_port] = time.monotonic() + self._unusable_seconds

    def _resting_for(self, wish: Allocation) -> dict[int, float]:
        """Give the ranges that rest and would do for this one, with the seconds they still do."""
        now = time.monotonic()
        self._resting = {port: one for port, one in self._resting.items() if one[1] > now}
        return {
            port: until - now
            for port, (holder, until) in self._resting.items()
            if holder != wish.instance_id and wish.web_port in (0, port)
        }

    def _avoided(self) -> set[int]:
        now = time.monotonic()
        self._unusable = {port: until for port, until in self._unusable.items() if until > now}
        return set(self._unusable)

    @contextlib.asynccontextmanager
    async def _lock(self, instance_id: str) -> AsyncIterator[None]:
        lock = self._locks.get(instance_id)
        if lock is None:
            self._locks[instance_id] = lock = asyncio.Lock()
        async with lock:
            yield


def _renewed(held: Allocation, wish: Allocation) -> Allocation:
    """Give an allocation as it is after it was claimed again."""
    return dataclasses.replace(
        held, namespace=wish.namespace, resources=wish.resources, claim=wish.claim
    )


def _claim_of(workload: Workload) -> Allocation | None:
    """Give the allocation that a running workload proves there was."""
    spec = workload.spec
    if spec is None or not workload.phase.is_alive:
        return None
    moment = workload.start_time or clock.now()
    return Allocation(
        *(spec.instance_id, spec.namespace, spec.web_port, spec.resources, moment),
        # Its callback port is the first of the upper half.
        size=2 * max(0, spec.callback_port - spec.web_port),
    )
