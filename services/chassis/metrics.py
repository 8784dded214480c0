"""What a service counts, in Prometheus' form.

The gRPC names and labels are those of go-grpc-prometheus, which dashboards know.
"""

from prometheus_client import Counter, Gauge, Histogram

_METHOD = ("grpc_service", "grpc_method")

HANDLED = Counter(
    "grpc_server_handled",
    "Calls finished, by status code.",
    (*_METHOD, "grpc_code"),
)
SECONDS = Histogram(
    "grpc_server_handling_seconds",
    "Time unary calls took, in seconds.",
    _METHOD,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("grpc_server_in_flight", "Unary calls running now.", _METHOD)
STREAMS = Gauge("grpc_server_streams", "Streams open now.", _METHOD)

CONNECTOR_UP = Gauge(
    "codestudio_connector_up", "1 while a dependency answers, else 0.", ("connector",)
)
TASK_RESTARTS = Counter(
    "codestudio_task_restarts", "Background tasks that ended by themselves.", ("task",)
)
CACHE_REQUESTS = Counter(
    "codestudio_cache_requests",
    "Questions to a cache: hit, miss, or error where it could not be asked.",
    ("cache", "result"),
)
