"""Messages of the y-websocket protocol.

https://github.com/yjs/y-protocols/blob/master/PROTOCOL.md
"""

from services.collaboration import ywire

SYNC, AWARENESS, AUTH, QUERY_AWARENESS = range(4)
STEP_1, STEP_2, UPDATE = range(3)
_DENIED = 0

NOTHING = bytes((AWARENESS, 1, 0))
"""An awareness message about nobody: a sign of life."""


def step1(state_vector: bytes) -> bytes:
    """Return what asks for everything a state vector lacks."""
    return bytes((SYNC, STEP_1)) + ywire.write_bytes(state_vector)


def step2(content: bytes) -> bytes:
    """Return the answer to `step1`."""
    return bytes((SYNC, STEP_2)) + ywire.write_bytes(content)


def update(content: bytes) -> bytes:
    """Return edits."""
    return bytes((SYNC, UPDATE)) + ywire.write_bytes(content)


def awareness(content: bytes) -> bytes:
    """Return who is where."""
    return bytes((AWARENESS,)) + ywire.write_bytes(content)


def denied(reason: str) -> bytes:
    """Return a refusal."""
    return bytes((AUTH, _DENIED)) + ywire.write_bytes(reason.encode())
