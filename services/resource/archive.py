"""The history of usage in Redis, so that a restart of the service loses none of it.

``usage_history:<instance id>`` is a list of samples, oldest first, each a JSON array of seconds
since 1970, cores, bytes of memory, bytes of disk, and processes. It is written after the sample
was taken and read only at a start; while Redis is away the samples in memory go on.
"""

import contextlib
import datetime
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from redis.exceptions import ResponseError

from services.chassis import connectors, errors
from services.resource.samples import Sample, at

_KEY = "usage_history:"


class Archive:
    """Keeps samples beyond the life of the service.

    Redis being down raises its exceptions; one that refuses, as when its memory is full, raises
    errors.Unavailable (REDIS_REFUSES).
    """

    def __init__(self, *, redis: connectors.Redis, samples: int, seconds: float) -> None:
        """Prepare.

        Args:
            redis: Where they are kept.
            samples: How many of each instance.
            seconds: How long the last of an instance is kept.
        """
        self._redis = redis
        self._samples = samples
        self._seconds = int(seconds) + 1

    async def write(self, samples: Mapping[str, Sample], gone: Iterable[str]) -> None:
        """Forget instances, and add one sample of each that is there; one round trip."""
        pipeline = cast("Any", self._redis.client.pipeline(transaction=False))
        # First: another of the same name may be there already.
        for instance_id in gone:
            pipeline.delete(_KEY + instance_id)
        for instance_id, sample in samples.items():
            key = _KEY + instance_id
            pipeline.rpush(key, _encode(sample))
            pipeline.ltrim(key, -self._samples, -1)
            pipeline.expire(key, self._seconds)
        with _refusals():
            await pipeline.execute()

    async def read(self, instance_id: str) -> list[Sample]:
        """Read the samples of an instance, oldest first."""
        with _refusals():
            if await self._redis.client.type(_KEY + instance_id) not in ("list", "none"):
                return []  # somebody else's
            texts = await cast("Any", self._redis.client.lrange(_KEY + instance_id, 0, -1))
        return [one for one in map(_decode, texts) if one is not None]


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ResponseError as error:
        if isinstance(errors.from_exception(error), errors.Unavailable):
            raise  # says itself what it is
        raise errors.Unavailable("REDIS_REFUSES", f"Redis refuses: {error}") from error


def _encode(sample: Sample) -> str:
    fields = (
        round(sample.time.astimezone(datetime.UTC).timestamp(), 3),
        round(sample.cpu_cores, 4),
        sample.memory,
        sample.storage,
        sample.processes,
    )
    return json.dumps(fields, separators=(",", ":"))


def _decode(text: str) -> Sample | None:
    try:
        tick, cpu, memory, storage, processes = json.loads(text)
        return Sample(at(tick), float(cpu), int(memory), int(storage), int(processes))
    except (ValueError, TypeError, OverflowError):
        return None  # not ours
