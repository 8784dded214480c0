"""What is counted of the lives of instances."""

from prometheus_client import Counter

from services.instance.record import Record, State

STOPS = Counter("codestudio_instance_stops", "Instances stopped, by stop reason.", ("reason",))
WARNINGS = Counter(
    "codestudio_instance_stop_warnings",
    "Warnings that an instance is about to be stopped, by what for.",
    ("reason",),
)
WARNINGS_CLEARED = Counter(
    "codestudio_instance_stop_warnings_cleared",
    "Warnings after which an instance was not stopped, by why not.",
    ("reason",),
)
KEEP_ALIVES = Counter(
    "codestudio_instance_keep_alives", "Keep-alive leases, by what became of them.", ("outcome",)
)


def count(before: Record, after: Record) -> None:
    """Count what a write changed; for writes that succeeded."""
    if after.state is State.STOPPING and before.state is not State.STOPPING:
        STOPS.labels(after.stop_reason.value if after.stop_reason else "").inc()
    if after.notice is None or after.notice == before.notice:
        return
    if after.notice.warns:
        WARNINGS.labels(after.notice.reason.value).inc()
    elif after.notice.in_use:
        WARNINGS_CLEARED.labels(after.notice.reason.value).inc()
