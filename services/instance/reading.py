"""Reading one instance, from memory where that is new enough."""

import time

from codestudio.instance.v1 import instance_pb2

from services.chassis import errors
from services.instance import desires, translation
from services.instance.cache import Cache
from services.instance.peers import Peers
from services.instance.states import States
from services.instance.store import Store


class Reading:
    """Reads instances for their owners."""

    def __init__(self, *, store: Store, cache: Cache, states: States, peers: Peers) -> None:
        self._store = store
        self._cache = cache
        self._states = states
        self._peers = peers

    async def instance(self, instance_id: str) -> instance_pb2.Instance:
        """Return an instance; not to be changed.

        Raises:
            errors.NotFound: There is none.
            errors.PermissionDenied: It is somebody else's.
        """
        message = self._cache.get(instance_id)
        if message is None:
            message = await self._read(instance_id)
        desires.check_owner(message.owner, instance_id)
        return message

    async def status(self, instance_id: str) -> instance_pb2.Instance:
        """Return an instance as far as its status needs it; not to be changed.

        While the database is away, the state it was last seen in, if it changed in the last
        minute.

        Raises:
            errors.DomainError: As `instance`.
        """
        try:
            return await self.instance(instance_id)
        except Exception as error:
            if not isinstance(errors.from_exception(error), errors.Unavailable):
                raise
            message = await self._states.read(instance_id)
            if message is None:
                raise
        desires.check_owner(message.owner, instance_id)
        return message

    async def logs(self, instance_id: str, lines: int) -> list[str]:
        """Return the last lines the editor of an instance wrote.

        Raises:
            errors.DomainError: As `instance`, or the Resource service cannot be reached.
        """
        await self.instance(instance_id)
        return await self._peers.logs(instance_id, lines)

    async def _read(self, instance_id: str) -> instance_pb2.Instance:
        began = time.monotonic()
        record = await self._store.get(instance_id)
        if record is None or not record.visible:
            raise desires.not_found(instance_id)
        message = translation.instance(record)
        self._cache.put(message, read_at=began)
        return message
