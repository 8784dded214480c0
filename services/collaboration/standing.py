"""Whether a connection that lasts is still its caller's: it ends with the token that opened it."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from services.chassis import authentication, errors, identity

_LOOK_EVERY = 30.0
"""Seconds between two looks whether the key that signed a token still counts."""
_LEAST = 0.05
"""Seconds between two looks at least: the clocks of a timer and of a token are not the same."""


class Standing:
    """The token of one connection, followed while it lasts."""

    def __init__(
        self,
        *,
        authenticator: authentication.Authenticator,
        caller: identity.Caller,
        on_end: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            authenticator: Knows which tokens are good.
            caller: Whose connection it is.
            on_end: Called when the token is no longer good.
        """
        self._authenticator = authenticator
        self._caller = caller
        self._on_end = on_end
        self.ended: errors.Unauthenticated | None = None
        """Why the token is no longer good."""
        self._timer: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def followed(self) -> Iterator[None]:
        """Look at the token as long as this lasts: when it ends, and now and then."""
        self._wait()
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _wait(self) -> None:
        left = self._caller.expires - time.time()
        pause = max(_LEAST, min(left, _LOOK_EVERY))
        self._timer = asyncio.get_running_loop().call_later(pause, self._look)

    def _look(self) -> None:
        try:
            self._authenticator.authenticate(f"Bearer {self._caller.token}")
        except errors.Unauthenticated as error:
            self.ended = error
            self._on_end()
            return
        except errors.Unavailable:
            # The keys cannot be read just now: what was good stays good.
            pass
        self._wait()
