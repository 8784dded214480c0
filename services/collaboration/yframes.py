"""Messages of the y-websocket protocol.

https://github.com/yjs/y-protocols/blob/master/PROTOCOL.md
"""

from services.collaboration import ywire

SYNC, AWARENESS, AUTH, QUERY_AWARENESS = range(4)
STEP_1, STEP_2, UPDATE = range(3)
_DENIED = 0
_BINARY = 0x82
"""A whole binary message."""

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


def socket_frame(message: bytes) -> bytes:
    """Return a message as a server's WebSocket frame (RFC 6455, 5.2): the same for every client."""
    length = len(message)
    if length < 126:
        return bytes((_BINARY, length)) + message
    if length < 1 << 16:
        return bytes((_BINARY, 126)) + length.to_bytes(2) + message
    return bytes((_BINARY, 127)) + length.to_bytes(8) + message


def socket_update(content: bytes) -> bytes:
    """Return edits, as a WebSocket frame."""
    return socket_frame(update(content))
