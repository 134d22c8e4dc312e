"""A cell as it was: what goes back, and what is refused with why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.topology.samples import LATER, STAMP, cell
from topology.codec import encode
from topology.keys import Keyspace
from topology.model import Cell, CellState, Retired, SequenceRange
from topology.plan import Plan, Refusal
from topology.restore import plan_restore
from topology.steps import after
from topology.store import Listing, Record
from topology.view import View, from_listing

KEYS = Keyspace()


def view_of(*cells: Cell | Retired, revision: int = 20) -> View:
    records = tuple(
        Record(
            KEYS.cell(each.id) if isinstance(each, Cell) else KEYS.retired(each.id),
            encode(each),
            5,
            revision,
            1,
        )
        for each in cells
    )
    return from_listing(Listing(revision, records), KEYS)


def restored(view: View, before: Cell | None, cell_id: int = 4, revision: int = 20) -> Plan | str:
    outcome = plan_restore(view, cell_id, before, revision, LATER)
    if isinstance(outcome, Refusal):
        return "; ".join(map(str, outcome.problems))
    assert isinstance(outcome, Plan)
    return outcome


FOUR, FIVE = cell(4, CellState.ACTIVE), cell(5, CellState.ACTIVE)


def test_contents_go_back_with_a_new_stamp() -> None:
    made = restored(view_of(replace(FOUR, weight=0, capacity=9, stamp=LATER), FIVE), FOUR)
    assert isinstance(made, Plan)
    assert made.summary == (f"cell 4: capacity: 9 → {FOUR.capacity}", f"cell 4: weight: 0 → {FOUR.weight}")
    assert made.cell == replace(FOUR, stamp=LATER)
    assert {each.key: each.mod_revision for each in made.txn.compares}[KEYS.cell(4)] == 20


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (CellState.CORDONED, CellState.ACTIVE),
        (CellState.DRAINING, CellState.ACTIVE),
        (CellState.QUARANTINED, CellState.ACTIVE),
        (CellState.ACTIVE, CellState.QUARANTINED),
    ],
)
def test_a_state_goes_back_by_a_move_of_the_lifecycle(now: CellState, before: CellState) -> None:
    view = view_of(replace(cell(4, now), weight=3), FIVE)
    made = restored(view, cell(4, before))
    assert isinstance(made, Plan)
    found = after(view, made).cells[4]
    assert (found.state, found.weight) == (before, cell(4, before).weight)
    assert found.previous_state is (CellState.ACTIVE if before is CellState.QUARANTINED else None)


def test_a_move_that_the_lifecycle_does_not_know_is_refused() -> None:
    words = restored(view_of(cell(4, CellState.CANARY), FIVE), cell(4, CellState.PROVISIONING))
    assert "CANARY" in str(words)
    assert "PROVISIONING" in str(words)


def test_a_cell_that_the_push_added_is_removed_where_it_may_be() -> None:
    made = restored(view_of(cell(4, CellState.PROVISIONING), FIVE), None)
    assert isinstance(made, Plan)
    assert KEYS.cell(4) in made.txn.deletes
    assert "ACTIVE" in str(restored(view_of(FOUR, FIVE), None)), "it serves by now"


def test_an_id_that_is_retired_does_not_come_back() -> None:
    tombstone = Retired(id=4, name="n", session_prefix="cell-4", sequence_ranges=(), stamp=STAMP)
    assert "cell 4 was removed at" in str(restored(view_of(tombstone, FIVE), FOUR, revision=0))


def test_what_was_written_since_is_not_undone_unseen() -> None:
    view = view_of(replace(FOUR, weight=1, stamp=LATER), FIVE, revision=25)
    assert "was written again by bob at" in str(restored(view, FOUR))
    assert "is gone already" in str(restored(view_of(FIVE), None))


def test_sequences_only_grow_and_epochs_never_fall() -> None:
    grown = replace(FOUR, sequence_ranges=(SequenceRange(minval=1, maxval=9000),), epoch=7)
    assert "may be in use" in str(restored(view_of(grown, FIVE), FOUR))
    made = restored(view_of(replace(FOUR, weight=1, epoch=7), FIVE), FOUR)
    assert isinstance(made, Plan)
    assert made.cell is not None
    assert made.cell.epoch == 7
