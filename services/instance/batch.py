"""Creating many instances: each succeeds or fails by itself."""

import asyncio
import uuid
from collections.abc import Sequence

from codestudio.instance.v1 import instance_pb2

from services.chassis import errors, identity, validation
from services.instance import admission, specification
from services.instance.record import Record

MOST = 100
_AT_ONCE = 16
"""Creations under way at once: enough to fill the database, few enough for others to get in."""


async def create(
    configs: Sequence[instance_pb2.InstanceConfig],
    request_id: str,
    *,
    admit: admission.Admission,
    reader: specification.Reader,
) -> list[Record | errors.DomainError]:
    """Create each; gives one result an item, in the same order.

    Each item has a request_id of its own, made from the batch's and its position, so that a
    retry of the batch returns what the first try made and creates only what it did not.

    Args:
        configs: What to create.
        request_id: UUID of the batch; may be empty.
        admit: Creates one.
        reader: Reads configs.
    """
    caller = identity.current()
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, config: instance_pb2.InstanceConfig) -> Record | errors.DomainError:
        wrong = validation.Violations()
        asked = reader.read(config, wrong, f"configs[{number}]")
        own_id = str(uuid.uuid5(uuid.UUID(request_id), str(number))) if request_id else ""
        try:
            wrong.check()
            async with gate:
                return await admit.create(asked, admission.request(caller, own_id, config))
        except Exception as error:
            known = errors.from_exception(error)
            if isinstance(known, errors.Internal) and known is not error:
                raise
            return known

    return list(await asyncio.gather(*(one(*item) for item in enumerate(configs))))
