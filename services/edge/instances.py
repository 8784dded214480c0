"""Instances as their users see them, asked of the Instance service with the user's own token.

What a caller may not see is refused there, in one place. Here answers are remembered for a
moment, because a page of VS Code makes a hundred requests at once, and a good while longer for
when the control plane cannot be asked.
"""

import asyncio
import collections
import dataclasses
import time
from collections.abc import Awaitable
from typing import TypeVar

from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc

from services.chassis import errors, identity, metrics
from services.chassis.mesh import Mesh
from services.edge.store import Allocations

REMEMBERED = 4096
"""Answers remembered at most; the one not asked for longest is forgotten first."""

PAGE_SIZE = 100

# Envoy waits 8 s for our word about an editor (envoy/lds.yaml, ext_authz).
_TIMEOUT = 5.0
# With an old answer at hand nobody should wait long for a new one, nor every request try.
_TIMEOUT_WITH_STALE = 2.0
_PAUSE_AFTER_FAILURE = 2.0

_HITS = metrics.CACHE_REQUESTS.labels("editor_access", "hit")
_MISSES = metrics.CACHE_REQUESTS.labels("editor_access", "miss")

_Answer = TypeVar("_Answer")
_Key = tuple[str, tuple[str, ...], str]


@dataclasses.dataclass
class _Remembered:
    instance: instance_pb2.Instance
    asked: float
    """When the answer came, by `time.monotonic`."""
    failed: float = float("-inf")
    """When asking again failed last."""


class Instances:
    """The Instance service, on behalf of one caller at a time."""

    def __init__(self, mesh: Mesh, allocations: Allocations, *, fresh: float, stale: float) -> None:
        """Remember answers `fresh` seconds, and `stale` seconds while there are no new ones."""
        self._mesh = mesh
        self._allocations = allocations
        self._fresh = fresh
        self._stale = stale
        self._known: collections.OrderedDict[_Key, _Remembered] = collections.OrderedDict()
        self._asking: dict[_Key, asyncio.Task[instance_pb2.Instance]] = {}

    async def get(self, caller: identity.Caller, instance_id: str) -> instance_pb2.Instance:
        """Give an instance the caller may reach, at most a few seconds old.

        While the control plane is down, a running instance is given as it was last seen.

        Raises:
            errors.DomainError: What the Instance service says: NotFound, PermissionDenied,
                or Unavailable with nothing remembered.

        """
        key = (caller.subject, caller.roles, instance_id)
        known = self._known.get(key)
        now = time.monotonic()
        if known is not None and self._is_running(known):
            if now - known.asked < self._fresh:
                self._known.move_to_end(key)
                _HITS.inc()
                return known.instance
            usable = now - known.asked < self._stale and await self._is_still_there(known)
            if usable and now - known.failed < _PAUSE_AFTER_FAILURE:
                _HITS.inc()
                return known.instance
        else:
            usable = False
        _MISSES.inc()
        try:
            return await self._ask(key, caller, _TIMEOUT_WITH_STALE if usable else _TIMEOUT)
        except errors.DomainError as error:
            if not isinstance(error, errors.Unavailable):
                self._known.pop(key, None)
                raise
            if known is None or not usable:
                raise
            known.failed = time.monotonic()
            return known.instance

    async def page(
        self, caller: identity.Caller, page_token: str
    ) -> instance_service_pb2.ListInstancesResponse:
        """Give a page of the instances the caller may see.

        Raises:
            errors.DomainError: What the Instance service says.

        """
        request = instance_service_pb2.ListInstancesRequest(
            page_size=PAGE_SIZE, page_token=page_token
        )
        return await _in_time(self._stub(caller).ListInstances(request, timeout=_TIMEOUT))

    async def start(self, caller: identity.Caller, instance_id: str) -> None:
        """Ask for an instance to run.

        Raises:
            errors.DomainError: What the Instance service says.

        """
        request = instance_service_pb2.StartInstanceRequest(id=instance_id)
        await _in_time(self._stub(caller).StartInstance(request, timeout=_TIMEOUT))

    async def stop(self, caller: identity.Caller, instance_id: str) -> None:
        """Ask for an instance to stop; whoever asked last whether it runs is forgotten.

        Raises:
            errors.DomainError: What the Instance service says.

        """
        request = instance_service_pb2.StopInstanceRequest(id=instance_id)
        await _in_time(self._stub(caller).StopInstance(request, timeout=_TIMEOUT))
        for key in [key for key in self._known if key[2] == instance_id]:
            del self._known[key]

    async def _ask(
        self, key: _Key, caller: identity.Caller, timeout: float
    ) -> instance_pb2.Instance:
        """Ask once for all who want to know the same now."""
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.create_task(self._fetch(key, caller, timeout), name=f"ask {key[2]}")
            self._asking[key] = asking
            asking.add_done_callback(lambda task: self._asked(key, task))
        # Shielded: one client that goes away must not end it for the others.
        return await asyncio.shield(asking)

    def _asked(self, key: _Key, asking: asyncio.Task[instance_pb2.Instance]) -> None:
        del self._asking[key]
        if not asking.cancelled():
            asking.exception()  # whoever asked may have gone; nobody is left to be told

    async def _fetch(
        self, key: _Key, caller: identity.Caller, timeout: float
    ) -> instance_pb2.Instance:
        request = instance_service_pb2.GetInstanceRequest(id=key[2])
        instance = await _in_time(self._stub(caller).GetInstance(request, timeout=timeout))
        self._known[key] = _Remembered(instance, time.monotonic())
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return instance

    def _stub(
        self, caller: identity.Caller
    ) -> "instance_service_pb2_grpc.InstanceServiceAsyncStub":
        return self._mesh.stub(instance_service_pb2_grpc.InstanceServiceStub, token=caller.token)

    async def _is_still_there(self, known: _Remembered) -> bool:
        """Tell whether its editor's port is still its own: another's editor may be there now."""
        instance = known.instance
        return await self._allocations.holds(instance.id, instance.ports.web_port)

    @staticmethod
    def _is_running(known: _Remembered) -> bool:
        # Any other state is on its way to somewhere and asked for anew each time.
        return known.instance.state == instance_pb2.INSTANCE_STATE_RUNNING


async def _in_time(asking: Awaitable[_Answer]) -> _Answer:
    """Give the answer; none in time means the control plane is down, as far as people care."""
    try:
        return await asking
    except errors.DeadlineExceeded as error:
        raise errors.Unavailable(
            "SERVICE_UNAVAILABLE", "instance-service did not answer in time; try again shortly"
        ) from error
