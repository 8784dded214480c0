"""The workloads as they are now: in memory for everybody, on disk for our next life."""

import asyncio
from pathlib import Path

import structlog

from services.resource.changes import Changes
from services.resource.runtimes.local.records import Record, Records

_log = structlog.get_logger(__name__)


class State:
    """Holds one record a workload and tells who watches of every change."""

    def __init__(self, container_root: Path) -> None:
        self.changes = Changes()
        self.files = Records(container_root)
        self._records: dict[str, Record] = {}
        self._writing = asyncio.Lock()

    def all(self) -> list[Record]:
        """Give all records in order of instance id."""
        return [self._records[instance_id] for instance_id in sorted(self._records)]

    def get(self, instance_id: str) -> Record | None:
        """Give a record; None where there is none."""
        return self._records.get(instance_id)

    def put(self, record: Record) -> Record:
        """Make this the record of its workload and tell of it at once; `save` keeps it."""
        instance_id = record.workload.instance_id
        self._records[instance_id] = record
        self.changes.announce(instance_id)
        return record

    async def put_lasting(self, record: Record) -> bool:
        """Keep this, and only then make it the record; False where another was put meanwhile.

        What was told outlives us: after a crash nobody sees it taken back.
        """
        instance_id = record.workload.instance_id
        before = self._records.get(instance_id)
        async with self._writing:
            if self._records.get(instance_id) is not before:
                return False
            try:
                await asyncio.to_thread(self.files.save, record)
            except OSError as error:
                _log.warning("record not saved", instance_id=instance_id, error=str(error))
            if self._records.get(instance_id) is before:
                self.put(record)
                return True
        await self.try_save(instance_id)
        return False

    def remove(self, instance_id: str) -> None:
        """Forget a workload; `save` makes it lasting."""
        if self._records.pop(instance_id, None) is not None:
            self.changes.announce(instance_id)

    async def save(self, instance_id: str) -> None:
        """Make lasting what is known of a workload now. Raises OSError."""
        # One at a time, each writing the newest: writers never overtake one another.
        async with self._writing:
            record = self._records.get(instance_id)
            if record is None:
                await asyncio.to_thread(self.files.remove, instance_id)
            else:
                await asyncio.to_thread(self.files.save, record)

    async def try_save(self, instance_id: str) -> None:
        """Save where it is not vital: what an unsaved record lacks, /proc tells."""
        try:
            await self.save(instance_id)
        except OSError as error:
            _log.warning("record not saved", instance_id=instance_id, error=str(error))

    async def load(self) -> dict[str, Record]:
        """Read what our last life kept; nothing of it is put yet."""
        return await asyncio.to_thread(self.files.load)
