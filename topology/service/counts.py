"""What became of calls, counted: how they ended, whom no rule let in, how long answers took.

The gate counts, metrics read it. Labels are bounded: methods, codes and roles. Stands before `Request ->
ClassificationKey -> Decision`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from topology.timings import CALLS, Timings


@dataclass(slots=True)
class Counts:
    """What became of calls: (method, status code), and of callers: (method, role) refused; how long answers
    took, by method.
    """

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, Timings] = field(default_factory=dict)

    def took(self, method: str, seconds: float) -> None:
        """Count a call that was answered."""
        times = self.seconds.get(method)
        if times is None:
            times = self.seconds[method] = Timings(CALLS)
        times.add(seconds)
