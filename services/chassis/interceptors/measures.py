"""One method's metrics, looked up once instead of at every call."""

from prometheus_client import Counter

from services.chassis import metrics


class Measures:
    """The counters of one method (full name, ``/package.Service/Method``)."""

    def __init__(self, method: str) -> None:
        _, self._service, self._method = method.split("/")
        self._handled: dict[str, Counter] = {}
        self.running = metrics.IN_FLIGHT.labels(self._service, self._method)
        self.streams = metrics.STREAMS.labels(self._service, self._method)
        self.seconds = metrics.SECONDS.labels(self._service, self._method)

    def handled(self, code: str) -> Counter:
        """Return the counter of calls that ended with a status, by its name."""
        counter = self._handled.get(code)
        if counter is None:
            counter = metrics.HANDLED.labels(self._service, self._method, code)
            self._handled[code] = counter
        return counter
