"""Whether the other cells carry what a cell that drains lets go: its unowned traffic, and its owners.

The service refuses a drain by it, the command shows where owners could go. Pure: a View and counts in,
problems out. Third road: between a call and its `Txn`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from topology.lifecycle import accepts_newcomers, unowned_weight
from topology.model import Cell, Problem
from topology.view import View
from topology.zones import MOST_GROWTH


@dataclass(frozen=True, slots=True)
class Load:
    """How many owners a cell has, and who has a place in each cell."""

    owners: int
    placed: Mapping[int, int]


def takers(view: View, cell: Cell) -> tuple[Cell, ...]:
    """Give the other cells that take unowned traffic and newcomers."""
    return tuple(
        other
        for other in view.cells.values()
        if other.id != cell.id and accepts_newcomers(other.state) and other.weight
    )


def room_in(cell: Cell, placed: Mapping[int, int]) -> float:
    """Say how many more a cell has room for; infinity where it has no limit."""
    return max(0, cell.capacity - placed.get(cell.id, 0)) if cell.capacity else float("inf")


def drain_problems(view: View, cell: Cell, load: Load, now: datetime) -> Iterator[Problem]:
    """Say what is against draining a cell."""
    rest = takers(view, cell)
    mine, theirs = unowned_weight(cell, now), sum(other.weight for other in rest)
    if mine and theirs and (mine + theirs) / theirs > MOST_GROWTH:
        growth = (mine + theirs) / theirs
        message = (
            f"the other cells would get {growth:.1f} times the unowned traffic that they have, and "
            f"{MOST_GROWTH} times is the most that is done unasked: weigh cell {cell.id} down first, "
            "or force it"
        )
        yield Problem(field="load", message=message)
    if load.owners > (places := sum(room_in(other, load.placed) for other in rest)):
        message = (
            f"{load.owners} owners are left, and the other cells have room for {places:.0f}: "
            "add a cell, or force it"
        )
        yield Problem(field="capacity", message=message)
