"""How long things took, counted below fixed bounds: what a histogram of metrics shows.

Whoever does the work adds to one, collectors of metrics read it. It reads no clock. Beside both lines of the
program: it measures them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

CALLS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Bounds for calls that answer from memory or make a write or two, in seconds."""


class Timings:
    """Counts of times, in seconds, up to each of the bounds and above the last."""

    __slots__ = ("_bounds", "_counts", "total_seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = (*bounds, math.inf)
        self._counts = [0] * len(self._bounds)
        self.total_seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.total_seconds += seconds

    @property
    def count(self) -> int:
        """How many there were in all."""
        return sum(self._counts)

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Give each bound with how many took no longer, infinity last."""
        below = 0
        for bound, count in zip(self._bounds, self._counts, strict=True):
            below += count
            yield bound, below
