"""Which cell owners may come to: one that takes newcomers and has room, or that somebody insists on.

Transfers and moves ask before they begin. It reads nothing by itself. Third road: what stands against a
`Txn`.
"""

from __future__ import annotations

from collections.abc import Iterator

from topology import lifecycle
from topology.model import Cell, CellState, Problem
from topology.store import Compare
from topology.view import View


def as_arrived_at(view: View, cell_id: int) -> tuple[Compare, ...]:
    """Give what a transfer compares, so that its cell is still what was judged when the owners come."""
    return (Compare(view.keyspace.cell(cell_id), view.cell_revision(cell_id)),)


def arrival_problems(view: View, cell_id: int, *, force: bool) -> Iterator[Problem]:
    """Say what is against a cell as the one that owners go to. `force` overrides its state."""
    cell = view.cells.get(cell_id)
    if cell is None:
        yield Problem(field="to_cell", message=f"there is no cell {cell_id}: name one that is there")
    elif cell.state is CellState.DECOMMISSIONED:
        yield Problem(field="to_cell", message=f"cell {cell_id} is {cell.state}: name one that serves")
    elif not lifecycle.accepts_newcomers(cell.state) and not force:
        message = f"cell {cell_id} is {cell.state}, which takes no newcomers: name another, or force it"
        yield Problem(field="to_cell", message=message)


def room_problems(cell: Cell, placed: int, coming: int) -> Iterator[Problem]:
    """Say what is against so many more in a cell that has so many places taken."""
    if cell.capacity and coming and placed + coming > cell.capacity:
        more = "1 more would come" if coming == 1 else f"{coming} more would come"
        message = (
            f"cell {cell.id} is full: {placed} of {cell.capacity} places are taken, and {more}: "
            "raise its capacity, name another cell, or force it"
        )
        yield Problem(field="to_cell", message=message)
