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


class Pool:
    """The counters of one pool, by its name."""

    def __init__(self, name: str, *, most: int) -> None:
        MOST.labels(name).set(most)
        self.in_use = CONNECTIONS.labels(name, "in_use")
        self.idle = CONNECTIONS.labels(name, "idle")
        self.waits = WAITS.labels(name)
        self.timeouts = TIMEOUTS.labels(name)

    def follow(self, *, in_use: Callable[[], int], idle: Callable[[], int]) -> None:
        """Ask for the numbers whenever somebody reads them, instead of being told."""
        self.in_use.set_function(in_use)
        self.idle.set_function(idle)
