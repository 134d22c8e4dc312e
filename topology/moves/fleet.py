"""What a move asks of the fleet: whether every Envoy has acknowledged a revision.

The composition root reads the fleet's status; the runner asks through this port. `Snapshot -> Response`, on
its way back to the third road.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a revision has come: how many Envoys there are, and which have not acknowledged it.

    `problem` says why that may not be all there are.
    """

    envoys: int
    behind: tuple[str, ...] = ()
    problem: str = ""

    @property
    def missing(self) -> str:
        """Say why it has not reached everybody; empty where it has."""
        if self.problem:
            return self.problem
        if not self.behind:
            return ""
        more = f" and {len(self.behind) - _NAMED} more" if len(self.behind) > _NAMED else ""
        return f"{len(self.behind)} of {self.envoys} Envoys: {', '.join(self.behind[:_NAMED])}{more}"


class Fleet(Protocol):
    """All Envoys of all control planes."""

    async def reached(self, revision: int, /) -> Reached:
        """Say who has acknowledged everything up to a revision of the topology."""
        ...
