"""Waiting until an instance is what it was asked to be."""

import asyncio
import enum
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from codestudio import _errors
from codestudio._instance_types import DesiredState, EventType, InstanceState
from codestudio._instance_view import InstanceStatus
from codestudio._retry import RetryPolicy
from codestudio._services import InstanceService
from codestudio._watch import AsyncWatch
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

DEFAULT_TIMEOUT = 120.0
"""Seconds to wait unless told otherwise: a slow machine's cold start, and a margin."""

Observer = Callable[[InstanceStatus], object]
"""Told of every change while waiting."""

_POLLING = RetryPolicy(initial=0.1, maximum=2.0, multiplier=1.5)


class Goal(enum.Enum):
    """What is waited for."""

    RUNNING = "run"
    STOPPED = "stop"
    DELETED = "be gone"

    @property
    def filter(self) -> str:
        """The fewest instances to watch for it: those that may still be on their way."""
        if self is Goal.DELETED:
            return "desired_state = DELETED"
        return f"state != {self.name}"


def reached(goal: Goal, status: InstanceStatus) -> bool:
    """Tell whether an instance is where it was to go.

    Raises InstanceFailed, or FailedPrecondition when it now is to go elsewhere: it will not
    get there without somebody asking anew.
    """
    if goal.name == status.state:
        return True
    if status.state is InstanceState.FAILED and not status.reconciling and goal is not Goal.DELETED:
        raise failed(status)
    if status.desired_state.name not in (goal.name, DesiredState.UNSPECIFIED):
        raise _errors.FailedPrecondition(
            f"instance {status.id} will not {goal.value}: it is to be {status.desired_state} now",
            code="INSTANCE_NOT_WANTED",
            instance_id=status.id,
        )
    return False


def failed(status: InstanceStatus) -> _errors.InstanceFailed:
    """Make the exception for an instance that failed."""
    failure = status.failure
    if failure is None:
        return _errors.InstanceFailed(f"instance {status.id} failed", instance_id=status.id)
    error = _errors.InstanceFailed(
        failure.message,
        code=failure.code,
        instance_id=status.id,
        metadata={"class": failure.failure_class, "step": failure.step},
    )
    error.failure_class = failure.failure_class
    error.step = failure.step
    return error


class Target(NamedTuple):
    """The instance that is waited for."""

    id: str
    namespace: str
    version: int
    """The version it had when it was asked; what is older is of no account."""


async def wait(
    service: InstanceService,
    watch: Callable[[str], AsyncWatch[instance_pb2.Instance]],
    target: Target,
    goal: Goal,
    *,
    timeout: float,
    observe: Observer | None = None,
) -> None:
    """Wait until the instance has reached its goal, at most `timeout` seconds.

    Raises InstanceFailed, FailedPrecondition (it is to go elsewhere now), NotFound (it is
    gone, unless that was the goal), DeadlineExceeded.
    """
    last: InstanceStatus | None = None
    try:
        async with asyncio.timeout(timeout):
            try:
                async for status in _observations(service, watch, target, goal):
                    if status.version < target.version:
                        continue
                    if observe and status != last:
                        observe(status)
                    last = status
                    if reached(goal, status):
                        return
            except _errors.NotFound:
                if goal is not Goal.DELETED:
                    raise
    except TimeoutError as error:
        if isinstance(error, _errors.CodeStudioError):
            raise
        raise _too_late(target, goal, timeout, last) from None


async def _observations(
    service: InstanceService,
    watch: Callable[[str], AsyncWatch[instance_pb2.Instance]],
    target: Target,
    goal: Goal,
) -> AsyncIterator[InstanceStatus]:
    """Yield what the instance is, at every change; raises NotFound when it is gone."""
    request = instance_service_pb2.GetInstanceStatusRequest(id=target.id)
    try:
        async with watch(f'namespace = "{target.namespace}" AND {goal.filter}') as watching:
            seen = False
            while True:
                event = await watching.next_or_synced()
                if event is None:
                    if not seen:
                        yield InstanceStatus(await service.get_instance_status(request))
                elif event.instance.id == target.id:
                    seen = True
                    if event.type is EventType.REMOVED:
                        # Gone, or past the filter: which of the two, the service knows.
                        yield InstanceStatus(await service.get_instance_status(request))
                    else:
                        yield InstanceStatus.of(event.instance)
    except (_errors.PermissionDenied, _errors.Unimplemented, _errors.InvalidArgument):
        # Not allowed to watch, or an older gateway: ask again and again.
        polls = 0
        while True:
            yield InstanceStatus(await service.get_instance_status(request))
            polls += 1
            await asyncio.sleep(_POLLING.pause(polls))


def _too_late(
    target: Target, goal: Goal, timeout: float, last: InstanceStatus | None
) -> _errors.DeadlineExceeded:
    where = "nothing was heard of it"
    if last is not None:
        where = f"it is {last.state}"
        pending = next((each for each in last.conditions if not each.reached), None)
        if pending is not None:
            where += f", waiting for {pending.step}: {pending.message or pending.reason}"
    return _errors.DeadlineExceeded(
        f"instance {target.id} did not {goal.value} within {timeout:g} s; {where}",
        code="WAIT_TIMEOUT",
        instance_id=target.id,
    )
