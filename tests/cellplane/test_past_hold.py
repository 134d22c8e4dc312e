"""What passes a push that is held: quarantines and their end, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from cellplane.past_hold import past_hold
from tests.cellplane.pushing import view_of
from tests.cellplane.views import cell
from topology.model import CellState
from topology.view import View

BASE = view_of(10, cell(1), cell(2), cell(3))


def newest(*cells: object) -> View:
    return view_of(12, *cells, before=BASE)  # type: ignore[arg-type]


def test_a_quarantine_passes_and_a_weight_does_not() -> None:
    burning = replace(cell(2, CellState.QUARANTINED), weight=7)
    found = past_hold(BASE, newest(replace(cell(1), weight=0), burning))
    assert found.cells == {1: BASE.cells[1], 2: burning, 3: BASE.cells[3]}
    assert (found.revision, found.cell_revision(2), found.cell_revision(1)) == (12, 12, 10)


def test_the_end_of_a_quarantine_passes_too() -> None:
    base = view_of(10, cell(1), cell(2, CellState.QUARANTINED))
    found = past_hold(base, view_of(13, cell(1), cell(2), before=base))
    assert found.cells[2].state is CellState.ACTIVE


def test_nothing_to_pass_is_the_same_view() -> None:
    assert past_hold(BASE, newest(cell(1))) is BASE
    assert past_hold(BASE, newest(cell(1), cell(2), cell(3), cell(4, CellState.QUARANTINED))) is BASE
