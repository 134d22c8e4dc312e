"""What draining a cell means, in two numbers: its share of unowned traffic, and the owners that are left.

The command shows it before and while a cell drains. Pure: a View, counts and a moment in, numbers and words
out. `etcd Event -> View`: what its cells amount to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from topology.drain_load import room_in, takers
from topology.lifecycle import unowned_weight
from topology.model import Cell
from topology.view import View

NAMED: Final = 10
"""So many owners are named, each with the command that moves it."""


@dataclass(frozen=True, slots=True)
class OwnersLeft:
    """Whom a cell has: how many, with how many claims, and the first of them by name."""

    total: int
    records: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainPlan:
    """A cell that is to drain, or drains. `destination` is where its owners could go, 0: nowhere."""

    share: float
    owners: OwnersLeft
    destination: int

    def told(self) -> dict[str, Any]:
        """Return it for people and programs."""
        told: dict[str, Any] = {
            "unowned_share": f"{100 * self.share:.1f} %",
            "owners_left": self.owners.total,
            "claims_of_theirs": self.owners.records,
        }
        if self.owners.total:
            to = self.destination or "CELL"
            told["to_be_moved_by"] = [f"cellplane moves start {name} --to {to}" for name in self.owners.names]
        if (more := self.owners.total - len(self.owners.names)) > 0:
            told["and"] = f"{more} more owners"
        return told


def unowned_share(view: View, cell_id: int, now: datetime) -> float:
    """Give a cell's part of the traffic that nobody owns."""
    weights = {cell.id: unowned_weight(cell, now) for cell in view.cells.values()}
    whole = sum(weights.values())
    return weights[cell_id] / whole if whole else 0.0


def drain_plan(
    view: View, cell: Cell, owners: OwnersLeft, placed: Mapping[int, int], now: datetime
) -> DrainPlan:
    """Say what draining a cell means. `placed`: who has a place in each cell."""
    rest = takers(view, cell)
    room = {other.id: room_in(other, placed) for other in rest}
    best = max(rest, key=lambda other: (room[other.id], other.weight, -other.id), default=None)
    return DrainPlan(
        share=unowned_share(view, cell.id, now),
        owners=owners,
        destination=best.id if best is not None and room[best.id] > 0 else 0,
    )
