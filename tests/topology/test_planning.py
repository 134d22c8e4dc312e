from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.topology.samples import LATER, cell, retired, view_of
from topology import planning
from topology.codec import decode
from topology.keys import CellKey, RetiredKey
from topology.model import Cell, CellState, Drain, Endpoint, Retired, SequenceRange, Stamp
from topology.planning import Outcome, Overtaken, Plan, Refusal
from topology.store import Compare
from topology.view import Quarantined, QuarantineKind, View

DRAINING = Drain(started_at="2026-03-01T13:00:00Z", seconds=300)
REGISTRY = Compare("/cellplane/v1/registry", 7)


def key(cell_id: int) -> str:
    return f"/cellplane/v1/cells/{cell_id}"


def plan_of(outcome: Outcome) -> Plan:
    assert isinstance(outcome, Plan), outcome
    return outcome


def problems(outcome: Outcome) -> dict[str, str]:
    assert isinstance(outcome, Refusal), outcome
    return {problem.field: problem.message for problem in outcome.problems}


def written(plan: Plan) -> Cell:
    puts = dict(plan.txn.puts)
    assert plan.cell is not None
    found = decode(CellKey(plan.cell.id), puts[key(plan.cell.id)])
    assert found == plan.cell
    assert isinstance(found, Cell)
    return found


def spoilt(cell_id: int) -> dict[str, Quarantined]:
    kept = Quarantined(
        key=key(cell_id),
        kind=QuarantineKind.UNDECODABLE,
        reason="no JSON",
        create_revision=1,
        mod_revision=33,
        raw=b"?",
    )
    return {kept.key: kept}


# Adding


def test_a_cell_is_added() -> None:
    new = cell(4, CellState.PROVISIONING, weight=30)
    plan = plan_of(planning.plan_add(view_of(cell(1)), new))
    assert plan.txn.compares == (Compare(key(4), 0), Compare("/cellplane/v1/retired/4", 0), REGISTRY)
    assert [name for name, _ in plan.txn.puts] == [key(4), "/cellplane/v1/registry"]
    assert written(plan) == new
    assert plan.summary == ("cell 4: add cell-4 in PROVISIONING, weight 30",)
    assert plan.keys == ()


def test_the_first_cell_of_all_is_added() -> None:
    plan = plan_of(planning.plan_add(View(), cell(1, CellState.PROVISIONING)))
    assert Compare("/cellplane/v1/registry", 0) in plan.txn.compares


@pytest.mark.parametrize("state", [state for state in CellState if state is not CellState.PROVISIONING])
def test_a_cell_starts_in_provisioning(state: CellState) -> None:
    assert problems(planning.plan_add(view_of(), cell(4, state))) == {
        "state": f"a new cell cannot start in {state}: add it in PROVISIONING, then set its state"
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": 1, "session_prefix": "new"}, "id"),
        ({"id": 2}, "id"),
        ({"name": "cell-1"}, "name"),
        ({"session_prefix": "cell-1"}, "session_prefix"),
        ({"session_prefix": "cell-2"}, "session_prefix"),
        ({"sequence_ranges": (SequenceRange(minval=90, maxval=200),)}, "sequence_ranges[0]"),
        ({"sequence_ranges": (SequenceRange(minval=900, maxval=901),)}, "sequence_ranges[0]"),
        ({"endpoints": (Endpoint(host="10.0.0.2", port=8080),)}, "endpoints[0]"),
        ({"weight": -1}, "weight"),
        ({"endpoints": (Endpoint(host="nowhere..", port=80),)}, "endpoints[0].host"),
        ({"stamp": Stamp(updated_by="", updated_at="2026-03-01T12:00:00Z", reason="")}, "updated_by"),
    ],
)
def test_a_bad_cell_is_refused(changes: dict[str, Any], field: str) -> None:
    one = cell(1, sequence_ranges=(SequenceRange(minval=1, maxval=99),))
    gone = retired(2, sequence_ranges=(SequenceRange(minval=900, maxval=999),))
    given: dict[str, Any] = {
        "id": 4,
        "name": "new",
        "endpoints": (Endpoint(host="10.9.9.9", port=1),),
    } | changes
    new = cell(given.pop("id"), CellState.PROVISIONING, **given)
    assert field in problems(planning.plan_add(view_of(one, retired={2: gone}), new))


# Updating


def test_a_cells_contents_change() -> None:
    view = view_of(cell(1), cell(2))
    after = replace(cell(1), endpoints=(Endpoint(host="10.0.0.2", port=8080, weight=5),), stamp=LATER)
    plan = plan_of(planning.plan_update(view, after, expected_revision=11))
    assert plan.txn.compares == (Compare(key(1), 11),)
    assert written(plan) == after
    assert plan.summary == ("cell 1: endpoints: 10.0.0.2:8080 weight 1 → 10.0.0.2:8080 weight 5",)
    same = plan_of(planning.plan_update(view, replace(cell(1), stamp=LATER)))
    assert same.summary == ("cell 1: nothing changes but who wrote it last",)
    assert plan.keys == (key(1),)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "renamed"},
        {"endpoints": (Endpoint(host="10.9.9.9", port=80),)},
        {"sequence_ranges": (SequenceRange(minval=1, maxval=9),)},
    ],
)
def test_what_must_be_unique_goes_through_the_registry(changes: dict[str, Any]) -> None:
    plan = plan_of(planning.plan_update(view_of(cell(1)), replace(cell(1), stamp=LATER, **changes)))
    assert plan.txn.compares == (Compare(key(1), 11), REGISTRY)
    assert "/cellplane/v1/registry" in dict(plan.txn.puts)


def test_an_update_is_refused_or_overtaken() -> None:
    view = view_of(cell(1), cell(2))
    assert problems(planning.plan_update(view, replace(cell(1), session_prefix="new")))
    assert set(problems(planning.plan_update(view, replace(cell(1), name="cell-2")))) == {"name"}
    assert set(problems(planning.plan_update(view, replace(cell(1), state=CellState.CORDONED)))) == {"state"}
    assert set(problems(planning.plan_update(view, cell(7)))) == {"id"}
    assert set(problems(planning.plan_update(view, replace(cell(1), weight=-1)))) == {"weight"}
    assert isinstance(planning.plan_update(view, cell(1), expected_revision=5), Overtaken)


def test_an_update_does_not_take_the_last_weight_away() -> None:
    alone, idle = view_of(cell(1)), replace(cell(1), weight=0)
    assert set(problems(planning.plan_update(alone, idle))) == {"weight"}
    assert plan_of(planning.plan_update(alone, idle, force=True)).txn.compares == (Compare(key(1), 11),)
    leaning = plan_of(planning.plan_update(view_of(cell(1), cell(2)), idle))
    assert leaning.txn.compares == (Compare(key(1), 11), Compare(key(2), 12))


def test_a_spoilt_record_is_mended() -> None:
    view = View(revision=40, quarantined=spoilt(1), mod_revisions={key(1): 33})
    plan = plan_of(planning.plan_update(view, cell(1, CellState.CORDONED)))
    assert plan.txn.compares == (Compare(key(1), 33), Compare("/cellplane/v1/registry", 0))
    assert plan.summary == ("cell 1: mends its record (no JSON)",)
    assert written(plan).state is CellState.CORDONED


def test_a_spoilt_record_with_a_good_one_before_it_is_mended_as_that() -> None:
    view = replace(view_of(cell(1)), quarantined=spoilt(1), mod_revisions={key(1): 33})
    assert set(problems(planning.plan_update(view, cell(1, CellState.CORDONED)))) == {"state"}
    assert plan_of(planning.plan_set_state(view, 1, CellState.QUARANTINED, LATER)).txn.compares == (
        Compare(key(1), 33),
    )


# Moving


def test_a_cell_is_moved() -> None:
    plan = plan_of(
        planning.plan_set_state(view_of(cell(1, CellState.PROVISIONING)), 1, CellState.CANARY, LATER)
    )
    assert plan.txn.compares == (Compare(key(1), 11),)
    assert written(plan) == replace(cell(1, CellState.CANARY), stamp=LATER)
    assert plan.summary == (
        "cell 1: PROVISIONING → CANARY",
        "cell 1: routing: takes its share of unowned traffic",
        "cell 1: placement: newcomers, by its weight",
    )


@pytest.mark.parametrize(
    ("before", "to", "given", "after"),
    [
        (cell(1), "DRAINING", None, {"drain": DRAINING}),
        (cell(1), "DRAINING", 60, {"drain": replace(DRAINING, seconds=60)}),
        (cell(1), "DRAINING", 0, {"drain": replace(DRAINING, seconds=0)}),
        (cell(1, CellState.CANARY), "DRAINING", None, {"drain": DRAINING}),
        # It takes nothing that nobody owns any more: there is nothing to ramp down.
        (cell(1, CellState.CORDONED), "DRAINING", 60, {"drain": replace(DRAINING, seconds=0)}),
        (cell(1, CellState.QUARANTINED), "DRAINING", 60, {"drain": replace(DRAINING, seconds=0)}),
        (cell(1, CellState.DRAINING), "ACTIVE", None, {}),
        (cell(1, CellState.DRAINING), "CORDONED", None, {}),
        (cell(1), "QUARANTINED", None, {"previous_state": CellState.ACTIVE}),
        (cell(1, CellState.CORDONED), "QUARANTINED", None, {"previous_state": CellState.CORDONED}),
        (cell(1, CellState.QUARANTINED), "ACTIVE", None, {}),
    ],
)
def test_what_a_move_writes(before: Cell, to: str, given: int | None, after: dict[str, Any]) -> None:
    plan = plan_of(planning.plan_set_state(view_of(before, cell(2)), 1, CellState(to), LATER, given))
    bare = cell(1, CellState(to), drain=None, previous_state=None, stamp=LATER)
    assert written(plan) == replace(bare, **after)


def test_a_drain_goes_on_through_a_quarantine() -> None:
    draining = cell(1, CellState.DRAINING)
    quarantined = written(
        plan_of(planning.plan_set_state(view_of(draining), 1, CellState.QUARANTINED, LATER))
    )
    assert (quarantined.drain, quarantined.previous_state) == (draining.drain, CellState.DRAINING)
    back = written(plan_of(planning.plan_set_state(view_of(quarantined), 1, CellState.DRAINING, LATER)))
    assert back == replace(draining, stamp=LATER)


def test_a_drain_is_told() -> None:
    def told(before: Cell, seconds: int | None = None) -> str:
        view = view_of(before, cell(2))
        return plan_of(planning.plan_set_state(view, 1, CellState.DRAINING, LATER, seconds)).summary[-1]

    assert told(cell(1), 60) == "cell 1: its share of unowned traffic falls to zero over 60 s"
    assert told(cell(1, CellState.CORDONED)) == "cell 1: its share of unowned traffic is zero at once"


@pytest.mark.parametrize(
    ("before", "to", "seconds", "field"),
    [
        (cell(1, CellState.PROVISIONING), "ACTIVE", None, "state"),
        (cell(1), "ACTIVE", None, "state"),
        (cell(1), "CORDONED", 10, "over_seconds"),
        (cell(1), "DRAINING", -1, "over_seconds"),
        (cell(1, CellState.QUARANTINED, previous_state=CellState.CORDONED), "ACTIVE", None, "state"),
        (cell(1, CellState.DECOMMISSIONED), "PROVISIONING", None, "state"),
    ],
)
def test_a_move_that_is_not_in_the_table_is_refused_even_by_force(
    before: Cell, to: str, seconds: int | None, field: str
) -> None:
    for force in (False, True):
        outcome = planning.plan_set_state(
            view_of(before, cell(2)), 1, CellState(to), LATER, seconds, force=force
        )
        assert set(problems(outcome)) == {field}


def test_a_guard_yields_to_force() -> None:
    alone = view_of(cell(1))
    assert set(problems(planning.plan_set_state(alone, 1, CellState.CORDONED, LATER))) == {"state"}
    forced = plan_of(planning.plan_set_state(alone, 1, CellState.CORDONED, LATER, force=True))
    assert forced.txn.compares == (Compare(key(1), 11),)
    early = replace(cell(1, CellState.DRAINING), drain=DRAINING)
    assert (
        "wait 300 s"
        in problems(planning.plan_set_state(view_of(early, cell(2)), 1, CellState.DRAINED, LATER))["state"]
    )
    plan_of(planning.plan_set_state(view_of(early), 1, CellState.DRAINED, LATER, force=True))


def test_a_guard_compares_the_cell_that_it_leans_on() -> None:
    plan = plan_of(planning.plan_set_state(view_of(cell(1), cell(2)), 1, CellState.CORDONED, LATER))
    assert plan.txn.compares == (Compare(key(1), 11), Compare(key(2), 12))
    assert plan.keys == (key(1),)


def test_a_move_may_be_overtaken() -> None:
    found = planning.plan_set_state(view_of(cell(1)), 1, CellState.QUARANTINED, LATER, expected_revision=3)
    assert isinstance(found, Overtaken)
    assert (found.seen_revision, found.revision, found.cell) == (3, 11, cell(1))


# Weighing


def test_a_cell_is_weighed_anew() -> None:
    plan = plan_of(planning.plan_set_weight(view_of(cell(1)), 1, 7, LATER))
    assert written(plan) == cell(1, weight=7, stamp=LATER)
    assert plan.txn.compares == (Compare(key(1), 11),)
    assert plan.summary == ("cell 1: weight 100 → 7, of unowned traffic and newcomers only",)


@pytest.mark.parametrize("weight", [-1, 100_001])
def test_a_weight_has_bounds(weight: int) -> None:
    assert problems(planning.plan_set_weight(view_of(cell(1)), 1, weight, LATER)) == {
        "weight": f"{weight} is out of range: use 0 to 100000"
    }


def test_the_last_weight_is_not_taken_away() -> None:
    assert set(problems(planning.plan_set_weight(view_of(cell(1)), 1, 0, LATER))) == {"weight"}
    plan_of(planning.plan_set_weight(view_of(cell(1)), 1, 0, LATER, force=True))
    plan = plan_of(planning.plan_set_weight(view_of(cell(1), cell(2)), 1, 0, LATER))
    assert plan.txn.compares == (Compare(key(1), 11), Compare(key(2), 12))
    assert set(problems(planning.plan_set_weight(view_of(), 1, 0, LATER))) == {"id"}
    assert isinstance(planning.plan_set_weight(view_of(cell(1)), 1, 5, LATER, expected_revision=1), Overtaken)


# Removing


def test_a_removed_cell_leaves_a_tombstone() -> None:
    gone = cell(1, CellState.DECOMMISSIONED, sequence_ranges=(SequenceRange(minval=1, maxval=9),))
    plan = planning.plan_remove(view_of(gone, cell(2)), [1, 1], LATER)
    assert isinstance(plan, Plan)
    assert plan.txn.compares == (Compare(key(1), 11), Compare("/cellplane/v1/retired/1", 0), REGISTRY)
    assert plan.txn.deletes == (key(1),)
    (name, value), (registry, _) = plan.txn.puts
    assert (name, registry) == ("/cellplane/v1/retired/1", "/cellplane/v1/registry")
    assert decode(RetiredKey(1), value) == Retired(
        id=1, name="cell-1", session_prefix="cell-1", sequence_ranges=gone.sequence_ranges, stamp=LATER
    )
    assert plan.summary == ("cell 1: remove cell-1, in DECOMMISSIONED",)
    assert (plan.cell, plan.keys) == (None, (key(1),))


@pytest.mark.parametrize(
    ("ids", "force", "fields"),
    [
        ([1], False, {"cells.1.state"}),
        ([1], True, set()),
        ([1, 2, 3], False, {"cells.1.state", "cells.2.state", "cells"}),
        ([1, 2, 3], True, set()),
        ([1, 2], False, {"cells.1.state", "cells.2.state", "cells"}),
        ([3], False, set()),
        ([3, 9], False, {"id"}),
        ([9], True, {"id"}),
        ([], True, {"cells"}),
        (list(range(1, 65)), True, {"cells", "id"}),
    ],
)
def test_what_may_be_removed(ids: list[int], force: bool, fields: set[str]) -> None:
    view = view_of(cell(1), cell(2), cell(3, CellState.PROVISIONING))
    outcome = planning.plan_remove(view, ids, LATER, force=force)
    assert (set(problems(outcome)) if isinstance(outcome, Refusal) else set()) == fields


def test_as_many_as_a_transaction_holds_are_removed_at_once() -> None:
    view = view_of(*(cell(cell_id, CellState.DECOMMISSIONED) for cell_id in range(1, 80)), cell(200))
    plan = planning.plan_remove(view, range(1, 43), LATER)
    assert isinstance(plan, Plan)
    assert len(plan.txn.compares) == 85
    assert set(problems(planning.plan_remove(view, range(1, 44), LATER))) == {"cells"}


def test_a_removal_has_an_author() -> None:
    nobody = Stamp(updated_by="", updated_at="2026-03-01T12:00:00Z", reason="")
    assert set(problems(planning.plan_remove(view_of(cell(1), cell(2)), [1], nobody, force=True))) == {
        "updated_by"
    }
