"""Collects everything wrong with a request, so a client is told all of it at once."""

from collections.abc import Callable

from services.chassis import errors, quantities

_LISTED = 20
"""Violations told at most: they travel in HTTP headers, which are small."""


class Violations:
    """The violations of one request.

    >>> wrong = Violations()
    >>> wrong.add("id", "must not be empty")
    >>> wrong.check()
    Traceback (most recent call last):
    services.chassis.errors.InvalidArgument: INVALID_ARGUMENT: id: must not be empty
    """

    def __init__(self) -> None:
        self._found: list[errors.Violation] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, field: str, description: str) -> None:
        """Note that a field (path in the request) is wrong, and what would be right."""
        self._found.append(errors.Violation(field, description))

    def cpu(self, field: str, text: str, *, least: int = 1, most: int | None = None) -> int:
        """Read CPU as millicores, noting a violation outside least…most; 0 where unreadable."""
        try:
            amount = quantities.parse_cpu(text)
        except ValueError as error:
            self.add(field, str(error))
            return 0
        self._bound(field, amount, least, most, quantities.format_cpu)
        return amount

    def memory(
        self, field: str, text: str, *, least: int = 1024**2, most: int | None = None
    ) -> int:
        """Read a size as bytes, noting a violation outside least…most; 0 where unreadable."""
        try:
            amount = quantities.parse_memory(text)
        except ValueError as error:
            self.add(field, str(error))
            return 0
        self._bound(field, amount, least, most, quantities.format_memory)
        return amount

    def check(self) -> None:
        """Raise when anything was noted.

        Raises:
            errors.InvalidArgument: Code INVALID_ARGUMENT, with every violation.

        """
        if not self._found:
            return
        first = self._found[0]
        more = len(self._found) - 1
        suffix = f" (and {more} more)" if more else ""
        lines = [f"{one.field}: {one.description}" for one in self._found[:_LISTED]]
        if len(self._found) > _LISTED:
            lines.append(f"and {len(self._found) - _LISTED} more")
        raise errors.InvalidArgument(
            "INVALID_ARGUMENT",
            f"{first.field}: {first.description}{suffix}",
            details="; ".join(lines),
            violations=self._found[:_LISTED],
        )

    def _bound(
        self, field: str, amount: int, least: int, most: int | None, text: Callable[[int], str]
    ) -> None:
        if amount < least:
            self.add(field, f"must be at least {text(least)}, is {text(amount)}")
        elif most is not None and amount > most:
            self.add(field, f"must be at most {text(most)}, is {text(amount)}")
