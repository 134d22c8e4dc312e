"""What passes a wave, and what takes one back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cellplane.push_diff import effective_revision
from cellplane.wave_change import adopted, essence, is_overtaken, past_wave
from tests.cellplane.pushing import view_of
from tests.cellplane.views import STAMP, cell
from topology.model import Cell, CellState, Departure, Endpoint, Stamp

BASE = view_of(10, cell(1), cell(2), rules__current={"rules": []})
MOVED = (Endpoint(host="10.0.2.9", port=80, zone="a"),)
NAMED = (Endpoint(host="cell.example", port=80, zone="a"),)
LATER = Stamp(updated_by="bob", updated_at="2026-11-22T11:00:00+00:00", reason="")


@pytest.mark.parametrize(
    ("now", "passes"),
    [
        (cell(2, CellState.QUARANTINED), cell(2, CellState.QUARANTINED)),
        (cell(2, endpoints=MOVED), cell(2, endpoints=MOVED)),
        (cell(2, endpoints=MOVED, weight=5), cell(2, endpoints=MOVED)),
        (cell(2, endpoints=NAMED), cell(2)),
        (cell(2, weight=5), cell(2)),
        (cell(2, CellState.DRAINING), cell(2)),
        (cell(2, stamp=LATER), cell(2, stamp=LATER)),
    ],
)
def test_quarantines_and_what_eds_carries_pass(now: Cell, passes: Cell) -> None:
    newest = view_of(12, cell(1), now, before=BASE, rules__current={"rules": []})
    found = past_wave(BASE, newest)
    assert found.cells[2] == passes
    assert found.documents is newest.documents
    assert found.cells[1] is BASE.cells[1]
    assert found.revision == 12


def test_cells_that_come_or_go_and_rules_wait_and_claims_do_not() -> None:
    left = Departure(owner="ORGANIZATION/1", from_cell=1, to_cell=2, epoch=2, stamp=STAMP)
    newest = replace(
        view_of(12, cell(1), cell(3), before=BASE, rules__current={"rules": [1]}, rules__other={}),
        generations={1: 12},
        departed={left.owner: left},
    )
    found = past_wave(BASE, newest)
    assert set(found.cells) == {1, 2}
    assert found.documents["rules", "current"].body == {"rules": []}
    assert ("rules", "other") in found.documents
    assert (found.generations, found.departed) == ({1: 12}, {left.owner: left})
    assert found.document_revision("rules", "current") == 10
    assert (found.cell_revision(2), found.cell_revision(3)) == (10, 0)
    assert effective_revision(found) == 10


def test_a_candidate_goes_in_a_wave_and_an_override_does_not() -> None:
    tried = {"percent": 5.0, "ruleset": {}}
    newest = view_of(
        12, cell(1), cell(2), before=BASE,
        **{"rules-shadow__candidate": tried, "overrides__cell/1": {}, "zones-drained__1/a": {"seconds": 0}},
    )  # fmt: skip
    found = past_wave(BASE, newest)
    assert ("rules-shadow", "candidate") not in found.documents
    assert {("overrides", "cell/1"), ("zones-drained", "1/a")} <= found.documents.keys()
    assert essence(newest).documents.keys() == {("rules", "current"), ("rules-shadow", "candidate")}


def test_where_no_rules_were_none_are() -> None:
    found = past_wave(view_of(10, cell(1)), view_of(12, cell(1), rules__current={"rules": []}))
    assert ("rules", "current") not in found.documents


@pytest.mark.parametrize(
    ("cells", "rules", "overtaken"),
    [
        ((cell(1), cell(2), cell(3)), [1], False),
        ((cell(1), cell(2), cell(3), cell(4)), [1], False),
        ((cell(1), cell(2, endpoints=MOVED), cell(3, CellState.QUARANTINED)), [1], False),
        ((cell(1), cell(2), cell(3, weight=5)), [1], True),
        ((cell(1), cell(2)), [1], True),
        ((cell(1), cell(2), cell(3)), [2], True),
        ((cell(1, weight=5), cell(2), cell(3)), [1], False),
    ],
)
def test_a_wave_is_overtaken_by_its_own_records_alone(
    cells: tuple[Cell, ...], rules: list[int], overtaken: bool
) -> None:
    tried = view_of(12, cell(1), cell(2), cell(3), before=BASE, rules__current={"rules": [1]})
    newest = view_of(14, *cells, before=tried, rules__current={"rules": rules})
    assert is_overtaken(BASE, tried, newest) is overtaken


def test_what_is_kept_is_enough_to_serve_it_and_takes_over_what_is_known() -> None:
    kept = essence(replace(BASE, documents={**BASE.documents}, retired={}))
    assert set(kept.documents) == {("rules", "current")}
    copied = replace(kept, cells={each: replace(one) for each, one in kept.cells.items()}, stale=True)
    found = adopted(copied, BASE)
    assert all(found.cells[each] is BASE.cells[each] for each in BASE.cells)
    assert found.documents["rules", "current"] is BASE.documents["rules", "current"]
    assert not found.stale
