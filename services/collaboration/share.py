"""What one connection may use of a replica's time, which all its clients share."""

import asyncio

_MESSAGE = 0.0001
"""Seconds a small message costs, from the network to what others are told of it."""
_BYTE = 1 / 200e6
"""Seconds a byte costs, taken in or answered: about what encoding a document does."""
_STEP = 0.005
"""Seconds that are worth a pause."""


class Share:
    """Slows down a connection that sends faster than its share of the time allows.

    Nothing is dropped: what is not read yet waits at the client, whose own flow control tells it.
    So a flood takes no more than its share, however well-formed it is, and everybody else's edits
    come between. People never notice: they type a hundred times slower.
    """

    def __init__(self, *, share: float, credit: float) -> None:
        """Prepare.

        Args:
            share: Part of the time it may use for long, above 0 and up to 1.
            credit: Seconds of work it may ask for at once, before that counts.
        """
        self._share = share
        self._ahead = credit / share
        self._loop = asyncio.get_running_loop()
        self._paid_until = 0.0

    def spend(self, size: int) -> float:
        """Charge for a message, and return the seconds until the next may be read.

        Args:
            size: Bytes of it, and of what it is answered.
        """
        now = self._loop.time()
        price = (_MESSAGE + size * _BYTE) / self._share
        self._paid_until = max(self._paid_until, now) + price
        pause = self._paid_until - now - self._ahead
        return pause if pause >= _STEP else 0.0
