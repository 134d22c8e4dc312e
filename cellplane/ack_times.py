"""How long a push took to reach its nodes: counts in steps of 5 %, small enough to keep and to add up.

A replica fills one per push, the store keeps it, whoever reads adds up all replicas'. Percentiles are exact
to 5 %. Pure (`Snapshot -> Response`, timed).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_STEP: Final = math.log(1.05)
_SHORTEST_MS: Final = 0.1


@dataclass(slots=True)
class AckTimes:
    """Times from a change's arrival to the acknowledgement of all of it, in milliseconds."""

    counts: Counter[int] = field(default_factory=Counter)
    first_ms: float = math.inf
    last_ms: float = 0.0

    @property
    def nodes(self) -> int:
        return self.counts.total()

    def add(self, milliseconds: float) -> None:
        """Count one node."""
        self.first_ms = min(self.first_ms, milliseconds)
        self.last_ms = max(self.last_ms, milliseconds)
        self.counts[max(0, math.ceil(math.log(max(milliseconds, _SHORTEST_MS) / _SHORTEST_MS) / _STEP))] += 1

    def percentile(self, share: float) -> float | None:
        """Give the time within which this share (0 to 1) of the nodes had it; None where none had."""
        wanted, seen = math.ceil(share * self.nodes), 0
        for step in sorted(self.counts):
            seen += self.counts[step]
            if seen >= wanted:
                return min(max(_SHORTEST_MS * math.exp(step * _STEP), self.first_ms), self.last_ms)
        return None

    def to_json(self) -> dict[str, Any]:
        """Return what is kept."""
        if not self.counts:
            return {"steps": {}}
        steps = {str(step): count for step, count in sorted(self.counts.items())}
        return {"steps": steps, "first_ms": round(self.first_ms, 3), "last_ms": round(self.last_ms, 3)}

    @classmethod
    def of_json(cls, body: Mapping[str, Any]) -> AckTimes:
        """Read what `to_json` gave. Raises KeyError, TypeError or ValueError on anything else."""
        counts = Counter({int(step): int(count) for step, count in body["steps"].items()})
        if not counts:
            return cls()
        return cls(counts, float(body["first_ms"]), float(body["last_ms"]))

    def summary(self) -> dict[str, float | int | None]:
        """Return what people are shown: nodes, first, p50, p99 and last in milliseconds."""
        found = self.nodes > 0
        return {
            "nodes": self.nodes,
            "first_ms": round(self.first_ms, 1) if found else None,
            "p50_ms": _rounded(self.percentile(0.5)),
            "p99_ms": _rounded(self.percentile(0.99)),
            "last_ms": round(self.last_ms, 1) if found else None,
        }


def added_up(several: Iterable[AckTimes]) -> AckTimes:
    """Add up what several replicas saw."""
    total = AckTimes()
    for each in several:
        total.counts += each.counts
        total.first_ms = min(total.first_ms, each.first_ms)
        total.last_ms = max(total.last_ms, each.last_ms)
    return total


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
