"""What the other cells carry of a cell that drains."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType

from tests.topology.samples import cell
from topology.drain_load import Load, drain_problems, room_in, takers
from topology.model import Cell, CellState
from topology.view import View

NOW = datetime(2026, 3, 1, 13, tzinfo=UTC)
NOBODY = Load(0, {})


def of(*cells: Cell) -> View:
    return View(cells=MappingProxyType({each.id: each for each in cells}))


def told(view: View, cell_id: int, load: Load = NOBODY) -> list[str]:
    return [str(problem) for problem in drain_problems(view, view.cells[cell_id], load, NOW)]


def test_the_rest_must_carry_the_unowned_traffic() -> None:
    view = of(cell(1, weight=201), cell(2, weight=200))
    (problem,) = told(view, 1)
    assert problem.startswith("load: the other cells would get 2.0 times the unowned traffic")
    assert told(view, 2) == []


def test_the_rest_must_have_room_for_the_owners() -> None:
    view = of(cell(1), cell(2, capacity=10), cell(3, CellState.CORDONED), cell(4, weight=0))
    assert [each.id for each in takers(view, view.cells[1])] == [2]
    (problem,) = told(view, 1, Load(3, {2: 8}))
    assert problem.startswith("capacity: 3 owners are left, and the other cells have room for 2")
    assert told(view, 1, Load(2, {2: 8})) == []
    assert room_in(view.cells[2], {2: 11}) == 0


def test_a_cell_without_a_share_lets_none_go() -> None:
    assert told(of(cell(1, CellState.CORDONED, weight=900), cell(2, weight=1)), 1) == []
    # Where nobody else is there at all, the lifecycle's own guard says so.
    assert told(of(cell(1)), 1) == []
