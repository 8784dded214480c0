"""Puts large entries of the log together, which come in parts."""

from services.chassis import clock
from services.collaboration.entry import Entry

_PARTS_SECONDS = 120.0
"""How long the parts of a large entry may wait for the rest: then its replica has died."""
_CLOCKS_DIFFER = 30.0
"""Seconds by which NATS' clock may be behind ours."""


class Assembly:
    """The entries of a document of which parts are here."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[float, list[Entry]]] = {}

    def add(self, one: Entry, now: float) -> bytes | None:
        """Take an entry, or a part of one; returns its update, when all its parts are here.

        Args:
            one: The next of the log.
            now: By the loop's clock.
        """
        # By the log's own time: a room that loads reads old parts and their rest at one moment.
        for key, (_, parts) in list(self._parts.items()):
            if (one.time - parts[0].time).total_seconds() > _PARTS_SECONDS:
                del self._parts[key]
        if one.parts == 1:
            return one.update
        if one.id not in self._parts:
            if one.part:
                return None
            self._parts[one.id] = (now - _waited(one), [])
        _, parts = self._parts[one.id]
        if one.part == len(parts):
            parts.append(one)
        if len(parts) < one.parts:
            return None
        del self._parts[one.id]
        return b"".join(part.update for part in parts)

    def whole(self, now: float) -> bool:
        """Tell whether no entry is half here, but for those whose rest will not come."""
        return all(now - since > _PARTS_SECONDS for since, _ in self._parts.values())


def _waited(one: Entry) -> float:
    """Return for how long an entry has been stored, at least: it may be found long after."""
    age = (clock.now() - one.time).total_seconds() - _CLOCKS_DIFFER
    return max(0.0, min(age, 2 * _PARTS_SECONDS))
