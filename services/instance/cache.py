"""Instances in memory, so that reading one does not cost a database read.

What it may give is at most `seconds` old, counted from when the read of it began; what this
replica wrote itself, and what the feed tells of other replicas, takes its place at once. So a
client that stays on one replica reads its own writes, and one that moves to another sees them
as soon as the event has travelled (milliseconds), or after `seconds` at the latest. While the
feed is not healthy everything is read from the database.

Decisions are never made on it: whatever writes reads the database first.
"""

import collections
import dataclasses
import time
from collections.abc import Callable

from codestudio.instance.v1 import instance_pb2

from services.chassis import metrics

_HITS = metrics.CACHE_REQUESTS.labels("instances", "hit")
_MISSES = metrics.CACHE_REQUESTS.labels("instances", "miss")


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    message: instance_pb2.Instance | None
    order: tuple[int, int]
    fresh_until: float


class Cache:
    """Instances as clients see them, by id."""

    def __init__(self, *, seconds: float, entries: int, healthy: Callable[[], bool]) -> None:
        """Prepare.

        Args:
            seconds: Oldest it may give.
            entries: Most it holds.
            healthy: Tells whether changes by others arrive.
        """
        self._seconds = seconds
        self._most = entries
        self._healthy = healthy
        self._entries: collections.OrderedDict[str, _Entry] = collections.OrderedDict()

    def get(self, instance_id: str) -> instance_pb2.Instance | None:
        """Return an instance if it is known well enough. Not to be changed by the caller."""
        entry = self._entries.get(instance_id)
        if (
            entry is None
            or entry.message is None
            or time.monotonic() >= entry.fresh_until
            or not self._healthy()
        ):
            _MISSES.inc()
            return None
        _HITS.inc()
        return entry.message

    def put(self, message: instance_pb2.Instance, *, read_at: float) -> None:
        """Take an instance that was read, or written, at a time of `time.monotonic`."""
        order = (message.create_time.ToMilliseconds(), message.version)
        self._set(message.id, _Entry(message, order, read_at + self._seconds))

    def renew(self, message: instance_pb2.Instance) -> None:
        """Take an instance that an event told of, if it is held: nobody may ever ask for it."""
        present = self._entries.get(message.id)
        if present is not None:
            order = (message.create_time.ToMilliseconds(), message.version)
            # How old the event is nobody knows, so it does not make the entry any younger.
            self._set(message.id, _Entry(message, order, present.fresh_until))

    def drop(self, message: instance_pb2.Instance) -> None:
        """Take note that an instance is gone, so that no read still under way brings it back."""
        order = (message.create_time.ToMilliseconds(), message.version)
        self._set(message.id, _Entry(None, order, time.monotonic() + self._seconds))

    def _set(self, instance_id: str, entry: _Entry) -> None:
        present = self._entries.get(instance_id)
        if present is not None and (
            entry.order < present.order and time.monotonic() < present.fresh_until
        ):
            return
        self._entries[instance_id] = entry
        self._entries.move_to_end(instance_id)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)
