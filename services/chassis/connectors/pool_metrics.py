"""What a pool of connections counts, the same for every kind of it."""

from collections.abc import Callable

from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge(
    "codestudio_pool_connections",
    "Connections there are: in_use while somebody has them, idle while nobody does.",
    ("pool", "state"),
)
MOST = Gauge("codestudio_pool_connections_max", "Connections there may be.", ("pool",))
WAITS = Counter(
    "codestudio_pool_waits", "Times somebody had to wait for a connection to come free.", ("pool",)
)
TIMEOUTS = Counter(
    "codestudio_pool_timeouts", "Times none came free in time, and the call failed.", ("pool",)
)
REQUESTS = Counter(
    "codestudio_pool_requests",
    "Connections asked for: hit where one was there, miss where it had to be made or waited for, "
    "timeout where none came free in time.",
    ("pool", "result"),
)


class Pool:
    """The counters of one pool, by its name."""

    def __init__(self, name: str, *, most: int) -> None:
        MOST.labels(name).set(most)
        self.in_use = CONNECTIONS.labels(name, "in_use")
        self.idle = CONNECTIONS.labels(name, "idle")
        self.waits = WAITS.labels(name)
        self._timeouts = TIMEOUTS.labels(name)
        self._hits, self._misses, self._late = (
            REQUESTS.labels(name, result) for result in ("hit", "miss", "timeout")
        )

    def got(self, *, at_once: bool) -> None:
        """Count somebody who got a connection; `at_once` where one was there."""
        (self._hits if at_once else self._misses).inc()

    def failed(self) -> None:
        """Count somebody for whom a connection had to be made, and was not."""
        self._misses.inc()

    def timed_out(self) -> None:
        """Count somebody for whom none came free in time."""
        self._timeouts.inc()
        self._late.inc()

    def follow(self, *, in_use: Callable[[], int], idle: Callable[[], int]) -> None:
        """Ask for the numbers whenever somebody reads them, instead of being told."""
        self.in_use.set_function(in_use)
        self.idle.set_function(idle)
