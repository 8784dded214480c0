"""For which instances a caller may speak and listen: the Instance service knows."""

import asyncio
import dataclasses
import datetime

from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc

from services.chassis import errors, identity, mesh
from services.collaboration import access

_SOURCE_SECONDS = 1.0
"""Longest wait of an edit for the label it is given."""
_REMEMBERED = 10_000
"""Answers remembered at most."""


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """What counts of an instance here."""

    id: str
    """Its id."""
    namespace: str
    """Its namespace."""
    created: datetime.datetime
    """When it was created: what is older was for another instance of this name."""


class Instances:
    """Tells which instances there are, and which are the caller's."""

    def __init__(self, *, channel: mesh.Mesh, remember: float) -> None:
        """Prepare.

        Args:
            channel: The way to the Instance service.
            remember: Seconds an answer is good for.

        """
        self._mesh = channel
        self._remember = remember
        self._answers: dict[tuple[str, str], tuple[float, Instance]] = {}
        self._unknown: dict[tuple[str, str], float] = {}

    async def own(self, instance_id: str) -> Instance:
        """Return an instance the caller may act for: an own one, or any for an administrator.

        Raises:
            errors.NotFound: There is none.
            errors.PermissionDenied: It is somebody else's, or in a namespace the caller may not
                use (NAMESPACE_DENIED).
            errors.Unavailable: The Instance service is away.
        """
        caller = identity.current()
        asker = f"{caller.kind}/{caller.subject}/{','.join(caller.roles)}"
        found = await self._ask(asker, instance_id, caller.token)
        access.check_namespace(caller, found.namespace)
        return found

    async def reachable(self, instance_id: str) -> Instance:
        """Return an instance the caller may write to: any in a namespace the caller may use.

        Raises:
            errors.NotFound: There is none.
            errors.PermissionDenied: The caller may not use its namespace (NAMESPACE_DENIED).
            errors.Unavailable: The Instance service is away.
        """
        found = await self._ask("", instance_id, "")
        access.check_namespace(identity.current(), found.namespace)
        return found

    async def source(self, instance_id: str) -> str:
        """Return the instance that edits are told to come from; empty if that is not known.

        An edit does not wait for what it is labelled with: where there is no such instance, or
        the Instance service does not answer, it goes without a label. A label is never false.

        Raises:
            errors.PermissionDenied: The instance is somebody else's, or in a namespace the caller
                may not use (NAMESPACE_DENIED).
        """
        loop = asyncio.get_running_loop()
        caller = identity.current()
        key = (f"{caller.kind}/{caller.subject}/{','.join(caller.roles)}", instance_id)
        if loop.time() < self._unknown.get(key, 0.0):
            return ""
        try:
            async with asyncio.timeout(_SOURCE_SECONDS):
                return (await self.own(instance_id)).id
        except (errors.NotFound, errors.Unavailable, errors.DeadlineExceeded, TimeoutError):
            self._unknown.pop(key, None)
            self._unknown[key] = loop.time() + self._remember
            if len(self._unknown) > _REMEMBERED:
                del self._unknown[next(iter(self._unknown))]
            return ""

    async def _ask(self, asker: str, instance_id: str, token: str) -> Instance:
        now = asyncio.get_running_loop().time()
        key = (asker, instance_id)
        until, known = self._answers.get(key, (0.0, None))
        if known is not None and now < until:
            return known
        stub = self._mesh.stub(instance_service_pb2_grpc.InstanceServiceStub, token=token)
        request = instance_service_pb2.GetInstanceRequest(id=instance_id)
        found = _instance(await stub.GetInstance(request))
        self._answers.pop(key, None)
        self._answers[key] = (now + self._remember, found)
        if len(self._answers) > _REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return found


def _instance(message: instance_pb2.Instance) -> Instance:
    created = message.create_time.ToDatetime(tzinfo=datetime.UTC)
    return Instance(message.id, message.namespace, created)
