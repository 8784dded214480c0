"""How long instances may live and be idle: their own limits, or the defaults in force."""

from collections.abc import Callable

from services.instance.record import Limits, Record
from services.instance.settings import InstanceSettings

_LEAD_SHARE = 3
"""Limits too short for the whole warning are warned of when a third of them is left."""


class Lifetimes:
    """Reads the settings each time it is asked, so that a change of them counts at once."""

    def __init__(self, settings: Callable[[], InstanceSettings]) -> None:
        """Prepare.

        Args:
            settings: Gives the settings in force.
        """
        self._settings = settings

    def limits(self, namespace: str, idle_timeout: int | None, max_lifetime: int | None) -> Limits:
        """Return what is in force for an instance.

        Args:
            namespace: Its namespace.
            idle_timeout: Its own, in milliseconds; 0 for never, None for the default.
            max_lifetime: Likewise.
        """
        settings = self._settings()
        if idle_timeout is None:
            seconds = settings.idle_timeouts.get(namespace, settings.default_idle_timeout)
            idle_timeout = int(seconds * 1000)
        if max_lifetime is None:
            seconds = settings.max_lifetimes.get(namespace, settings.default_max_lifetime)
            max_lifetime = int(seconds * 1000)
        return Limits(idle_timeout, max_lifetime)

    def of(self, record: Record) -> Limits:
        """Return what is in force for an instance that there is."""
        return self.limits(record.namespace, record.idle_timeout, record.max_lifetime)

    def lead(self, limit: int) -> int:
        """Return how long before the end of a limit to warn of it. Milliseconds, both."""
        return min(int(self._settings().stop_warning_seconds * 1000), limit // _LEAD_SHARE)

    @property
    def longest_lease(self) -> int:
        """Longest keep-alive lease, in milliseconds."""
        return int(self._settings().keep_alive_most_seconds * 1000)
