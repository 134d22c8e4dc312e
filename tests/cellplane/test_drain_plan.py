"""What draining a cell means, in numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType

from cellplane.drain_plan import OwnersLeft, drain_plan, unowned_share
from tests.topology.samples import cell
from topology.model import Cell, CellState
from topology.view import View

NOW = datetime(2026, 3, 1, 13, tzinfo=UTC)


def of(*cells: Cell) -> View:
    return View(cells=MappingProxyType({each.id: each for each in cells}))


def test_two_numbers_and_the_command_that_moves_whom_it_has() -> None:
    owners = OwnersLeft(12, 812, ("ORGANIZATION/42",))
    view = of(cell(1), cell(2, weight=300), cell(3, capacity=20))
    plan = drain_plan(view, view.cells[1], owners, {3: 5}, NOW)
    assert plan.told() == {
        "unowned_share": "20.0 %",
        "owners_left": 12,
        "claims_of_theirs": 812,
        "to_be_moved_by": ["cellplane moves start ORGANIZATION/42 --to 2"],
        "and": "11 more owners",
    }


def test_where_nobody_has_room_no_cell_is_named() -> None:
    view = of(cell(1), cell(2, capacity=10), cell(3, state=CellState.CORDONED))
    owners = OwnersLeft(3, 3, ("USER/1", "USER/2", "USER/3"))
    full = drain_plan(view, view.cells[1], owners, {2: 10}, NOW)
    assert full.destination == 0
    assert full.told()["to_be_moved_by"][0] == "cellplane moves start USER/1 --to CELL"


def test_a_share_of_nothing_is_nothing() -> None:
    assert unowned_share(of(cell(1, weight=0)), 1, NOW) == 0.0
