"""When a failed call is made again."""

import dataclasses
import random

from codestudio import _errors

PASSING = (_errors.Unavailable, _errors.DeadlineExceeded)
"""What a stream is resumed after: somebody was away or slow, and nothing was refused."""


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """Calls that are safe to repeat are, while the gateway or a service is unavailable.

    Attempt n+1 follows attempt n after `initial` x `multiplier`^(n-1) seconds, at most
    `maximum`, of which a random half is taken off so that clients do not come back in step.
    """

    attempts: int = 5
    """Most attempts, the first included; 1 for no repetition."""
    initial: float = 0.2
    """Seconds before the second attempt."""
    maximum: float = 5.0
    """Most seconds between two attempts."""
    multiplier: float = 2.0
    """By how much each wait is longer than the one before."""

    def pause(self, failures: int) -> float:
        """Give the seconds to wait after `failures` failures in a row, from 1."""
        # Bounded exponent: a watch fails many times, and a float overflows at 2**1024.
        longest = min(self.maximum, self.initial * self.multiplier ** min(failures - 1, 32))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
