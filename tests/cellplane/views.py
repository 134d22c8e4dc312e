"""Views for tests of the command: cells written out, no store behind them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from topology.model import Cell, CellState, Drain, Endpoint, Stamp
from topology.view import EMPTY, View

STAMP = Stamp(updated_by="ada", updated_at="2026-11-22T10:00:00+00:00", reason="test")


def cell(cell_id: int, state: CellState = CellState.ACTIVE, **more: object) -> Cell:
    made = Cell(
        id=cell_id,
        name=f"name-{cell_id}",
        state=state,
        endpoints=(Endpoint(host=f"10.0.{cell_id}.1", port=80, zone="a"),),
        drain=Drain(started_at="2026-11-22T10:00:00Z", seconds=10) if state is CellState.DRAINING else None,
        previous_state=CellState.ACTIVE if state is CellState.QUARANTINED else None,
        stamp=STAMP,
    )
    return replace(made, **more)  # type: ignore[arg-type]  # each test names fields of a cell


def view(revision: int, cells: Iterable[Cell]) -> View:
    by_id = {each.id: each for each in cells}
    keys = {EMPTY.keyspace.cell(each): revision for each in by_id}
    return replace(EMPTY, revision=revision, cells=by_id, mod_revisions=keys)
