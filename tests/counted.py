"""What services in this process have counted."""

import collections

from prometheus_client import REGISTRY


def value(name: str, **labels: str) -> float:
    """Give the value of a metric; 0 where it was never counted."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def results(name: str, **labels: str) -> collections.Counter[str]:
    """Give what became of requests to a cache or a pool: hit, miss, error or timeout."""
    found: collections.Counter[str] = collections.Counter()
    for result in ("hit", "miss", "error", "timeout"):
        found[result] = int(value(name, result=result, **labels))
    return found


def cache(name: str) -> collections.Counter[str]:
    """Give what became of questions to a cache."""
    return results("codestudio_cache_requests_total", cache=name)


def pool(name: str) -> collections.Counter[str]:
    """Give what became of requests for a connection of a pool."""
    return results("codestudio_pool_requests_total", pool=name)
