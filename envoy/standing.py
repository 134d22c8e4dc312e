"""What a cell's state means at the edge: who reaches it, and what share of unowned traffic it has.

Made from a View's cells for the translators and for the evaluator alike; the states themselves are
`topology.lifecycle`'s. It never looks at a request. `View -> Snapshot` and `Request -> Decision`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from topology.lifecycle import reachable_by_override, serves, unowned_weight
from topology.model import Cell, CellState


class Access(Enum):
    """What meets a request that names the cell."""

    OPEN = "open"
    QUARANTINED = "quarantined"
    """An answer: 503 with Retry-After, in the cell's name."""
    CLOSED = "closed"
    """The next rule, as if the cell were unknown."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a cell stands towards requests. `owned` is for paths and sessions, `override` for operators."""

    cell_id: int
    session_prefix: str
    owned: Access
    override: Access
    weight: int

    @property
    def has_cluster(self) -> bool:
        """Tell whether Envoy shall know the cell. A quarantined one stays, so that it is back at once."""
        return self.override is not Access.CLOSED


def standing(cell: Cell, now: datetime, *, passed: bool = False) -> Standing:
    """Say how a cell stands at this moment. `passed`: an operator passes it over."""
    if cell.state is CellState.QUARANTINED:
        owned = override = Access.QUARANTINED
    else:
        owned = Access.OPEN if serves(cell.state) else Access.CLOSED
        override = Access.OPEN if reachable_by_override(cell.state) else Access.CLOSED
    if passed:
        return Standing(cell.id, cell.session_prefix, Access.CLOSED, override, 0)
    return Standing(cell.id, cell.session_prefix, owned, override, unowned_weight(cell, now))


def cluster_name(cell_id: int) -> str:
    """Name a cell's cluster; cells and clients see it in headers too."""
    return f"cell-{cell_id}"


def fixed_cluster_name(name: str) -> str:
    """Name a cluster of the ruleset's own; no cell's can be like it."""
    return f"fixed-{name}"
