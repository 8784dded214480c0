"""Tells other replicas who is in a document and where, by core NATS: ``awareness.>``.

Nothing of it is kept: what is lost on the way comes again when clients renew their states. Only
the newest of each client goes out, however fast it moves. A replica that loads a document asks
the others who is there.
"""

import asyncio
import random
from collections.abc import Callable, Sequence

import nats.errors
import structlog
from nats.aio.msg import Msg

from services.chassis import connectors
from services.collaboration import names, ywire
from services.collaboration.names import Name
from services.collaboration.room import Room

_log = structlog.get_logger(__name__)

SUBJECT = "awareness"
_SAYS, _ASKS = 0, 1
_PAUSE = 0.5
_EVERY = 0.01
"""Seconds between two messages about a document at least: a cursor moves as fast as its user's
finger, and nobody sees more than this."""

_BATCH = 32
"""Clients one message tells of: with the largest states half of what NATS takes (1 MiB)."""


def batches(clients: Sequence[int]) -> list[Sequence[int]]:
    """Cut clients into what single messages can tell of."""
    return [clients[at : at + _BATCH] for at in range(0, len(clients), _BATCH)]


class Presence:
    """The awareness of documents, between replicas."""

    def __init__(
        self, *, nats: connectors.Nats, origin: str, loaded: Callable[[Name], Room | None]
    ) -> None:
        """Prepare.

        Args:
            nats: The connection.
            origin: Name of this replica.
            loaded: Gives a document that is in memory.
        """
        self._nats = nats
        self._origin = origin.encode()
        self._loaded = loaded
        self._changed: dict[Room, set[int]] = {}
        self._asked: set[Name] = set()
        self._event = asyncio.Event()

    def say(self, room: Room, clients: list[int]) -> None:
        """Have others told about clients of this replica."""
        self._changed.setdefault(room, set()).update(clients)
        self._event.set()

    def ask(self, room: Room) -> None:
        """Have others asked who is in a document."""
        self._asked.add(room.name)
        self._event.set()

    async def run(self) -> None:
        """Tell and listen, for ever."""
        await self._nats.wait_ready()
        await self._nats.client.subscribe(f"{SUBJECT}.>", cb=self._received)
        while True:
            await self._event.wait()
            self._event.clear()
            changed, self._changed = self._changed, {}
            asked, self._asked = self._asked, set()
            told = [await self._tell(name, _ASKS, b"") for name in asked]
            for room, clients in changed.items():
                for some in batches(sorted(clients)):
                    content = room.awareness.update(some)
                    told += [await self._tell(room.name, _SAYS, content)]
            if not all(told):
                await asyncio.sleep(_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            await asyncio.sleep(_EVERY)

    async def _tell(self, name: Name, kind: int, content: bytes) -> bool:
        """Publish; what goes wrong with one document is not to silence the others."""
        try:
            await self._publish(name, kind, content)
        except (nats.errors.Error, OSError) as error:
            _log.debug("awareness is not told", document=name.key, why=repr(error))
            return False
        return True

    async def _publish(self, name: Name, kind: int, content: bytes) -> None:
        head = bytes((kind,)) + ywire.write_bytes(self._origin)
        await self._nats.client.publish(name.subject(SUBJECT), head + content)

    async def _received(self, message: Msg) -> None:
        name = names.from_subject(message.subject)
        room = self._loaded(name) if name is not None else None
        if room is None:
            return
        reader = ywire.Reader(message.data)
        try:
            kind, origin = reader.uint(), reader.bytes()
            if origin == self._origin:
                return
            if kind == _ASKS:
                self.say(room, room.own_clients())
            elif kind == _SAYS:
                room.hear(message.data[-reader.left :] if reader.left else b"\x00")
        except ywire.Malformed as error:
            _log.warning("awareness unreadable", subject=message.subject, why=str(error))
