"""Undoes a creation that was not admitted, leaving nothing behind."""

import uuid
from dataclasses import replace

from services.instance import times
from services.instance.peers import Peers
from services.instance.record import Record
from services.instance.store import Store


class Withdrawal:
    """Takes hidden records back."""

    def __init__(self, *, store: Store, peers: Peers) -> None:
        self._store = store
        self._peers = peers

    async def withdraw(self, record: Record) -> bool:
        """Undo a creation; False where somebody else went on with it.

        The claim is taken first: from then on whoever made the record cannot admit it any more,
        so the reservation that is released here cannot be one that is needed.

        Raises:
            errors.DomainError: The reservation could not be released. The record stays, hidden,
                for the reconciler to withdraw.
        """
        claimed = await self._store.update(
            record, replace(record, claim=str(uuid.uuid4()), claimed_at=times.now())
        )
        if claimed is None:
            return False
        await self._peers.release_quota(claimed)
        if claimed.outbox:
            # The last words of an instance that had the id before.
            gone = replace(claimed, claim="", claimed_at=0, request_key="", gone=True)
            return await self._store.update(claimed, gone) is not None
        return await self._store.remove(claimed)
