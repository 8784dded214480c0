"""Numbers as a person reads them."""

import statistics
from collections.abc import Sequence


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Sum up durations: median, 95th percentile and highest, in milliseconds."""
    ordered = sorted(seconds)
    return {
        "median_ms": round(statistics.median(ordered) * 1000, 1),
        "p95_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] * 1000, 1),
        "max_ms": round(ordered[-1] * 1000, 1),
    }


def mebibytes(count: float) -> float:
    """Give bytes in MiB, to one decimal."""
    return round(count / 2**20, 1)
