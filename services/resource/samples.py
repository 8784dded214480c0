"""Samples of what instances use, at a fixed resolution, and the last hour of them."""

import collections
import dataclasses
import datetime
from collections.abc import Iterable, Mapping

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What one instance used over one stretch of time."""

    time: datetime.datetime
    """End of the stretch."""
    cpu_cores: float
    """Mean of the stretch."""
    memory: int
    """Bytes at its end; of processes, the share of memory that is theirs (PSS)."""
    storage: int
    """Bytes on disk, as the last look found that ended before; once a minute or less often."""
    processes: int
    """How many there were; 0 while it was stopped."""
    storage_at: datetime.datetime | None = None
    """When that look began; None where none had ended, and in samples of another life."""


class History:
    """The samples of the last while, by instance.

    Times are whole multiples of the resolution since 1970, the same for all instances and across
    restarts. Where no sample was taken there is none: a gap is seen, never filled.
    """

    def __init__(self, *, resolution: float, samples: int) -> None:
        """Begin with none.

        Args:
            resolution: Seconds between two samples.
            samples: How many of each instance are kept at most.
        """
        self.resolution = resolution
        self.length = samples
        self._samples: dict[str, collections.deque[Sample]] = {}

    def next_tick(self, now: float) -> float:
        """Give the next time a sample is due, in seconds since 1970."""
        # In whole milliseconds: 1.0 // 0.2 is 4.
        step = max(1, round(self.resolution * 1000))
        return (int(now * 1000) // step + 1) * step / 1000

    def add(self, samples: Mapping[str, Sample]) -> set[str]:
        """Add the samples of one tick; instances without one are forgotten.

        Returns:
            The ids that were forgotten.
        """
        gone = self._samples.keys() - samples.keys()
        for instance_id in gone:
            del self._samples[instance_id]
        for instance_id, sample in samples.items():
            kept = self._samples.setdefault(instance_id, collections.deque(maxlen=self.length))
            # The clock may have been set back: what is known already is not taken again.
            if not kept or sample.time > kept[-1].time:
                kept.append(sample)
        return gone

    def restore(self, instance_id: str, samples: Iterable[Sample]) -> None:
        """Put samples of an earlier life before those taken since; the newest of all are kept."""
        kept = self._samples.get(instance_id, ())
        first = kept[0].time if kept else None
        older = [one for one in samples if first is None or one.time < first]
        older.sort(key=lambda one: one.time)
        self._samples[instance_id] = collections.deque([*older, *kept], maxlen=self.length)

    def forget(self, instance_id: str) -> None:
        """Drop the samples of an instance that is gone."""
        self._samples.pop(instance_id, None)

    def of(self, instance_id: str, now: datetime.datetime) -> list[Sample]:
        """Give the samples of the last `length` ticks, oldest first."""
        since = now - datetime.timedelta(seconds=self.resolution * self.length)
        return [one for one in self._samples.get(instance_id, ()) if since <= one.time <= now]


def at(tick: float) -> datetime.datetime:
    """Give a tick, in seconds since 1970, as a time."""
    return _EPOCH + datetime.timedelta(seconds=tick)
