"""Which history of a document somebody holds, also where a protocol does not say.

Every history begins with something written by a client of its own, whose id is made of the
epoch's. What a Yjs editor sends names all clients whose edits it holds: so one that kept a history
from before the document was deleted and begun anew is known by who began that.
"""

import dataclasses
import hashlib
from collections.abc import Iterable

from services.chassis import errors
from services.collaboration.names import Name

_FIRST = 0x1C0DE5
"""The upper 21 bits of the ids of those who begin histories. The 53 bits of other clients are
random, in most editors 32 only: one in two million may be taken for one, if that."""
_REST = 32


def first_client(epoch: str) -> int:
    """Return the id of the client that begins a history."""
    return _FIRST << _REST | int.from_bytes(hashlib.sha256(epoch.encode()).digest()[:4])


def check(clients: Iterable[int], epoch: str) -> None:
    """Pass clients of an epoch.

    Raises:
        errors.FailedPrecondition: One of them began another one (EPOCH_MISMATCH).
    """
    for client in clients:
        if client >> _REST == _FIRST and client != first_client(epoch):
            raise mismatch(epoch)


def mismatch(epoch: str, name: Name | None = None) -> errors.FailedPrecondition:
    """Return what is told to somebody who holds another history of a document than an epoch's."""
    return errors.FailedPrecondition(
        "EPOCH_MISMATCH",
        f"You hold another history of {name.path if name else 'this document'}: take the new "
        "state, and apply your own changes again as text",
        metadata={"epoch": epoch, **(dataclasses.asdict(name) if name else {})},
    )
