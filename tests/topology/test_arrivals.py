"""Which cell owners may come to."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from tests.topology.samples import cell
from topology.arrivals import arrival_problems, room_problems
from topology.model import CellState
from topology.view import View


@pytest.mark.parametrize(
    ("state", "words", "even_by_force"),
    [
        (CellState.ACTIVE, "", ""),
        (CellState.CANARY, "", ""),
        (CellState.CORDONED, "cell 1 is CORDONED, which takes no newcomers", ""),
        (CellState.DRAINING, "takes no newcomers", ""),
        (CellState.DECOMMISSIONED, "cell 1 is DECOMMISSIONED: name one that serves", "name one that serves"),
    ],
)
def test_by_state(state: CellState, words: str, even_by_force: str) -> None:
    view = View(cells=MappingProxyType({1: cell(1, state=state)}))
    for force, expected in ((False, words), (True, even_by_force)):
        found = list(arrival_problems(view, 1, force=force))
        assert len(found) == bool(expected)
        assert expected in "".join(map(str, found))


def test_a_cell_that_is_not_there() -> None:
    (found,) = arrival_problems(View(), 7, force=True)
    assert str(found) == "to_cell: there is no cell 7: name one that is there"


@pytest.mark.parametrize(
    ("capacity", "placed", "coming", "words"),
    [
        (0, 900, 40, ""),
        (10, 9, 1, ""),
        (10, 12, 0, ""),
        (10, 10, 1, "cell 1 is full: 10 of 10 places are taken, and 1 more would come: "),
        (10, 12, 1, "12 of 10 places are taken"),
        (10, 5, 6, "5 of 10 places are taken, and 6 more would come"),
    ],
)
def test_by_room(capacity: int, placed: int, coming: int, words: str) -> None:
    found = "".join(map(str, room_problems(cell(1, capacity=capacity), placed, coming)))
    assert bool(found) == bool(words)
    assert words in found
