"""Recommends sizes for running instances, and carries that out as whoever asks for it."""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Mapping

import structlog
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from google.protobuf import field_mask_pb2
from prometheus_client import Counter

from services.chassis import errors
from services.chassis.quantities import format_cpu, format_memory
from services.resource import rightsizing
from services.resource.claims import resources_of
from services.resource.instances import Instances
from services.resource.rightsizing import Case, Limits, Point, Policy, Recommendation
from services.resource.runtimes import Runtime
from services.resource.usage import Usage

_log = structlog.get_logger(__name__)

OPTIMIZATIONS = Counter(
    "codestudio_optimizations", "Recommendations given, by type and outcome.", ("type", "outcome")
)

RECOMMENDED, APPLIED, AT_NEXT_START, REFUSED = "RECOMMENDED", "APPLIED", "AT_NEXT_START", "REFUSED"

_AT_ONCE = 8
"""Instances changed at one time."""
_IN_FORCE_SECONDS = 5.0
"""How long a change may take to be in force before the answer does not wait for it."""
_LOOK_EVERY = 0.1
_ATTEMPTS = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Optimization:
    """One recommendation and what became of it."""

    instance_id: str
    recommendation: Recommendation
    outcome: str = RECOMMENDED
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What would fit better."""

    optimizations: list[Optimization]
    improvement: rightsizing.Improvement


class Optimizer:
    """Recommends and applies."""

    def __init__(
        self,
        *,
        instances: Instances,
        runtime: Runtime,
        usage: Usage,
        policy: Callable[[], Policy],
    ) -> None:
        """Prepare.

        Args:
            instances: Knows what instances are to have, and changes it.
            runtime: Knows since when they run.
            usage: Knows what they used.
            policy: The numbers, asked for each time.
        """
        self._instances = instances
        self._runtime = runtime
        self._usage = usage
        self._policy = policy

    async def optimize(self, *, instance_id: str, namespace: str, apply: bool) -> Result:
        """Look at the running instances the caller may see.

        Args:
            instance_id: Only this one; empty for all.
            namespace: Only those of this namespace; empty for all.
            apply: Carry the recommendations out: less first, since that frees quota.

        Raises:
            errors.DomainError: The instances cannot be listed, or there is no such instance.
        """
        seen = await self._instances.visible(instance_id=instance_id, namespace=namespace)
        cases = self._cases(seen)
        found = [
            Optimization(name, one)
            for name, case in sorted(cases.items())
            for one in case.recommendations
        ]
        if apply:
            less = [one for one in found if not one.recommendation.kind.is_up]
            more = [one for one in found if one.recommendation.kind.is_up]
            done = [*await self._apply_all(less, seen), *await self._apply_all(more, seen)]
            found = sorted(done, key=lambda one: (one.instance_id, one.recommendation.kind.value))
        for one in found:
            OPTIMIZATIONS.labels(one.recommendation.kind.value, one.outcome).inc()
        return Result(found, rightsizing.improvement(list(cases.values())))

    def _cases(self, seen: Mapping[str, instance_pb2.Instance]) -> dict[str, Case]:
        policy, now = self._policy(), time.time()
        cases = {}
        for workload in self._runtime.list():
            instance = seen.get(workload.instance_id)
            if instance is None or workload.start_time is None or not workload.phase.is_alive:
                continue
            if instance.state != instance_pb2.INSTANCE_STATE_RUNNING:
                continue
            # The stretch it was started in is not all its own.
            since = workload.start_time.timestamp() + policy.resolution
            points = [
                Point(one.time.timestamp(), one.cpu_cores * 1000, one.memory)
                for one in self._usage.history(workload.instance_id)
                if one.processes and one.time.timestamp() >= since
            ]
            if not points:
                continue
            has = resources_of(instance)
            limits = Limits(has.cpu, has.memory)
            advice = rightsizing.recommend(points, limits, policy, now)
            cases[workload.instance_id] = Case(points[-1], limits, advice)
        return cases

    async def _apply_all(
        self, wanted: list[Optimization], seen: Mapping[str, instance_pb2.Instance]
    ) -> list[Optimization]:
        turns = asyncio.Semaphore(_AT_ONCE)
        by_instance: dict[str, list[Optimization]] = {}
        for one in wanted:
            by_instance.setdefault(one.instance_id, []).append(one)

        async def in_turn(same: list[Optimization]) -> list[Optimization]:
            async with turns:
                # One after the other: one may be refused and the other not.
                return [await self._apply(one, seen[one.instance_id]) for one in same]

        done = await asyncio.gather(*map(in_turn, by_instance.values()))
        return [one for same in done for one in same]

    async def _apply(self, one: Optimization, seen: instance_pb2.Instance) -> Optimization:
        kind = one.recommendation.kind
        try:
            changed = await self._change(one, seen)
            if changed is None:
                message = "It was changed by somebody else meanwhile; look again"
                return dataclasses.replace(one, outcome=REFUSED, message=message)
        except errors.DomainError as error:
            message = f"{error.code}: {error.message}"
            return dataclasses.replace(one, outcome=REFUSED, message=message)
        message = "It is accepted and was not in force within 5 s: at its next start it is"
        try:
            in_force = await self._await_force(changed, kind.resource)
        except errors.DomainError as error:
            # It was accepted all the same.
            in_force = False
            message = (
                "It is accepted, at its next start at the latest it is in force; whether it is now"
                f" cannot be told ({error.code}: {error.message})"
            )
        _log.info(
            "instance resized",
            instance_id=one.instance_id,
            kind=kind.value,
            before=written(kind.resource, one.recommendation.limit),
            after=written(kind.resource, one.recommendation.recommended),
            in_force=in_force,
        )
        if in_force:
            return dataclasses.replace(one, outcome=APPLIED)
        return dataclasses.replace(one, outcome=AT_NEXT_START, message=message)

    async def _change(
        self, one: Optimization, seen: instance_pb2.Instance
    ) -> instance_pb2.Instance | None:
        """Ask for the change, unless somebody changed that very limit since; None if so."""
        resource = one.recommendation.kind.resource
        path = f"resources.{resource}"
        etag = seen.etag
        for _ in range(_ATTEMPTS):
            asked = instance_pb2.Instance(id=one.instance_id, etag=etag)
            setattr(asked.resources, resource, written(resource, one.recommendation.recommended))
            try:
                return await self._instances.update(
                    instance_service_pb2.UpdateInstanceRequest(
                        instance=asked, update_mask=field_mask_pb2.FieldMask(paths=[path])
                    )
                )
            except errors.Aborted as error:
                if error.code != "ETAG_MISMATCH":
                    raise
            newest = await self._instances.read(one.instance_id)
            if getattr(resources_of(newest), resource) != one.recommendation.limit:
                return None
            etag = newest.etag
        return None

    async def _await_force(self, instance: instance_pb2.Instance, resource: str) -> bool:
        """Wait a while for a change to be in force; whether it is."""
        deadline = time.monotonic() + _IN_FORCE_SECONDS
        while True:
            now, wanted = instance.effective_resources, instance.resources
            if instance.HasField("effective_resources") and getattr(now, resource) == getattr(
                wanted, resource
            ):
                return True
            if not instance.reconciling or time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_LOOK_EVERY)
            instance = await self._instances.read(instance.id)


def written(resource: str, amount: int) -> str:
    """Write an amount of a resource as a quantity."""
    return format_cpu(amount) if resource == "cpu" else format_memory(amount)
