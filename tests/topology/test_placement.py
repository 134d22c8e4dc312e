"""Where newcomers go: who can take them, in which proportions, and the words for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.topology.samples import cell
from topology.model import Cell, CellState
from topology.placement import Chosen, NoRoom, PlacementWish, choose, placement_problems

WISH = PlacementWish(key="signup-1")
THREE = (cell(1, weight=100), cell(2, weight=200), cell(3, weight=700))


def shares(cells: tuple[Cell, ...], many: int = 4000) -> dict[int, float]:
    chosen: Counter[int] = Counter()
    for number in range(many):
        choice = choose(cells, {}, replace(WISH, key=f"signup-{number}"))
        assert isinstance(choice, Chosen)
        chosen[choice.cell.id] += 1
    return {cell_id: count / many for cell_id, count in chosen.items()}


def test_newcomers_divide_by_weight() -> None:
    found = shares(THREE)
    # Four standard deviations of a share of 0.7 among 4,000 are 0.029.
    assert found == {
        1: pytest.approx(0.1, abs=0.03),
        2: pytest.approx(0.2, abs=0.03),
        3: pytest.approx(0.7, abs=0.03),
    }


def test_the_same_key_goes_to_the_same_cell_whatever_the_order() -> None:
    first = choose(THREE, {}, WISH)
    assert first == choose(THREE, {}, WISH)
    again = choose(tuple(reversed(THREE)), {}, WISH)
    assert isinstance(first, Chosen)
    assert isinstance(again, Chosen)
    assert first.cell is again.cell


def test_a_cell_that_comes_takes_its_share_from_all_and_moves_nobody_else() -> None:
    four, moved = (*THREE, cell(4, weight=1000)), 0
    for number in range(1000):
        wish = replace(WISH, key=f"signup-{number}")
        before, after = choose(THREE, {}, wish), choose(four, {}, wish)
        assert isinstance(before, Chosen)
        assert isinstance(after, Chosen)
        assert after.cell.id in (before.cell.id, 4)
        moved += after.cell.id == 4
    assert 430 < moved < 570


@pytest.mark.parametrize(
    ("unfit", "words"),
    [
        (cell(9, CellState.CORDONED), "is CORDONED, which takes no newcomers"),
        (cell(9, CellState.PROVISIONING), "is PROVISIONING, which takes no newcomers"),
        (cell(9, CellState.QUARANTINED), "is QUARANTINED, which takes no newcomers"),
        (cell(9, region="us", ring=1), "is in region us, not eu"),
        (cell(9, ring=1), "is in region none, not eu"),
        (cell(9, region="eu", ring=2), "is in ring 2, not 1"),
        (cell(9, region="eu", ring=1, capacity=50), "is full (50 of 50)"),
        (cell(9, region="eu", ring=1, weight=0), "has weight 0"),
    ],
)
def test_who_cannot_take_a_newcomer(unfit: Cell, words: str) -> None:
    fit = cell(1, region="eu", ring=1, capacity=10)
    wish = replace(WISH, region="eu", ring=1)
    assert choose((fit, unfit), {1: 3, 9: 50}, wish) == Chosen(
        fit, "cell 1 is ACTIVE, the only one that can take it; 4 of 10 places are taken then", ((9, words),)
    )
    alone = choose((unfit,), {9: 50}, wish)
    assert alone == NoRoom(((9, words),))
    assert str(alone) == f"no cell can take the newcomer: cell 9 {words}"


def test_canaries_take_newcomers_too() -> None:
    choice = choose((cell(1, CellState.CANARY),), {}, WISH)
    assert isinstance(choice, Chosen)
    assert choice.why == "cell 1 is CANARY, the only one that can take it; it has no limit"


def test_the_reason_names_the_shares() -> None:
    choice = choose(THREE, {}, replace(WISH, key="signup-5"))
    assert isinstance(choice, Chosen)
    weight = {1: 100, 2: 200, 3: 700}[choice.cell.id]
    assert choice.why == (
        f"cell {choice.cell.id} is ACTIVE, drawn from 3 by weight ({weight} of 1000); it has no limit"
    )
    others = {cell_id for cell_id, _ in choice.considered}
    assert others == {1, 2, 3} - {choice.cell.id}
    assert all(words.startswith("could have taken it (weight ") for _, words in choice.considered)


def test_no_cells_at_all() -> None:
    assert str(choose((), {}, WISH)) == "no cell can take the newcomer: there is none"
    many = NoRoom(tuple((number, "is full") for number in range(25)))
    assert str(many).endswith("cell 19 is full; and 5 more")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (replace(WISH, key=""), "request_key"),
        (replace(WISH, key="x" * 257), "request_key"),
        (replace(WISH, region="x" * 257), "region"),
        (replace(WISH, ring=-1), "ring"),
    ],
)
def test_a_bad_wish_is_told_by_its_field(wish: PlacementWish, field: str) -> None:
    assert [problem.field for problem in placement_problems(wish)] == [field]
    assert placement_problems(WISH) == ()
