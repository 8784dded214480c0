"""Which port ranges there are: from a base port on, one after the other, all of one size.

The first port of a range is the web port; the upper half, 50 to 99 of 100, is for callbacks
(specification, allocatePortRange).
"""

import dataclasses

_LAST_PORT = 65535
_FIRST_UNPRIVILEGED = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class PortPlan:
    """All port ranges of a stack."""

    base: int
    """First port of the first range."""
    size: int
    """Ports in each."""
    most: int
    """Ranges at most; fewer where the ports end."""

    @property
    def capacity(self) -> int:
        """How many ranges there are."""
        return max(0, min(self.most, (_LAST_PORT + 1 - self.base) // self.size))

    def callback_range(self, web_port: int, size: int = 0) -> tuple[int, int]:
        """Give the first and the last callback port of the range that starts at `web_port`.

        Args:
            web_port: First port of the range.
            size: Ports in it; 0 for as many as in this plan. A range keeps the size it was
                allocated with, whatever the plan is by now.
        """
        size = size or self.size
        return web_port + size // 2, web_port + size - 1

    def objection(self, web_port: int) -> str:
        """Say why no range starts at `web_port`, and what would be right; empty if one does."""
        if not _FIRST_UNPRIVILEGED <= web_port <= _LAST_PORT:
            return f"must be {_FIRST_UNPRIVILEGED} to {_LAST_PORT}, is {web_port}"
        slot, rest = divmod(web_port - self.base, self.size)
        if rest or not 0 <= slot < self.capacity:
            last = self.base + (self.capacity - 1) * self.size
            return (
                f"must be {self.base} plus a multiple of {self.size}, at most {last}, is {web_port}"
            )
        return ""
