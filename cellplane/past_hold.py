"""What passes a push that is held: a cell's quarantine, and the end of it.

The publisher asks what may go out while nothing newer does. Taking a burning cell out of service cannot wait
until somebody has looked at an unrelated loss. Pure: Views in, a View out (`View -> Snapshot`).
"""

from __future__ import annotations

from dataclasses import replace

from topology.model import Cell, CellState
from topology.view import View


def past_hold(base: View, newest: View) -> View:
    """Give the View that went out in full last, with nothing newer but which cells are quarantined.

    The same object where that changes nothing. Cells that only one of both knows are left as they were.
    """
    passing = {
        cell_id: cell
        for cell_id, cell in newest.cells.items()
        if (known := base.cells.get(cell_id)) is not None and known is not cell and _passes(known, cell)
    }
    if not passing:
        return base
    keys = {base.keyspace.cell(cell_id): newest.cell_revision(cell_id) for cell_id in passing}
    return replace(
        base,
        revision=max(base.revision, *keys.values()),
        cells={**base.cells, **passing},
        mod_revisions={**base.mod_revisions, **keys},
        stale=newest.stale,
    )


def _passes(before: Cell, after: Cell) -> bool:
    return CellState.QUARANTINED in (before.state, after.state)
