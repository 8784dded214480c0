"""What must hold between settings. Tolerant: a value that is wrong by itself hides nothing else."""

from collections.abc import Callable, Iterator, Mapping

from services.chassis import quantities
from services.chassis.errors import Violation
from services.config.schema import Values

_LAST_PORT = 65535
_LIMITED: tuple[tuple[str, Callable[[str], int]], ...] = (
    ("cpu", quantities.parse_cpu),
    ("memory", quantities.parse_memory),
    ("storage", quantities.parse_memory),
)


def violations(values: Values) -> Iterator[Violation]:
    """Give what is wrong between the settings of one service."""
    yield from _ports(values)
    for name, parse in _LIMITED:
        yield from _defaults(values, name, parse)
    yield from _lifetimes(values)


def _ports(values: Values) -> Iterator[Violation]:
    base, size = values.get("port_allocation.base_port"), values.get("port_allocation.range_size")
    if isinstance(base, int) and isinstance(size, int) and base + size - 1 > _LAST_PORT:
        yield Violation(
            "port_allocation.range_size",
            f"a range of {size} ports from {base} on does not fit below {_LAST_PORT + 1}",
        )


def _defaults(values: Values, name: str, parse: Callable[[str], int]) -> Iterator[Violation]:
    default, most = f"resource_limits.default_{name}_request", f"resource_limits.max_{name}_limit"
    try:
        if parse(values[default]) > parse(values[most]):
            yield Violation(
                default, f"must be at most max_{name}_limit, {values[most]}, is {values[default]}"
            )
    except (KeyError, ValueError, TypeError):
        return


def _lifetimes(values: Values) -> Iterator[Violation]:
    least = values.get("lifetime.least_limit")
    if not isinstance(least, int | float):
        return
    for name in ("default_idle_timeout", "default_max_lifetime", "idle_timeouts", "max_lifetimes"):
        path = f"lifetime.{name}"
        given = values.get(path)
        limits = given if isinstance(given, Mapping) else {"": given}
        for namespace, limit in limits.items():
            if isinstance(limit, int | float) and 0 < limit < least:
                of = f"{namespace}: " if namespace else ""
                yield Violation(
                    path, f"{of}must be at least {least:g}, or 0 for never, is {limit:g}"
                )
