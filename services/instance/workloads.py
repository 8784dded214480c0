"""A view of all workloads, kept by watching the Resource service."""

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import Callable

import structlog
from codestudio.resource.v1 import workload_service_pb2, workload_service_pb2_grpc

from services.chassis import context, errors, mesh
from services.instance import peers, times
from services.instance.workload import UNSEEN, Sight, Workload

_log = structlog.get_logger(__name__)

_FIRST_PAUSE = 0.1
_LAST_PAUSE = 3.0
_LONGEST_GAP = 30_000
"""Milliseconds between two watches after which what was known of use counts no more."""
_SILENCE = 45.0
"""Seconds without a message, heartbeats included, after which a watch is taken for dead."""


class Workloads:
    """What is known of every workload.

    Between two watches nothing is known: whoever has to know asks, or waits.
    """

    def __init__(
        self,
        *,
        mesh: mesh.Mesh,
        on_change: Callable[[str], None],
        on_synced: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            mesh: The way to the Resource service.
            on_change: Called with the id of an instance whose workload changed.
            on_synced: Called when everything is known again.
        """
        self._mesh = mesh
        self._on_change = on_change
        self._on_synced = on_synced
        self._known: dict[str, Workload] = {}
        self._told: set[str] = set()
        """Ids told by answers since the current watch began, which its snapshot may lack."""
        self._since = 0
        self._following_since = 0
        self._ended_at = 0

    def sight(self, instance_id: str) -> Sight:
        """Return what is known of one."""
        if not self._since:
            return UNSEEN
        return Sight(
            known=True,
            workload=self._known.get(instance_id),
            known_since=self._since,
            following_since=self._following_since,
        )

    def running(self) -> list[str]:
        """Return the ids of the instances that have a process or pod."""
        return [name for name, one in self._known.items() if one.runs]

    def tell(self, instance_id: str, workload: Workload | None) -> Sight:
        """Take note of an answer of the Resource service, newer than what the watch told."""
        self._told.add(instance_id)
        known = self._known.get(instance_id)
        if workload is None:
            self._known.pop(instance_id, None)
        elif known is not None and self._is_late(workload, known):
            # The watch was faster than the answer.
            workload = known
        else:
            self._known[instance_id] = workload
        now = times.now()
        return Sight(
            known=True,
            workload=workload,
            confirmed=True,
            known_since=self._since or now,
            following_since=self._following_since if self._since else now,
        )

    async def run(self) -> None:
        """Watch for ever."""
        pause = _FIRST_PAUSE
        while True:
            try:
                with context.scope("watch workloads"):
                    await self._watch()
                pause = _FIRST_PAUSE
            except (errors.DomainError, TimeoutError) as error:
                known = errors.from_exception(error)
                if self._since:
                    _log.warning("watch of workloads broke", code=known.code, why=known.message)
                    pause = _FIRST_PAUSE
                else:
                    _log.debug("workloads cannot be watched", code=known.code, why=known.message)
            finally:
                if self._since:
                    self._ended_at = times.now()
                self._since = 0
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause = min(_LAST_PAUSE, pause * 2)

    async def _watch(self) -> None:
        stub = self._mesh.stub(workload_service_pb2_grpc.WorkloadServiceStub)
        self._told.clear()
        listed: set[str] = set()
        call = stub.WatchWorkloads(workload_service_pb2.WatchWorkloadsRequest())
        answers = aiter(call)
        with contextlib.ExitStack() as ending:
            ending.callback(call.cancel)
            while True:
                async with asyncio.timeout(_SILENCE):
                    message = await anext(answers, None)
                if message is None:
                    return
                match message.WhichOneof("message"):
                    case "workload":
                        listed.add(message.workload.instance_id)
                        self._see(message.workload)
                    case "removed_instance_id":
                        self._known.pop(message.removed_instance_id, None)
                        self._changed(message.removed_instance_id)
                    case "synced":
                        self._synced(listed)

    def _see(self, message: workload_service_pb2.Workload) -> None:
        seen, name = peers.workload(message), message.instance_id
        known = self._known.get(name)
        if seen is None or seen == known:
            return
        # The snapshot that a watch begins with is right in any case: nothing passed it.
        if self._since and known is not None and self._is_late(seen, known):
            return
        if not self._since and name in self._told and (known is None or seen.outdates(known)):
            # What was told is newer. What is newer still comes in no other message.
            return
        self._known[name] = seen
        if known is None or dataclasses.replace(known, activity=seen.activity) != seen:
            self._changed(name)
        # That it was used makes nothing more urgent: who waits for it not to be looks in time.

    def _is_late(self, seen: Workload, known: Workload) -> bool:
        # While the watch is up the Resource service has not begun anew.
        return seen.outdates(known) or (bool(self._since) and seen.forgets(known))

    def _synced(self, listed: set[str]) -> None:
        for name in [one for one in self._known if one not in listed and one not in self._told]:
            del self._known[name]
        self._since = times.now()
        if self._since - self._ended_at > _LONGEST_GAP:
            self._following_since = self._since
        self._on_synced()

    def _changed(self, name: str) -> None:
        if self._since:
            self._on_change(name)
