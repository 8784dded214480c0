"""How long instances may live and be idle: their own limits, or the defaults in force."""

import dataclasses
from collections.abc import Callable

from services.instance.record import Limits, Record
from services.instance.settings import InstanceSettings

_LEAD_SHARE = 3
"""Limits too short for the whole warning are warned of when a third of them is left."""


class Lifetimes:
    """Reads the settings each time it is asked, so that a change of them counts at once."""

    def __init__(
        self, settings: Callable[[], InstanceSettings], known: Callable[[], bool] = lambda: True
    ) -> None:
        """Prepare.

        Args:
            settings: Gives the settings in force.
            known: Tells whether these are what is configured. Where they are only what the
                service was started with, they are for new instances: the others keep what they
                have, since these settings may be older than it.
        """
        self._settings = settings
        self._known = known

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

    def of(self, record: Record, before: Record | None = None) -> Limits:
        """Return what is in force for an instance that there is.

        Args:
            record: It.
            before: It before its owner changed it, where that is why this is asked: a limit of
                its own that was taken away is not kept.
        """
        limits = self.limits(record.namespace, record.idle_timeout, record.max_lifetime)
        if self._known():
            return limits
        kept, before = record.limits, before or record
        if record.idle_timeout is None and before.idle_timeout is None:
            limits = dataclasses.replace(limits, idle=kept.idle)
        if record.max_lifetime is None and before.max_lifetime is None:
            limits = dataclasses.replace(limits, lifetime=kept.lifetime)
        return limits

    def lead(self, limit: int) -> int:
        """Return how long before the end of a limit to warn of it. Milliseconds, both."""
        return min(int(self._settings().stop_warning_seconds * 1000), limit // _LEAD_SHARE)

    @property
    def longest_lease(self) -> int:
        """Longest keep-alive lease, in milliseconds."""
        return int(self._settings().keep_alive_most_seconds * 1000)
